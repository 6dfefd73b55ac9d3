//! `--secret` and `--ssh`: what steps may be shown, and nothing keeps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rbuild_solve::{Secret, SshKeys};

use super::fields;
use crate::app::Environment;

/// `id=…[,src=FILE][,env=NAME][,type=file|env]`: without a type, the variable called like the id if it is set, else a file.
pub(super) fn secrets(
    given: &[String],
    environment: Environment,
) -> anyhow::Result<BTreeMap<String, Secret>> {
    given.iter().map(|text| secret(text, environment)).collect()
}

fn secret(text: &str, environment: Environment) -> anyhow::Result<(String, Secret)> {
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for (key, value) in fields(text) {
        match key.as_str() {
            "id" => id = Some(value),
            "src" | "source" => file = Some(value),
            "env" => variable = Some(value),
            "type" => kind = Some(value),
            _ => bail!("invalid secret {text:?}: there is no field {key:?}"),
        }
    }
    let id = id.with_context(|| format!("invalid secret {text:?}: it needs an id="))?;
    let from_variable = match kind.as_deref() {
        Some("env") => true,
        Some("file") => false,
        None => variable.is_some() || (file.is_none() && environment.get(&id).is_some()),
        Some(other) => bail!("invalid secret {text:?}: its type is file or env, not {other:?}"),
    };
    let bytes = if from_variable {
        let name = variable.or(file).unwrap_or_else(|| id.clone());
        let value = environment
            .get(&name)
            .with_context(|| format!("secret {id}: the variable {name} is not set"))?;
        std::os::unix::ffi::OsStringExt::into_vec(value)
    } else {
        let path = file.unwrap_or_else(|| id.clone());
        std::fs::read(&path).with_context(|| format!("secret {id}: failed to read {path}"))?
    };
    Ok((id, Secret::new(&bytes)))
}

/// `default`, `ID`, `ID=SOCKET`, `ID=KEY[,KEY]`.
pub(super) fn ssh(
    given: &[String],
    environment: Environment,
) -> anyhow::Result<BTreeMap<String, SshKeys>> {
    given
        .iter()
        .map(|text| {
            let (id, paths) = text.split_once('=').unwrap_or((text, ""));
            let keys = ssh_keys(text, paths, environment)?;
            Ok((id.to_owned(), keys))
        })
        .collect()
}

fn ssh_keys(text: &str, paths: &str, environment: Environment) -> anyhow::Result<SshKeys> {
    if paths.is_empty() {
        let socket: PathBuf = environment
            .get("SSH_AUTH_SOCK")
            .with_context(|| {
                format!("--ssh {text}: SSH_AUTH_SOCK is not set: start an agent, or give --ssh {text}=KEYFILE")
            })?
            .into();
        if !is_socket(&socket) {
            let shown = socket.display();
            bail!("--ssh {text}: SSH_AUTH_SOCK names {shown}, which is no agent's socket");
        }
        return Ok(SshKeys::Agent(socket));
    }
    let paths: Vec<PathBuf> = paths.split(',').map(PathBuf::from).collect();
    for path in &paths {
        std::fs::metadata(path)
            .with_context(|| format!("--ssh {text}: failed to read {}", path.display()))?;
    }
    let (sockets, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| is_socket(path));
    match (sockets.as_slice(), files.is_empty()) {
        ([], false) => Ok(SshKeys::Files(
            files
                .iter()
                .map(std::path::absolute)
                .collect::<Result<_, _>>()?,
        )),
        ([socket], true) => Ok(SshKeys::Agent(socket.clone())),
        _ => bail!("--ssh {text}: give one agent's socket, or files with keys"),
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}
