//! Sets of capabilities, by the kernel's numbers.

use serde::{Deserialize, Serialize};

/// A set of capabilities: bit n is capability number n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Capabilities(u64);

/// Names by number, without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What Docker gives by default.
const DEFAULT_NAMES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SYS_CHROOT",
    "MKNOD",
    "AUDIT_WRITE",
    "SETFCAP",
];

impl Capabilities {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// All that the kernel has, whatever it has.
    pub const ALL: Self = Self(u64::MAX);
    /// The fourteen that Docker gives by default.
    pub const DEFAULT: Self = Self(default_bits());

    /// The capability called `name`, with or without `CAP_`, in any case; `ALL` is all of them.
    pub fn by_name(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if short == "ALL" {
            return Some(Self::ALL);
        }
        let number = NAMES.iter().position(|known| *known == short)?;
        Some(Self(1 << number))
    }

    /// Both sets together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the other's members.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` is in this set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Bit n is capability number n.
    pub fn bits(self) -> u64 {
        self.0
    }
}

const fn default_bits() -> u64 {
    let mut bits = 0;
    let mut number = 0;
    while number < NAMES.len() {
        let mut index = 0;
        while index < DEFAULT_NAMES.len() {
            if same(NAMES[number], DEFAULT_NAMES[index]) {
                bits |= 1 << number;
            }
            index += 1;
        }
        number += 1;
    }
    bits
}

const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_set_is_dockers() {
        // The mask that /proc/self/status shows in any Docker container.
        assert_eq!(Capabilities::DEFAULT.bits(), 0x0000_0000_a804_25fb);
    }

    #[test]
    fn names_are_read_in_every_common_form() {
        let net_raw = Capabilities::by_name("cap_net_raw").expect("a known name");
        assert_eq!(Capabilities::by_name("NET_RAW"), Some(net_raw));
        assert!(!Capabilities::DEFAULT.without(net_raw).contains(net_raw));
        assert_eq!(Capabilities::by_name("cap_everything"), None);
    }
}
