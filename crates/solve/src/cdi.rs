//! Devices as the Container Device Interface describes them: files in YAML or JSON, of which each names devices of one kind
//! and what a container needs for them.
//!
//! ```yaml
//! cdiVersion: "0.6.0"
//! kind: vendor.com/class
//! containerEdits: …                     # for every device of the file
//! devices:
//! - name: gpu0
//!   annotations: { org.mobyproject.buildkit.device.class: gpu }
//!   containerEdits:
//!     env: [ "GPU=0" ]
//!     deviceNodes: [ { path: /dev/gpu0, hostPath: /dev/dri/card0, uid: 0, gid: 44, fileMode: 0660 } ]
//!     mounts: [ { hostPath: /usr/lib/gpu, containerPath: /usr/lib/gpu, options: [ ro ] } ]
//!     additionalGids: [ 44 ]
//! ```
//!
//! Directories are read in order; of two devices of one name the later directory's counts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rbuild_plan::{Access, KnownDevice, Permission};
use yaml_rust2::{Yaml, YamlLoader};

/// What a device is called by together with others.
const CLASS: &str = "org.mobyproject.buildkit.device.class";
/// Whether every build may use it.
const AUTO_ALLOW: &str = "org.mobyproject.buildkit.device.autoallow";

/// The devices of this machine.
#[derive(Debug, Default)]
pub struct CdiDevices {
    /// By qualified name.
    devices: BTreeMap<String, Device>,
    broken: Vec<CdiError>,
}

/// Why a description of devices cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CdiError {
    /// It cannot be read.
    #[error("read the device description {}: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("read the device description {}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Debug, Clone)]
struct Device {
    annotations: BTreeMap<String, String>,
    edits: Vec<Edits>,
}

/// What a container gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edits {
    pub(crate) env: Vec<String>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) mounts: Vec<HostMount>,
    pub(crate) groups: Vec<u32>,
    /// Programs that a runtime would run around the container.
    pub(crate) hooks: usize,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) path: String,
    pub(crate) host_path: String,
}

/// Something of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostMount {
    pub(crate) host_path: String,
    pub(crate) path: String,
    pub(crate) access: Access,
}

impl CdiDevices {
    /// Reads the `*.yaml`, `*.yml` and `*.json` files of these directories; one that is missing holds none. What cannot be
    /// read is left out: builds that ask for no device must not fail for it.
    pub fn load(directories: &[&Path]) -> Self {
        let mut devices = Self::default();
        for directory in directories {
            match descriptions(directory) {
                Ok(paths) => {
                    let outcomes = paths.iter().map(|path| devices.add(path));
                    let broken: Vec<_> = outcomes.filter_map(Result::err).collect();
                    devices.broken.extend(broken);
                }
                Err(error) => devices.broken.push(error),
            }
        }
        devices
    }

    /// The descriptions that could not be read.
    pub fn broken(&self) -> &[CdiError] {
        &self.broken
    }

    /// What a plan has to know of them, sorted by name.
    pub fn known(&self) -> Vec<KnownDevice> {
        let devices = self.devices.iter();
        devices
            .map(|(name, device)| KnownDevice {
                name: name.clone(),
                class: device.annotations.get(CLASS).cloned(),
                permission: match device.annotations.get(AUTO_ALLOW).map(String::as_str) {
                    Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Permission::Granted,
                    _ => Permission::Asked,
                },
            })
            .collect()
    }

    /// What the devices called so bring, each thing once.
    pub(crate) fn edits(&self, names: &[String]) -> Edits {
        let mut all = Edits::default();
        let devices = names.iter().filter_map(|name| self.devices.get(name));
        for edits in devices.flat_map(|device| &device.edits) {
            extend(&mut all.env, &edits.env);
            extend(&mut all.nodes, &edits.nodes);
            extend(&mut all.mounts, &edits.mounts);
            extend(&mut all.groups, &edits.groups);
            all.hooks += edits.hooks;
        }
        all
    }

    fn add(&mut self, path: &Path) -> Result<(), CdiError> {
        let malformed = |reason: String| CdiError::Malformed {
            path: path.to_owned(),
            reason,
        };
        let text = fs::read_to_string(path).map_err(|source| CdiError::Read {
            path: path.to_owned(),
            source,
        })?;
        let documents =
            YamlLoader::load_from_str(&text).map_err(|error| malformed(error.to_string()))?;
        let Some(spec) = documents.first() else {
            return Ok(());
        };
        let kind = spec["kind"]
            .as_str()
            .ok_or_else(|| malformed("it has no kind".to_owned()))?;
        let shared = edits(&spec["containerEdits"]).map_err(&malformed)?;
        for device in list(&spec["devices"]) {
            let name = text_of(&device["name"])
                .ok_or_else(|| malformed("one of its devices has no name".to_owned()))?;
            let mut annotations = annotations(&spec["annotations"]);
            annotations.extend(self::annotations(&device["annotations"]));
            let own = edits(&device["containerEdits"]).map_err(&malformed)?;
            let edits = vec![shared.clone(), own];
            self.devices
                .insert(format!("{kind}={name}"), Device { annotations, edits });
        }
        Ok(())
    }
}

