//! Opening paths that cannot lead out of a directory.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::path::Arg;

/// How often the kernel may ask for another try. One who renames or mounts without pause is not waited for.
const TRIES: u32 = 10_000;

/// openat2(2), begun again where the kernel could not be sure: while something is renamed or mounted anywhere on the
/// machine, a path with `..` or a link in it that must stay beneath a directory fails with `EAGAIN`, which says nothing
/// of the path.
///
/// # Errors
/// Those of openat2(2).
pub fn openat2(
    directory: impl AsFd,
    path: impl Arg + Copy,
    flags: OFlags,
    mode: Mode,
    resolve: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    let mut tries = 1;
    loop {
        match rustix::fs::openat2(directory.as_fd(), path, flags, mode, resolve) {
            Err(Errno::AGAIN) if tries < TRIES => tries += 1,
            opened => return opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn renames_elsewhere_do_not_keep_a_path_from_being_opened() {
        let place = tempfile::tempdir().expect("a directory");
        let at = |name: &str| place.path().join(name);
        std::fs::create_dir_all(at("root/a/b")).expect("new directories");
        std::fs::write(at("root/file"), "").expect("a new file");
        std::fs::create_dir(at("one")).expect("a new directory");
        let root = std::fs::File::open(at("root")).expect("our directory");
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::fs::rename(at("one"), at("other")).expect("our directory");
                    std::fs::rename(at("other"), at("one")).expect("our directory");
                }
            });
            for _ in 0..20_000 {
                let path = "a/b/../../a/../a/b/../../file";
                openat2(
                    &root,
                    path,
                    OFlags::PATH,
                    Mode::empty(),
                    ResolveFlags::IN_ROOT,
                )
                .expect("it is there");
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
