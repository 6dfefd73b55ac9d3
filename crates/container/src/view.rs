//! A container's files as it sees them, for commands outside of it.
//!
//! Of a container that runs, its supervisor hands out the root directory, with all that is mounted there. Of one that
//! does not, the layers are put together for the time of the command.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rbuild_sandbox::{first_user_of, mount_view};
use rbuild_store::{Container, LockGuard, Store};

use crate::condition::Condition;
use crate::directories::Directories;
use crate::lifecycle::layer_directories;
use crate::link::Message;
use crate::supervisor::lock_name;
use crate::users::UserMode;
use crate::{ContainerError, ContainerId, StoredConfig, control};

/// The files of a container, until it is dropped.
pub(crate) struct View {
    pub(crate) root: OwnedFd,
    /// Whom its root is here: files that are seen through it belong to users from that one on.
    pub(crate) first_id: u32,
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
        let upper = Directories::new(store.container_path(&container.id)).upper();
        Ok(Self {
            first_id: 0,
            root: mount_view(&layers, Some(&upper))?,
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
