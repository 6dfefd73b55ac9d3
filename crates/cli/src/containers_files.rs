//! Where podman, buildah, skopeo, Docker and containerd keep what they know of registries.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rbuild_registry::ContainersRegistries;

use crate::app::Environment;

/// `registries.conf`: the named one alone, else the user's or the machine's, and then the files of `registries.conf.d`.
pub(crate) fn registries(environment: Environment) -> anyhow::Result<ContainersRegistries> {
    if let Some(path) = environment.get("CONTAINERS_REGISTRIES_CONF") {
        return read(Path::new(&path));
    }
    let mut places = vec![PathBuf::from("/etc/containers")];
    places.extend(
        environment
            .config_home()
            .map(|home| home.join("containers")),
    );
    let mut files: Vec<PathBuf> = places
        .iter()
        .map(|place| place.join("registries.conf"))
        .filter(|path| path.exists())
        .collect();
    // The user's own stands in place of the machine's.
    files.drain(..files.len().saturating_sub(1));
    for place in &places {
        files.extend(drop_ins(&place.join("registries.conf.d"))?);
    }
    let mut all = ContainersRegistries::default();
    for file in files {
        all.extend(read(&file)?);
    }
    Ok(all)
}

fn read(path: &Path) -> anyhow::Result<ContainersRegistries> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    ContainersRegistries::from_toml(&text)
        .with_context(|| format!("failed to use {}", path.display()))
}

/// The `*.conf` of a directory, by name.
fn drop_ins(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("failed to read {}", directory.display()));
        }
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "conf"));
    paths.sort();
    Ok(paths)
}

/// Directories with a folder for each host: containerd's, podman's and Docker's, the user's before the machine's.
pub(crate) fn host_folders(environment: Environment) -> Vec<PathBuf> {
    let places = environment
        .config_home()
        .into_iter()
        .chain([PathBuf::from("/etc")]);
    places
        .flat_map(|place| {
            ["containerd", "containers", "docker"]
                .map(|program| place.join(program).join("certs.d"))
        })
        .filter(|directory| directory.is_dir())
        .collect()
}