fn extend<T: Clone + PartialEq>(all: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
}

/// The descriptions in a directory, sorted.
fn descriptions(directory: &Path) -> Result<Vec<PathBuf>, CdiError> {
    let failed = |source| CdiError::Read {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(failed)?;
    paths.retain(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("yaml" | "yml" | "json"))
    });
    paths.sort();
    Ok(paths)
}

fn list(value: &Yaml) -> &[Yaml] {
    value.as_vec().map_or(&[], Vec::as_slice)
}

/// A scalar as text: a name may look like a number.
fn text_of(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}

fn annotations(value: &Yaml) -> BTreeMap<String, String> {
    let entries = value.as_hash().into_iter().flatten();
    entries
        .filter_map(|(name, value)| Some((text_of(name)?, text_of(value)?)))
        .collect()
}

fn edits(value: &Yaml) -> Result<Edits, String> {
    let path = |of: &Yaml, name: &str, what: &str| {
        text_of(&of[name]).ok_or_else(|| format!("{what} without {name}"))
    };
    let mut edits = Edits {
        hooks: list(&value["hooks"]).len(),
        ..Edits::default()
    };
    edits.env = list(&value["env"]).iter().filter_map(text_of).collect();
    for node in list(&value["deviceNodes"]) {
        let inside = path(node, "path", "a device node")?;
        edits.nodes.push(Node {
            host_path: text_of(&node["hostPath"]).unwrap_or_else(|| inside.clone()),
            path: inside,
        });
    }
    for mount in list(&value["mounts"]) {
        let is_read_only = list(&mount["options"])
            .iter()
            .any(|option| option.as_str() == Some("ro"));
        edits.mounts.push(HostMount {
            host_path: path(mount, "hostPath", "a mount")?,
            path: path(mount, "containerPath", "a mount")?,
            access: if is_read_only {
                Access::ReadOnly
            } else {
                Access::ReadWrite
            },
        });
    }
    for group in list(&value["additionalGids"]) {
        let number = group.as_i64().and_then(|number| u32::try_from(number).ok());
        edits
            .groups
            .push(number.ok_or("a group that is no number")?);
    }
    Ok(edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    const YAML: &str = r#"
cdiVersion: "0.6.0"
kind: "vendor1.com/device"
annotations:
  org.mobyproject.buildkit.device.autoallow: true
containerEdits:
  env: [ "ALL=1" ]
devices:
- name: foo
  annotations:
    org.mobyproject.buildkit.device.class: class1
  containerEdits:
    env:
    - FOO=injected
    deviceNodes:
    - path: /dev/foo
      hostPath: /dev/null
    mounts:
    - { hostPath: /usr/lib/foo, containerPath: /opt/foo, options: [ ro, nosuid ] }
    additionalGids: [ 44 ]
- name: 0
  containerEdits: {}
"#;

    #[test]
    fn what_devices_bring_is_read_from_yaml_and_json() -> Result {
        let room = tempfile::tempdir()?;
        fs::write(room.path().join("a.yaml"), YAML)?;
        fs::write(
            room.path().join("b.json"),
            r#"{"cdiVersion":"0.6.0","kind":"vendor2.com/x","devices":[{"name":"y","containerEdits":{"env":["Y=1"]}}]}"#,
        )?;
        fs::write(room.path().join("notes.txt"), "no description")?;
        let devices = CdiDevices::load(&[Path::new("/nowhere"), room.path()]);
        let known: Vec<_> = devices
            .known()
            .into_iter()
            .map(|known| (known.name, known.class, known.permission))
            .collect();
        assert_eq!(
            known,
            [
                ("vendor1.com/device=0".to_owned(), None, Permission::Granted),
                (
                    "vendor1.com/device=foo".to_owned(),
                    Some("class1".to_owned()),
                    Permission::Granted
                ),
                ("vendor2.com/x=y".to_owned(), None, Permission::Asked),
            ]
        );
        let names = ["vendor1.com/device=foo", "vendor1.com/device=0"].map(str::to_owned);
        let edits = devices.edits(&names);
        assert_eq!(edits.env, ["ALL=1", "FOO=injected"]);
        assert_eq!(edits.nodes[0].host_path, "/dev/null");
        assert_eq!(edits.mounts[0].access, Access::ReadOnly);
        assert_eq!(edits.groups, [44]);
        Ok(())
    }

    #[test]
    fn a_broken_description_is_named() -> Result {
        let room = tempfile::tempdir()?;
        let path = room.path().join("broken.yaml");
        for text in ["kind: [", "devices: []", "kind: a/b\ndevices: [ {} ]"] {
            fs::write(&path, text)?;
            let devices = CdiDevices::load(&[room.path()]);
            let error = devices.broken().first().ok_or("it is broken")?;
            assert!(error.to_string().contains("broken.yaml"), "{error}");
        }
        Ok(())
    }
}
