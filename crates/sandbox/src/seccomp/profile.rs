//! Which rule each system call has, given what its process may do.

use std::collections::BTreeMap;

use super::syscalls::{
    ALLOWED, Abi, CLONE, CLONE3, FIRST_UNKNOWN, PERSONALITY, SOCKET, Syscall, WITH_CAPABILITY,
};
use crate::Capabilities;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Allow,
    /// It fails with this error number.
    Refuse(u16),
    /// Allowed when the low half of this argument has none of these bits, else EPERM.
    AllowWithout {
        argument: u8,
        bits: u32,
    },
    /// Allowed when the low half of this argument is one of these values, else EPERM.
    AllowValues {
        argument: u8,
        values: &'static [u32],
    },
    /// Allowed unless the low half of this argument has this value, then EPERM.
    AllowExcept {
        argument: u8,
        value: u32,
    },
}

/// The rules of one architecture: from each number up to the next one, this rule.
#[derive(Debug)]
pub(super) struct Profile {
    /// `AUDIT_ARCH_…`
    pub(super) architecture: u32,
    /// Sorted by number; the first number is 0, neighbours differ.
    pub(super) rules: Vec<(u32, Rule)>,
}

/// `AUDIT_ARCH_X86_64` of `linux/audit.h`.
const AUDIT_X86_64: u32 = 0xC000_003E;
/// `AUDIT_ARCH_I386`.
const AUDIT_I386: u32 = 0x4000_0003;
/// `AUDIT_ARCH_AARCH64`.
const AUDIT_AARCH64: u32 = 0xC000_00B7;

/// New namespaces of every kind but time's.
const NAMESPACE_FLAGS: u32 = 0x7E02_0000;
/// Linux, its 16-bit-uid and BSD-like variants, and the question what it is now.
const PERSONALITIES: &[u32] = &[0x0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF];
/// `AF_VSOCK`: it reaches the hypervisor past every network namespace.
const AF_VSOCK: u32 = 40;

const EPERM: Rule = Rule::Refuse(libc::EPERM as u16);
const ENOSYS: Rule = Rule::Refuse(libc::ENOSYS as u16);

/// The profiles of the architectures whose programs this machine may run.
pub(super) fn native(capabilities: Capabilities) -> Vec<Profile> {
    if cfg!(target_arch = "x86_64") {
        vec![
            profile(AUDIT_X86_64, Abi::X86_64, capabilities),
            profile(AUDIT_I386, Abi::I386, capabilities),
        ]
    } else {
        vec![profile(AUDIT_AARCH64, Abi::Aarch64, capabilities)]
    }
}

fn profile(architecture: u32, abi: Abi, capabilities: Capabilities) -> Profile {
    let mut by_number = BTreeMap::new();
    let mut set = |syscall: &Syscall, rule: Rule| {
        if let Some(number) = syscall.number(abi) {
            by_number.insert(number, rule);
        }
    };
    for syscall in ALLOWED {
        set(syscall, Rule::Allow);
    }
    set(
        &SOCKET,
        Rule::AllowExcept {
            argument: 0,
            value: AF_VSOCK,
        },
    );
    set(
        &PERSONALITY,
        Rule::AllowValues {
            argument: 0,
            values: PERSONALITIES,
        },
    );
    set(
        &CLONE,
        Rule::AllowWithout {
            argument: 0,
            bits: NAMESPACE_FLAGS,
        },
    );
    // A filter cannot see clone3's flags: programs fall back to clone.
    set(&CLONE3, ENOSYS);
    for (name, syscalls) in WITH_CAPABILITY {
        let capability = Capabilities::by_name(name).expect("the table names real capabilities");
        if capabilities.contains(capability) {
            for syscall in *syscalls {
                set(syscall, Rule::Allow);
            }
        }
    }
    Profile {
        architecture,
        rules: ranges(&by_number),
    }
}

/// Runs of equal rules, holes filled with EPERM.
fn ranges(by_number: &BTreeMap<u32, Rule>) -> Vec<(u32, Rule)> {
    let mut rules: Vec<(u32, Rule)> = Vec::new();
    for number in 0..=FIRST_UNKNOWN {
        let rule = if number == FIRST_UNKNOWN {
            ENOSYS
        } else {
            by_number.get(&number).copied().unwrap_or(EPERM)
        };
        if rules.last().is_none_or(|(_, last)| *last != rule) {
            rules.push((number, rule));
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_the_c_library() {
        let abi = if cfg!(target_arch = "x86_64") {
            Abi::X86_64
        } else {
            Abi::Aarch64
        };
        let known = [
            ("read", libc::SYS_read),
            ("openat", libc::SYS_openat),
            ("newfstatat", libc::SYS_newfstatat),
            ("fstat", libc::SYS_fstat),
            ("mmap", libc::SYS_mmap),
            ("lseek", libc::SYS_lseek),
            ("fcntl", libc::SYS_fcntl),
            ("execve", libc::SYS_execve),
            ("wait4", libc::SYS_wait4),
            ("statx", libc::SYS_statx),
            ("futex", libc::SYS_futex),
            ("copy_file_range", libc::SYS_copy_file_range),
            ("close_range", libc::SYS_close_range),
            ("openat2", libc::SYS_openat2),
            ("prlimit64", libc::SYS_prlimit64),
            ("getrandom", libc::SYS_getrandom),
            ("rseq", libc::SYS_rseq),
        ];
        for (name, number) in known {
            let row = ALLOWED.iter().find(|syscall| syscall.name == name);
            let found = row.and_then(|row| row.number(abi)).map(i64::from);
            assert_eq!(found, Some(number), "{name}");
        }
        assert_eq!(CLONE3.number(abi).map(i64::from), Some(libc::SYS_clone3));
    }

    #[test]
    fn a_capability_opens_its_calls_and_no_others() {
        let mount = 165;
        let rule = |capabilities| {
            let profile = profile(AUDIT_X86_64, Abi::X86_64, capabilities);
            let after = profile.rules.partition_point(|(start, _)| *start <= mount);
            profile.rules[after - 1].1
        };
        let admin = Capabilities::by_name("SYS_ADMIN").expect("a known name");
        assert_eq!(rule(Capabilities::DEFAULT), EPERM);
        assert_eq!(rule(Capabilities::DEFAULT.with(admin)), Rule::Allow);
    }
}
