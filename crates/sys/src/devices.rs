//! Which devices the processes of a control group may open (version 2): a small program of the kernel's (BPF) that it runs
//! whenever one of them opens or makes a node.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use crate::SysError;

/// What a device node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// Blocks: disks.
    Block,
    /// Characters: all else.
    Character,
}

/// Devices that may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// Of this kind,
    pub kind: DeviceKind,
    /// of this driver,
    pub major: u32,
    /// with this number; `None`: all of them.
    pub minor: Option<u32>,
}

/// Lets the processes of the control group (its directory) open no other devices than these; making nodes that cannot be
/// opened stays allowed. It holds as long as the group exists.
///
/// # Errors
/// [`SysError::Call`]: a kernel without it, or no right to it.
pub fn restrict_devices(group: BorrowedFd<'_>, allowed: &[DeviceRule]) -> Result<(), SysError> {
    let program = load(&instructions(allowed))
        .map_err(|error| SysError::call("load the rules for devices", error))?;
    let request = Attach {
        group: group.as_raw_fd().unsigned_abs(),
        program: program.as_raw_fd().unsigned_abs(),
        kind: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    call(PROG_ATTACH, &request)
        .map(drop)
        .map_err(|error| SysError::call("attach the rules for devices", error))
}

/// Commands of bpf(2), and what they are about (`linux/bpf.h`).
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
/// Groups above may have rules, too: all of them count.
const ALLOW_MULTI: u32 = 2;

/// `BPF_DEVCG_DEV_BLOCK`, `BPF_DEVCG_DEV_CHAR`, `BPF_DEVCG_ACC_MKNOD`.
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;
const MAKE: i32 = 1;

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The same for `BPF_PROG_ATTACH`.
#[repr(C)]
struct Attach {
    group: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u8,
    /// The source in the upper half, the destination in the lower one.
    registers: u8,
    offset: i16,
    operand: i32,
}

const fn instruction(code: u8, registers: u8, offset: i16, operand: i32) -> Instruction {
    Instruction {
        code,
        registers,
        offset,
        operand,
    }
}

/// Operations: load a word, jump if not equal, and on 32 bits, shift right, set, return.
const LOAD_WORD: u8 = 0x61;
const JUMP_UNLESS: u8 = 0x55;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE: u8 = 0xbc;
const SET: u8 = 0xb7;
const RETURN: u8 = 0x95;
/// Registers: the answer; what is asked; its kind, access, major and minor number.
const ANSWER: u8 = 0;
const ASKED: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

fn instructions(allowed: &[DeviceRule]) -> Vec<Instruction> {
    let answer = |number| {
        [
            instruction(SET, ANSWER, 0, number),
            instruction(RETURN, 0, 0, 0),
        ]
    };
    // struct bpf_cgroup_dev_ctx: kind and access in one word, major, minor.
    let mut program = vec![
        instruction(LOAD_WORD, ASKED << 4 | KIND, 0, 0),
        instruction(MOVE, KIND << 4 | ACCESS, 0, 0),
        instruction(AND, KIND, 0, 0xffff),
        instruction(SHIFT_RIGHT, ACCESS, 0, 16),
        instruction(LOAD_WORD, ASKED << 4 | MAJOR, 4, 0),
        instruction(LOAD_WORD, ASKED << 4 | MINOR, 8, 0),
        instruction(JUMP_UNLESS, ACCESS, 2, MAKE),
    ];
    program.extend(answer(1));
    for rule in allowed {
        let kind = match rule.kind {
            DeviceKind::Block => BLOCK,
            DeviceKind::Character => CHARACTER,
        };
        let mut wanted = vec![(KIND, kind), (MAJOR, rule.major.cast_signed())];
        wanted.extend(rule.minor.map(|minor| (MINOR, minor.cast_signed())));
        let count = wanted.len();
        for (index, (register, number)) in wanted.into_iter().enumerate() {
            // Past the other comparisons and the answer.
            let skipped = count - index - 1 + answer(1).len();
            program.push(instruction(JUMP_UNLESS, register, skipped as i16, number));
        }
        program.extend(answer(1));
    }
    program.extend(answer(0));
    program
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let request = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        license: c"".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    let descriptor = call(PROG_LOAD, &request)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn call<T>(command: libc::c_int, request: &T) -> io::Result<i32> {
    // SAFETY: the request outlives the call, its true size is passed with it, and what it points to outlives it, too; the
    // kernel copies and verifies it, and takes what is missing at its end for zero.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(request),
            size_of::<T>(),
        )
    };
    match i32::try_from(result) {
        Ok(result @ 0..) => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
#[expect(clippy::print_stderr, reason = "tests say what they leave out")]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd as _;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;

    /// A group of its own in the hierarchy of version 2.
    struct Group(PathBuf);

    impl Group {
        fn new() -> Option<Self> {
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
            let is_unified = |line: &&str| line.contains(" - cgroup2 ");
            let mount = mounts.lines().find(is_unified)?.split(' ').nth(4)?;
            let own = Path::new(mount).join(format!("rbuild-devices-{}", std::process::id()));
            fs::create_dir(&own).ok()?;
            Some(Self(own))
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            // A process that was just reaped may still be counted.
            for _ in 0..10_000 {
                match fs::remove_dir(&self.0) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        std::thread::yield_now();
                    }
                    _ => return,
                }
            }
            eprintln!("{} is left: it stays busy", self.0.display());
        }
    }

    #[test]
    fn processes_of_a_group_open_the_devices_that_they_may_and_make_nodes_of_others() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return;
        }
        let Some(group) = Group::new() else {
            eprintln!("skipped: needs control groups of version 2 that can be written");
            return;
        };
        let rule = |kind, major, minor| DeviceRule { kind, major, minor };
        let rules = [
            rule(DeviceKind::Block, 254, None),
            rule(DeviceKind::Character, 1, Some(3)),
            rule(DeviceKind::Character, 5, None),
        ];
        let directory = File::open(&group.0).expect("ours");
        restrict_devices(directory.as_fd(), &rules).expect("the kernel has it");
        let place = tempfile::tempdir().expect("a directory");
        let script = "echo $$ > $0/cgroup.procs || exit 3; \
            (: < /dev/null) && ! (: < /dev/full) 2>/dev/null && ! (: < /dev/zero) 2>/dev/null && mknod $1 c 1 5";
        let status = Command::new("sh")
            .args(["-c", script])
            .arg(&group.0)
            .arg(place.path().join("node"))
            .status();
        assert!(status.expect("it starts").success());
    }

    #[test]
    fn comparisons_that_fail_lead_to_the_next_rule() {
        let rules = [DeviceRule {
            kind: DeviceKind::Character,
            major: 136,
            minor: None,
        }];
        let program = instructions(&rules);
        // Seven to take it apart, two for nodes that are made, two comparisons, and two answers.
        assert_eq!(program.len(), 7 + 2 + 2 + 2 + 2);
        assert_eq!(program[9], instruction(JUMP_UNLESS, KIND, 3, CHARACTER));
        assert_eq!(program[10], instruction(JUMP_UNLESS, MAJOR, 2, 136));
        let last = [program[13], program[14]];
        assert_eq!(
            last,
            [instruction(SET, ANSWER, 0, 0), instruction(RETURN, 0, 0, 0)]
        );
    }
}
