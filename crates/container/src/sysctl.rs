//! Kernel parameters of a container's own namespaces: `--sysctl`.

use serde::{Deserialize, Serialize};

use crate::ContainerError;
use crate::namespaces::IpcMode;
use crate::options::NetworkMode;

/// Parameters that belong to an IPC namespace, as Docker has them.
const OF_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// A kernel parameter (sysctl(8)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// `net.ipv4.ip_forward`
    pub name: String,
    /// What is written to it.
    pub value: String,
}

impl Sysctl {
    /// Reads `--sysctl`: `name=value`. What is not the container's own alone is refused.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let fail = |reason: &str| ContainerError::option("--sysctl", text, reason);
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| fail("it is name=value"))?;
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        if !name
            .split('.')
            .all(|part| !part.is_empty() && part.chars().all(fits))
        {
            return Err(fail("its name is words with dots between them"));
        }
        let own = OF_IPC.contains(&name) || name.starts_with("fs.mqueue.");
        if !own && !name.starts_with("net.") {
            return Err(fail(
                "it is not allowed: it belongs to the whole machine, not to a container",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }

    /// Whether it is the container's own on that network and with that memory.
    pub(crate) fn check(&self, network: &NetworkMode, ipc: &IpcMode) -> Result<(), ContainerError> {
        if !self.name.starts_with("net.") && !ipc.is_own() {
            let reason = "it is not allowed: --ipc makes it somebody else's";
            return Err(ContainerError::option("--sysctl", &self.name, reason));
        }
        let shared = matches!(network, NetworkMode::Host | NetworkMode::Container(_));
        if shared && self.name.starts_with("net.") {
            let reason = "it is not allowed on the host's network";
            return Err(ContainerError::option("--sysctl", &self.name, reason));
        }
        Ok(())
    }

    /// Whether it is one of the network.
    pub fn is_of_network(&self) -> bool {
        self.name.starts_with("net.")
    }

    /// Its place below /proc/sys, with its value.
    pub(crate) fn setting(&self) -> (String, String) {
        (self.name.replace('.', "/"), self.value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_whole_machine_are_refused() {
        for text in [
            "kernel.core_pattern=|/x",
            "vm.overcommit_memory=1",
            "kernel.hostname=x",
            "net/../kernel.panic=1",
            "net...kernel.panic=1",
            "net.ipv4.ip_forward",
            "=1",
        ] {
            assert!(Sysctl::parse(text).is_err(), "{text}");
        }
        let own = Sysctl::parse("kernel.shmmax=65536").expect("its own");
        assert_eq!(own.setting().0, "kernel/shmmax");
        own.check(&NetworkMode::Host, &IpcMode::Private)
            .expect("no matter of networks");
        for shared in [IpcMode::Host, IpcMode::Container("db".into())] {
            assert!(own.check(&NetworkMode::None, &shared).is_err());
        }
    }

    #[test]
    fn parameters_of_the_network_need_a_network_of_its_own() {
        let forward = Sysctl::parse("net.ipv4.ip_forward=1").expect("its own");
        let memory = IpcMode::Host;
        forward.check(&NetworkMode::None, &memory).expect("its own");
        assert!(forward.check(&NetworkMode::Host, &memory).is_err());
    }
}
