//! Machines that share nothing but a cache: each a root of its own.

use rbuild_testkit::{FaultProxy, Registry};

use super::{Caller, Lab, Outcome, Project};

/// A registry with a proxy in front of it that counts what passes.
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) proxy: FaultProxy,
}

impl Shared {
    /// `None` where there is no registry to be had.
    pub(crate) fn start() -> Option<Self> {
        let registry = Registry::start()?;
        let proxy = FaultProxy::in_front_of(&registry.host()).expect("a proxy");
        Some(Self { registry, proxy })
    }

    /// A name in the registry, by way of the proxy.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.proxy.host())
    }

    /// The requests so far, as `GET path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.proxy.requests().into_iter();
        requests
            .map(|one| format!("{} {}", one.method, one.path))
            .collect()
    }

    /// What `work` asks of the registry, but for the greeting.
    pub(crate) fn asked_by<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<String>) {
        let before = self.requests().len();
        let result = work();
        let mut asked = self.requests().split_off(before);
        asked.retain(|one| one != "GET /v2/");
        (result, asked)
    }
}

/// A machine, and the project on it.
pub(crate) struct Machine {
    pub(crate) lab: Lab,
    pub(crate) project: Project,
}

impl Machine {
    /// A new machine of `caller`, with the project that `fill` makes.
    pub(crate) fn new(caller: Caller, dockerfile: &str, fill: impl Fn(&Project)) -> Option<Self> {
        let lab = Lab::new(caller)?;
        let project = lab.project(dockerfile);
        fill(&project);
        Some(Self { lab, project })
    }

    /// Builds, which must succeed.
    #[track_caller]
    pub(crate) fn build(&self, arguments: &[&str]) -> Outcome {
        self.lab.build(&self.project, arguments)
    }
}
