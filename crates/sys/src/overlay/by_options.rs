//! Overlays on kernels before 6.7: one joined option string, mounted on a directory of its own for a moment and taken from
//! there as a detached tree.

use std::ffi::CString;
use std::fs::DirBuilder;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::CWD;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{OverlayFlavor, UpperWork, forget_volatile, open_path, plain_diff_options};
use crate::{Recursion, SysError, clone_tree};

/// `mount` takes one page of options.
const MOUNT_DATA_BYTES: usize = 4095;
/// Where descriptors have names.
const DESCRIPTORS: &str = "/proc/self/fd";

pub(super) fn mount_by_options(
    lowers: &[&Path],
    upper: Option<UpperWork<'_>>,
    flavor: OverlayFlavor,
) -> Result<OwnedFd, SysError> {
    let fail = |step: &str, source: io::Error| SysError::Overlay {
        layers: lowers.len(),
        step: step.to_owned(),
        source,
    };
    let directories = Directories::open(lowers, upper).map_err(|error| fail("open", error))?;
    let flags = match upper {
        Some(_) => MountFlags::empty(),
        None => MountFlags::RDONLY | MountFlags::NODEV,
    };
    let mount_at = |point: &Path, place: &str| -> io::Result<()> {
        let options = directories.options(place, flavor)?;
        Ok(mount(
            "overlay",
            point,
            "overlay",
            flags,
            options.as_c_str(),
        )?)
    };
    if let Some(UpperWork { work, .. }) = upper {
        forget_volatile(work);
    }
    on_a_point(|point| match mount_at(point, &format!("{DESCRIPTORS}/")) {
        Err(error) if error.raw_os_error() == Some(libc::E2BIG) => {
            among_descriptors(|| mount_at(point, ""))
        }
        other => other,
    })
    .map_err(|error| fail("mount", error))
}

/// The directories of an overlay, held open: descriptors have shorter names than directories, and none that would have to be
/// quoted.
struct Directories {
    lowers: Vec<OwnedFd>,
    upper_and_work: Option<(OwnedFd, OwnedFd)>,
}

impl Directories {
    fn open(lowers: &[&Path], upper: Option<UpperWork<'_>>) -> io::Result<Self> {
        let lowers = lowers.iter().map(|lower| open_path(lower));
        let lowers = lowers.collect::<Result<_, _>>()?;
        let upper_and_work = match upper {
            None => None,
            Some(UpperWork { upper, work }) => Some((open_path(upper)?, open_path(work)?)),
        };
        Ok(Self {
            lowers,
            upper_and_work,
        })
    }

    /// What `mount` is told; `place` is where their numbers are names.
    fn options(&self, place: &str, flavor: OverlayFlavor) -> io::Result<CString> {
        let name = |directory: &OwnedFd| format!("{place}{}", directory.as_raw_fd());
        let lowers: Vec<String> = self.lowers.iter().map(name).collect();
        let mut options = vec![format!("lowerdir={}", lowers.join(":"))];
        if let Some((upper, work)) = &self.upper_and_work {
            options.push(format!("upperdir={}", name(upper)));
            options.push(format!("workdir={}", name(work)));
            options.push("volatile".to_owned());
        }
        let plain = plain_diff_options();
        options.extend(plain.iter().map(|(key, value)| format!("{key}={value}")));
        if flavor == OverlayFlavor::User {
            options.push("userxattr".to_owned());
        }
        let options = options.join(",");
        if options.len() > MOUNT_DATA_BYTES {
            return Err(io::Error::from_raw_os_error(libc::E2BIG));
        }
        Ok(CString::new(options)?)
    }
}

/// Has something mounted on a new directory, and takes it from there.
fn on_a_point(mount: impl Fn(&Path) -> io::Result<()>) -> io::Result<OwnedFd> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    static SERIAL: AtomicU64 = AtomicU64::new(0);

    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // Numbers of processes are the same ones in each PID namespace.
    let random = RandomState::new().hash_one(SERIAL.fetch_add(1, Ordering::Relaxed));
    let name = format!(".rbuild-mount-{random:016x}");
    let point: PathBuf = std::env::temp_dir().join(name);
    DirBuilder::new().mode(0o700).create(&point)?;
    let tree = mount(&point).and_then(|()| {
        let tree = clone_tree(CWD, &point, Recursion::This);
        let _ = unmount(&point, UnmountFlags::DETACH);
        tree.map_err(io::Error::other)
    });
    let _ = std::fs::remove_dir(&point);
    tree
}

/// Does something where the number of a descriptor is its name: on a thread, since only that can have a working directory of
/// its own.
fn among_descriptors<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_FS)?;
            rustix::process::chdir(DESCRIPTORS)?;
            work()
        });
        thread.join()
    });
    done.expect("it does not panic")
}
