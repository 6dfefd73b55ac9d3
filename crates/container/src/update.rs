//! `update`: other limits and another restart policy for a container that was made already.

use rbuild_store::{Container, Store};
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::limits::Limits;
use crate::link::Message;
use crate::options::{Cleanup, Options};
use crate::restart::RestartPolicy;
use crate::supervisor::lock_name;
use crate::{ContainerError, ContainerId, StoredConfig, control};

/// What changes; what is not given stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// `--memory`, `--cpus` and their like.
    pub limits: Limits,
    /// `--restart`.
    pub restart: Option<RestartPolicy>,
}

impl Update {
    /// The options with the change.
    pub(crate) fn apply(&self, options: &Options) -> Result<Options, ContainerError> {
        let mut changed = options.clone();
        changed.limits = options.limits.with(&self.limits);
        if let Some(policy) = self.restart {
            if options.cleanup == Cleanup::Remove && policy != RestartPolicy::No {
                return Err(ContainerError::option(
                    "--restart",
                    "",
                    "a container that is removed when it ends (--rm) cannot be started again",
                ));
            }
            changed.restart = policy;
        }
        changed.limits.check()?;
        Ok(changed)
    }
}

/// Changes a container: at once if it runs, else from its next start on.
pub fn update(store: &Store, container: &Container, change: &Update) -> Result<(), ContainerError> {
    let id = ContainerId::from_store(&container.id);
    change.apply(&StoredConfig::from_json(&id, &container.config)?.options)?;
    if Condition::of(container).is_active() {
        let directory = store.container_path(&container.id);
        match control::ask(&directory, &id, "update", &Message::Update(change.clone())) {
            // It has ended meanwhile.
            Err(ContainerError::NotRunning { .. }) => {}
            other => return other,
        }
    }
    let Some(_lock) = store.try_lock(&lock_name(&container.id))? else {
        return Err(ContainerError::IsRunning {
            action: "update",
            id: id.short().to_owned(),
        });
    };
    keep(store, &id, change)
}

/// Has the store know of it.
pub(crate) fn keep(store: &Store, id: &ContainerId, change: &Update) -> Result<(), ContainerError> {
    store.update_container(id.as_str(), |row| {
        let mut config = StoredConfig::from_json(id, &row.config)?;
        config.options = change.apply(&config.options)?;
        row.config = config.to_json();
        Ok(())
    })
}
