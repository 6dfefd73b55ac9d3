//! Run one process tree over a root filesystem, isolated.
//!
//! [`spawn`] starts a [`Spec`]: new mount, PID, IPC, UTS and cgroup namespaces, an overlayfs root
//! from layers, Docker's default capabilities, seccomp profile and masked paths. It works as root,
//! and the same without root once the process has entered a user namespace
//! (`rbuild_sys::enter_user_namespace`). When the command ends, all that it left behind is dead.
//!
//! [`enter`] starts a further process in a sandbox that runs, with the same fence around it.
//!
//! The init is this very program, started again with a hidden argument: `main`, or a test's, has
//! to begin with [`init_if_asked`].
//!
//! It does not make layers of what was changed, nor networks, nor does it read output: callers
//! hand in descriptors.
//!
//! ```no_run
//! use rbuild_sandbox::{Merged, Root, Spec, Stdio, Upper, init_if_asked, spawn};
//!
//! # fn main() -> Result<(), rbuild_sandbox::SandboxError> {
//! init_if_asked();
//! let root = Root::Overlay(Merged {
//!     lowers: vec!["/layers/app".into(), "/layers/base".into()],
//!     upper: Some(Upper { diff: "/tmp/step/diff".into(), work: "/tmp/step/work".into() }),
//! });
//! let spec = Spec::new(root, "/var/lib/rbuild/scaffold", vec!["/bin/true".into()]);
//! let exit = spawn(&spec, Stdio::Null, &[])?.wait()?;
//! assert!(exit.success());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod apparmor;
mod capabilities;
mod channel;
mod cleanup;
mod copy;
mod error;
mod executable;
mod init;
mod range;
mod running;
mod scaffold;
mod seccomp;
mod spawn;
mod spec;
mod stub;
mod text;
mod user;
mod view;

pub use apparmor::{DEFAULT_PROFILE, has_default_profile};
pub use capabilities::Capabilities;
pub use channel::{TerminalSize, Tie};
pub use copy::{Owner, copy_contents, copy_directory, copy_tree};
pub use error::{InitFailure, SandboxError};
pub use executable::safe_program;
pub use init::init_if_asked;
pub use range::{UserRange, first_user_of};
/// See there: for the supervisors of sandboxes, which sleep while these run.
pub use rbuild_sys::release_program_text;
pub use running::{Exit, Killer, Running};
pub use spawn::{Stdio, enter, spawn, start_keeper_inside};
pub use spec::{
    Access, AppArmor, DEFAULT_PATH, DEFAULT_SHM_BYTES, First, KernelPaths, Merged, Mount,
    Namespace, Namespaces, Network, NewPrivileges, Process, Programs, Rlimit, Root, Seccomp,
    SharedMemory, Source, Spec, Upper, Users, rlimit_number,
};
pub use view::mount_view;
