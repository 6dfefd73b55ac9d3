//! Who this process is while it works: root, in a mount namespace of its own, or a normal user that is root of a user namespace.
//!
//! ```text
//! normal user ─ the store's household is there? ─ yes ─▶ join it
//!                  └ no ─▶ a user namespace of its own ─ networks may be needed? ─ yes ─▶ which becomes the household
//! ```

use std::path::Path;

use anyhow::Context as _;
use rbuild_network::{Founding, Household, Presence, way_out};

use crate::args::Command;
use crate::groups::{BuilderVerb, BuildxVerb, ContainerVerb, ImageVerb};
use crate::network_config::NetworkConfig;

/// What a command may come to need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Networks that it shares with other commands.
    Networks,
    /// The same, if that leads out; else the host's network will do.
    WayOut,
    /// Nothing that others have.
    Nothing,
}

impl Need {
    /// What comes of `names`, which stand where a network's name may.
    pub(crate) fn of_networks<'a>(names: impl IntoIterator<Item = &'a String>) -> Self {
        let is_named = |name: &&String| {
            let is_known = ["default", "host", "none", "private"].contains(&name.as_str());
            !is_known && !name.starts_with("container:")
        };
        match names.into_iter().find(is_named) {
            Some(_) => Self::Networks,
            None => Self::WayOut,
        }
    }

    /// With what the configuration says of those that name none.
    pub(crate) fn with(self, config: &NetworkConfig) -> Self {
        let is_named = config.of_steps().is_some() || config.of_containers().is_some();
        match self {
            Self::WayOut if is_named => Self::Networks,
            need => need,
        }
    }

    fn is_of_networks(self) -> bool {
        match self {
            Self::Networks => true,
            Self::WayOut => way_out().is_ok(),
            Self::Nothing => false,
        }
    }
}

impl Command {
    /// What it may come to need.
    pub(crate) fn need(&self) -> Need {
        match self {
            Self::Build(args)
            | Self::Verify(args)
            | Self::Image(ImageVerb::Build(args))
            | Self::Builder(BuilderVerb::Build(args))
            | Self::Buildx(BuildxVerb::Build(args)) => Need::of_networks([&args.network]),
            Self::Run(args) | Self::Container(ContainerVerb::Run(args)) => args.need(),
            Self::Start(_)
            | Self::Restart(_)
            | Self::Container(ContainerVerb::Start(_) | ContainerVerb::Restart(_)) => {
                Need::Networks
            }
            _ => Need::Nothing,
        }
    }
}

/// What keeps the namespaces that this process shares with others.
#[derive(Debug)]
pub(crate) enum Bond {
    /// It has its own.
    Alone,
    /// It has come to others.
    Joined {
        /// Held until the end.
        _household: Household,
    },
    /// Others may come.
    Founded {
        /// Held until the end.
        _presence: Presence,
    },
}

/// As root: a mount namespace of our own, so that no mount outlives us. Otherwise a user namespace in which we are root. Must
/// come before any thread.
pub(crate) fn enter(root: &Path, need: Need) -> anyhow::Result<Bond> {
    if rustix::process::geteuid().is_root() {
        rbuild_sys::unshare_mounts().context("failed to enter a mount namespace")?;
        return Ok(Bond::Alone);
    }
    // Who needs networks of a household that does not answer is told when it asks for them.
    let Ok(there) = Household::find(root) else {
        enter_own()?;
        return Ok(Bond::Alone);
    };
    if let Some(household) = there {
        return join_or_enter(household);
    }
    // Where the store cannot be, whoever opens it says why.
    let founding = need.is_of_networks().then(|| Founding::begin(root));
    let Some(Ok(founding)) = founding else {
        enter_own()?;
        return Ok(Bond::Alone);
    };
    match founding.find() {
        Ok(Some(household)) => return join_or_enter(household),
        Ok(None) => enter_own()?,
        Err(_) => {
            enter_own()?;
            return Ok(Bond::Alone);
        }
    }
    // Those that it has, which may be fewer than it wanted.
    let ids = rbuild_sys::id_maps().context("failed to read the id maps of this process")?;
    let started = rbuild_sandbox::safe_program().map(|program| founding.start(&program, &ids));
    // Who needs networks then, is told what keeps it from them.
    Ok(match started {
        Ok(Ok(presence)) => Bond::Founded {
            _presence: presence,
        },
        _ => Bond::Alone,
    })
}

/// Other ids than those that are ours by now would be somebody else's. Whoever is in another namespace than the one from which
/// the household was made may not join it, whatever the ids.
fn join_or_enter(household: Household) -> anyhow::Result<Bond> {
    if household.ids() == rbuild_sys::wanted_id_maps() {
        let joined = rbuild_sys::join_user_namespace(household.user_namespace());
        if household.is_ours() {
            joined.context("failed to join the user namespace of this store's other commands")?;
            return Ok(Bond::Joined {
                _household: household,
            });
        }
    }
    enter_own()?;
    Ok(Bond::Alone)
}

fn enter_own() -> anyhow::Result<()> {
    rbuild_sys::enter_user_namespace().context(
        "failed to enter a user namespace; as a normal user rbuild needs them enabled \
         (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces > 0)",
    )?;
    Ok(())
}
