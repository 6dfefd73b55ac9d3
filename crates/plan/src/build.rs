//! What one platform's build works with throughout.

use std::cell::Cell;
use std::sync::Arc;

use rbuild_dockerfile::{Dockerfile, Escape};
use rbuild_image::Platform;

use crate::globals::Globals;
use crate::lint::Checks;
use crate::platform_args::BuildArgs;
use crate::{NoCache, PlanOptions};

/// Options, file and global scope, for one target platform.
#[derive(Debug)]
pub(crate) struct Build<'a> {
    pub(crate) options: &'a PlanOptions,
    pub(crate) dockerfile: &'a Dockerfile,
    pub(crate) args: &'a BuildArgs,
    pub(crate) checks: &'a Checks,
    /// Bytes that variables have added so far.
    pub(crate) growth: Cell<usize>,
    pub(crate) globals: Globals,
    /// The platform that is built for.
    pub(crate) target: Arc<Platform>,
    /// The platform that is built on: that of what all targets share.
    pub(crate) own_platform: Arc<Platform>,
    pub(crate) target_origin: TargetOrigin,
    pub(crate) prefix: Prefix,
    pub(crate) escape: Escape,
    /// What runs a shell form unless something else is said.
    pub(crate) shell: Arc<[Arc<str>]>,
    /// What steps see as their host's name.
    pub(crate) hostname: Arc<str>,
    /// Proxy variables for every RUN.
    pub(crate) proxy_env: Vec<String>,
}

/// Who chose the target platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetOrigin {
    /// `--platform`
    Asked,
    /// Nobody: the build platform.
    Implied,
}

/// Whether steps' names tell the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// One platform: no.
    Plain,
    /// Several: yes.
    Platform,
}

impl Build<'_> {
    /// Whether the steps of the stage called `name` must run.
    pub(crate) fn refuses_cache(&self, name: Option<&str>) -> bool {
        match &self.options.no_cache {
            NoCache::None => false,
            NoCache::All => true,
            NoCache::Stages(stages) => {
                name.is_some_and(|name| stages.iter().any(|stage| stage.eq_ignore_ascii_case(name)))
            }
        }
    }

    /// What ids of cache mounts begin with.
    pub(crate) fn cache_namespace(&self) -> &str {
        let asked = self.args.get("BUILDKIT_CACHE_MOUNT_NS");
        asked.map_or("", String::as_str)
    }
}
