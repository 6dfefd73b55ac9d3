//! A container's files as it sees them, for commands outside of it.
//!
//! Of a container that runs, its supervisor hands out the root directory, with all that is mounted there. Of one that
//! does not, the layers are put together for the time of the command, and its volumes mounted.

mod mounted;

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rbuild_sandbox::{first_user_of, mount_view};
use rbuild_store::{Container, LockGuard, Store};

use self::mounted::Mounted;
use crate::condition::Condition;
use crate::directories::Directories;
use crate::lifecycle::layer_directories;
use crate::link::Message;
use crate::older;
use crate::supervisor::lock_name;
use crate::users::UserMode;
use crate::volumes::Mounts;
use crate::{ContainerError, ContainerId, StoredConfig, control, volume_store};

/// The files of a container, until it is dropped.
pub(crate) struct View {
    pub(crate) root: OwnedFd,
    /// Whom its root is here: files that are seen through it belong to users from that one on.
    pub(crate) first_id: u32,
    _mounted: Option<Mounted>,
    /// Nobody starts it meanwhile.
    _lock: Option<LockGuard>,
}

impl View {
    /// As the container sees them, to be changed.
    pub(crate) fn whole(store: &Store, container: &Container) -> Result<Self, ContainerError> {
        let id = ContainerId::from_store(&container.id);
        if let Some(pid) = Condition::of(container).pid() {
            let directory = store.container_path(&container.id);
            let config = StoredConfig::from_json(&id, &container.config)?;
            return Ok(Self {
                first_id: match config.options.userns {
                    UserMode::Host => 0,
                    UserMode::Auto => first_user_of(pid).ok_or_else(|| gone(&id))?,
                },
                root: control::request_descriptor(&directory, &id, "reach into", &Message::Root)?,
                _mounted: None,
                _lock: None,
            });
        }
        let Some(lock) = store.try_lock(&lock_name(&container.id))? else {
            return Err(ContainerError::IsRunning {
                action: "reach into",
                id: id.short().to_owned(),
            });
        };
        let layers = top_first(store, container)?;
        let directory = store.container_path(&container.id);
        let upper = Directories::new(directory.clone()).upper();
        let tree = mount_view(&layers, Some(&upper))?;
        let config = StoredConfig::from_json(&id, &container.config)?;
        let config = older::brought_up(store, container, config)?;
        let named = |name: &str| volume_store::data(store.root(), name);
        let mounts = Mounts::collect(&config.options, &named).mounts;
        let (mounted, root) = if mounts.is_empty() {
            (None, tree)
        } else {
            let (mounted, root) = Mounted::new(&tree, directory.join("view"), &mounts)?;
            (Some(mounted), root)
        };
        Ok(Self {
            first_id: 0,
            root,
            _mounted: mounted,
            _lock: Some(lock),
        })
    }

    /// Its image and what it changed, without what is mounted there; read-only.
    pub(crate) fn own(store: &Store, container: &Container) -> Result<Self, ContainerError> {
        let mut layers = vec![
            Directories::new(store.container_path(&container.id))
                .upper()
                .diff,
        ];
        layers.extend(top_first(store, container)?);
        Ok(Self {
            first_id: 0,
            root: mount_view(&layers, None)?,
            _mounted: None,
            _lock: None,
        })
    }

    /// Its image alone; `None` if that has no files.
    pub(crate) fn image(
        store: &Store,
        container: &Container,
    ) -> Result<Option<Self>, ContainerError> {
        let layers = top_first(store, container)?;
        if layers.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            first_id: 0,
            root: mount_view(&layers, None)?,
            _mounted: None,
            _lock: None,
        }))
    }
}

fn gone(id: &ContainerId) -> ContainerError {
    ContainerError::NotRunning {
        action: "reach into",
        id: id.short().to_owned(),
    }
}

fn top_first(store: &Store, container: &Container) -> Result<Vec<PathBuf>, ContainerError> {
    let mut layers = layer_directories(store, container)?;
    layers.reverse();
    Ok(layers)
}
