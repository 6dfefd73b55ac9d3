//! Where bridges are.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Founding, Household, LINGER};
use crate::{NetworkError, namespace};

/// What ends after it has lingered may take as long.
const PAUSE: Duration = Duration::from_millis(500);

/// Where the bridges of a store are to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the namespace of whoever asks, which is root's own.
    Here,
    /// In that of the household whose socket is in this directory.
    Household(PathBuf),
}

/// What to do where a household is there that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// Wait for its end, as it may be there for nobody any more.
    MayEnd,
    /// Fail: the caller has others to serve.
    Refuse,
}

impl Home {
    /// That of the store whose networks are in `directory`.
    pub(crate) fn of(directory: &Path) -> Self {
        if rbuild_sys::owns_network_namespace() {
            Self::Here
        } else {
            Self::Household(directory.to_owned())
        }
    }

    /// Goes there; a household that is not there is started. `program` is this very program.
    pub(crate) fn open(&self, program: &Path, others: Others) -> Result<Ground, NetworkError> {
        let Self::Household(directory) = self else {
            return Ok(Ground::Here);
        };
        match (enter(directory, program), others) {
            (Err(NetworkError::Apart), Others::MayEnd) => {
                std::thread::sleep(LINGER + PAUSE);
                enter(directory, program)
            }
            (other, _) => other,
        }
    }

    /// Goes there, if there is anything.
    pub(crate) fn existing(&self) -> Result<Option<Ground>, NetworkError> {
        match self {
            Self::Here => Ok(Some(Ground::Here)),
            Self::Household(directory) => {
                let there = Household::at(directory)?;
                there.map(Ground::of).transpose()
            }
        }
    }
}

/// The network of the household in `directory`, which is started if it is not there.
fn enter(directory: &Path, program: &Path) -> Result<Ground, NetworkError> {
    if let Some(there) = Household::at(directory)? {
        return Ground::of(there);
    }
    let founding = Founding::at(directory)?;
    if let Some(there) = founding.find()? {
        return Ground::of(there);
    }
    let _presence = founding.start(program, &own_ids()?)?;
    Ground::of(Household::at(directory)?.ok_or(NetworkError::NoKeeper)?)
}

fn own_ids() -> Result<String, NetworkError> {
    let failed = NetworkError::step("read the id maps of this process");
    rbuild_sys::id_maps().map_err(|error| failed(io::Error::other(error)))
}

/// The network namespace that bridges are in. It stays as long as this lives.
#[derive(Debug, Clone)]
pub(crate) enum Ground {
    /// That of this process.
    Here,
    /// That of a household.
    Shared {
        network: Arc<OwnedFd>,
        /// Why nothing leads out of it, if that is so.
        blocked: Option<String>,
        /// Nobody where its keeper was killed and has no heir.
        household: Option<Arc<Household>>,
    },
}

impl Ground {
    fn of(household: Household) -> Result<Self, NetworkError> {
        let (network, blocked) = household.network()?;
        Ok(Self::Shared {
            network: Arc::new(network),
            blocked,
            household: Some(Arc::new(household)),
        })
    }

    /// What is closed when its keeper is gone.
    pub(crate) fn keeper(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Here => None,
            Self::Shared { household, .. } => household.as_ref().map(|one| one.link.as_fd()),
        }
    }

    /// Its keeper was killed: another one goes on with the same network, whoever of those that are on it starts it.
    pub(crate) fn mend(&mut self, home: &Home, program: &Path) {
        let (
            Self::Shared {
                network,
                household,
                blocked,
            },
            Home::Household(directory),
        ) = (self, home)
        else {
            return;
        };
        // Where nobody looks after it, those on it still reach each other.
        let heir = inherit(network, directory, program).ok();
        *household = heir.map(|(heir, leads)| {
            *blocked = leads;
            Arc::new(heir)
        });
    }

    /// Does something there.
    pub(crate) fn inside<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, NetworkError> + Send,
    ) -> Result<T, NetworkError> {
        match self {
            Self::Here => work(),
            Self::Shared { network, .. } => namespace::inside(network.as_fd(), || Ok(work()))
                .map_err(NetworkError::step(
                    "enter the network of this user's containers",
                ))?,
        }
    }

    /// Why nothing leads out of it, if that is so.
    pub(crate) fn blocked(&self) -> Option<&str> {
        match self {
            Self::Here => None,
            Self::Shared { blocked, .. } => blocked.as_deref(),
        }
    }

    /// Whether bridges may stay although nobody is on them: they end with the namespace.
    pub(crate) fn ends_by_itself(&self) -> bool {
        matches!(self, Self::Shared { .. })
    }
}

/// A keeper for `network`, and why nothing leads out of that, if that is so.
fn inherit(
    network: &OwnedFd,
    directory: &Path,
    program: &Path,
) -> Result<(Household, Option<String>), NetworkError> {
    let founding = Founding::inherit(directory)?;
    let there = if let Some(there) = founding.find()? {
        Some(there)
    } else {
        let _presence = founding.start_with(program, &own_ids()?, Some(network))?;
        Household::at(directory)?
    };
    let there = there.ok_or(NetworkError::NoKeeper)?;
    let (kept, blocked) = there.network()?;
    if rbuild_sys::same_namespace(kept.as_fd(), network.as_fd()) {
        return Ok((there, blocked));
    }
    // Somebody was faster who knew nothing of it.
    Err(NetworkError::Apart)
}
