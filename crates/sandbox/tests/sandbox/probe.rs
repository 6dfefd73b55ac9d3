//! Things that a step might try, done from inside: prints the error number, 0 for success.

use std::process::ExitCode;

use nix::errno::Errno;
use nix::sched::CloneFlags;

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    for attempt in arguments {
        println!("{attempt}={}", errno(attempt));
    }
    ExitCode::SUCCESS
}

fn errno(attempt: &str) -> i32 {
    let result: Result<(), Errno> = match attempt {
        "unshare-user" => nix::sched::unshare(CloneFlags::CLONE_NEWUSER),
        "unshare-mount" => nix::sched::unshare(CloneFlags::CLONE_NEWNS),
        "setns" => {
            let file = std::fs::File::open("/proc/self/ns/mnt").expect("the namespace's file");
            nix::sched::setns(file, CloneFlags::CLONE_NEWNS)
        }
        "mount" => rustix::mount::mount_bind("/tmp", "/home").map_err(from_rustix),
        "fsopen" => rbuild_sys::file_system("tmpfs", &[], rbuild_sys::Attributes::empty())
            .map(drop)
            .map_err(|error| Errno::from_raw(error.errno().unwrap_or(0))),
        "keyctl" => rbuild_sys::join_new_session_keyring()
            .map_err(|error| Errno::from_raw(error.errno().unwrap_or(0))),
        "sethostname" => nix::unistd::sethostname("other"),
        "chroot" => nix::unistd::chroot("/tmp"),
        "pivot_root" => nix::unistd::pivot_root("/tmp", "/tmp"),
        "vsock" => nix::sys::socket::socket(
            nix::sys::socket::AddressFamily::Vsock,
            nix::sys::socket::SockType::Stream,
            nix::sys::socket::SockFlag::empty(),
            None,
        )
        .map(drop),
        "personality" => {
            nix::sys::personality::set(nix::sys::personality::Persona::ADDR_NO_RANDOMIZE).map(drop)
        }
        "personality-linux32" => {
            nix::sys::personality::set(nix::sys::personality::Persona::from_bits_retain(8))
                .map(drop)
        }
        "reboot" => nix::sys::reboot::set_cad_enabled(true),
        "exe-read-only" => {
            let stat = rustix::fs::statvfs("/proc/self/exe").expect("this program");
            if stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
                Err(Errno::EROFS)
            } else {
                Ok(())
            }
        }
        other => panic!("unknown attempt {other}"),
    };
    result.map_or_else(|error| error as i32, |()| 0)
}

fn from_rustix(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}
