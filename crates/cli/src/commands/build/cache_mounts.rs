//! `--cache-mount` and `--no-cache-mounts`: what is done with cache mounts before the first step runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use rbuild_image::Digest;
use rbuild_plan::{MountKind, Operation, Plan};
use rbuild_progress::EventKind;
use rbuild_solve::Build;

use super::internal::InternalSteps;
use super::request::Request;

/// Whether the cache mounts of a build keep what earlier builds left in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeptMounts {
    /// As usual, with `--no-cache` too.
    Kept,
    /// `--no-cache-mounts`.
    Emptied,
}

/// `ID=PATH`
pub(super) fn place(text: &str) -> anyhow::Result<(String, PathBuf)> {
    let (id, path) = text
        .split_once('=')
        .filter(|(id, path)| !id.is_empty() && !path.is_empty())
        .with_context(|| format!("invalid value {text:?} for --cache-mount: it is ID=PATH"))?;
    let path = std::path::absolute(path)?;
    if path.exists() && !path.is_dir() {
        bail!(
            "--cache-mount {text}: {} is not a directory",
            path.display()
        );
    }
    Ok((id.to_owned(), path))
}

/// Where the cache mounts of `plan` are: those that the user has a place for there; those of a build of `verify` all in its
/// own directory, so that neither of the two builds has what the other one, or an earlier one, left in them.
pub(super) fn places(request: &Request, plan: &Plan) -> BTreeMap<String, PathBuf> {
    let Some(directory) = &request.own_mounts else {
        return request.cache_mounts.clone();
    };
    let place = |id: &str| directory.join(Digest::sha256_of(id.as_bytes()).hex());
    let ids = mounted(plan).into_iter();
    ids.map(|id| (id.to_owned(), place(id))).collect()
}

/// Empties the mounts that the plan uses, if that was asked for, and says which places nobody asks for.
pub(super) fn prepare(
    build: &Build,
    plan: &Plan,
    kept: KeptMounts,
    steps: &InternalSteps,
) -> anyhow::Result<()> {
    let ids = mounted(plan);
    let trimmed: BTreeSet<&str> = ids.iter().map(|id| id.trim_matches('/')).collect();
    for id in build.reuse.mount_places.keys() {
        if !trimmed.contains(id.trim_matches('/')) {
            build.reporter.send(EventKind::Warning {
                message: format!("--cache-mount {id}: no step of this build mounts it"),
                about: None,
            });
        }
    }
    if kept == KeptMounts::Kept || ids.is_empty() {
        return Ok(());
    }
    steps.run("[internal] empty cache mounts", |_| {
        ids.iter().try_for_each(|id| {
            let cancelled = || build.cancel.is_cancelled();
            let place = build.reuse.place(id);
            build.store.empty_cache_mounts(id, place, &cancelled)
        })
    })?;
    Ok(())
}

/// The ids of all cache mounts in `plan`.
fn mounted(plan: &Plan) -> BTreeSet<&str> {
    let operations = plan.vertices().map(|id| &plan.vertex(id).operation);
    operations
        .filter_map(|operation| match operation {
            Operation::Exec(exec) => Some(&exec.mounts),
            _ => None,
        })
        .flatten()
        .filter_map(|mount| match &mount.kind {
            MountKind::Cache { id, .. } => Some(id.as_str()),
            _ => None,
        })
        .collect()
}
