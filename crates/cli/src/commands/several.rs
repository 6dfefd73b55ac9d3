//! Commands that do the same to several containers: the failure of one does not keep the others.

use std::process::ExitCode;

use anyhow::bail;
use rbuild_container::ContainerError;
use rbuild_store::{Container, Store};

use crate::failure::{all_of, chain};
use crate::render;

/// Does `act` to each container that `names` name, and prints the name of each that it was done to.
pub(super) fn each(
    store: &Store,
    names: &[String],
    mut act: impl FnMut(&Container) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    each_printing(store, names, |name, container| {
        act(container)?;
        Ok(format!("{name}\n"))
    })
}

/// As [`each`], printing what `act` gives.
pub(super) fn each_printing(
    store: &Store,
    names: &[String],
    mut act: impl FnMut(&str, &Container) -> anyhow::Result<String>,
) -> anyhow::Result<ExitCode> {
    let mut failures = Vec::new();
    for name in names {
        match one(store, name).and_then(|container| act(name, &container)) {
            Ok(text) => render::out(&text)?,
            Err(error) => failures.push(chain(error.as_ref())),
        }
    }
    all_of(&failures)?;
    Ok(ExitCode::SUCCESS)
}

/// The container that `name` means.
pub(super) fn one(store: &Store, name: &str) -> anyhow::Result<Container> {
    match rbuild_container::find(store, name) {
        Err(ContainerError::Missing { .. }) => bail!("No such container: {name}"),
        other => other.map_err(worded),
    }
}

/// The libraries' messages follow "failed to".
#[expect(clippy::needless_pass_by_value, reason = "as map_err has it")]
pub(super) fn worded(error: ContainerError) -> anyhow::Error {
    let words = chain(&error);
    if words.starts_with("failed to") {
        return anyhow::anyhow!(words);
    }
    anyhow::anyhow!("failed to {words}")
}
