//! What to run and in what surroundings: everything that the init needs to know.
//!
//! The specification is written to a sealed memory file by the caller and read by the init, which
//! is the same program, so its form has no version: nothing is ever stored in it.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::capabilities::Capabilities;
use crate::text;

/// One process and its surroundings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// The file system that becomes `/`.
    pub root: Root,
    /// Whether `/` itself can be written.
    pub root_access: Access,
    /// A directory that the sandbox may fill with its constant bottom layer and use as a mount
    /// point; one per store, shared by all sandboxes at once. Made if missing.
    #[serde(with = "text")]
    pub scaffold: PathBuf,
    /// What runs.
    pub process: Process,
    /// Host name inside; also the contents of /etc/hostname.
    pub hostname: String,
    /// Contents of /etc/hosts; `None` leaves the image's file.
    pub hosts: Option<String>,
    /// Contents of /etc/resolv.conf; `None` leaves the image's file.
    pub resolv_conf: Option<String>,
    /// Further mounts; parents are mounted before what lies below them.
    pub mounts: Vec<Mount>,
    /// Which network it sees.
    pub network: Network,
    /// Which other namespaces of the kernel's it has for itself.
    pub namespaces: Namespaces,
    /// Whose users and groups it has.
    pub users: Users,
    /// What is at /dev/shm.
    pub shared_memory: SharedMemory,
    /// Whether the kernel's own files are masked.
    pub kernel_paths: KernelPaths,
    /// Size of /dev/shm in bytes.
    pub shm_bytes: u64,
    /// Kernel parameters of its own namespaces, by their path below /proc/sys.
    pub sysctls: Vec<(String, String)>,
    /// Directories of control groups to join before anything else: one for v2, one per
    /// controller for v1.
    #[serde(with = "text::list")]
    pub cgroups: Vec<PathBuf>,
}

/// Size of /dev/shm where nothing else is asked: Docker's.
pub const DEFAULT_SHM_BYTES: u64 = 64 << 20;
/// Search path of a process whose environment has none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Spec {
    /// `args` over `root` with Docker's defaults: root user, `/`, host network, masked paths.
    pub fn new(root: Root, scaffold: impl Into<PathBuf>, args: Vec<OsString>) -> Self {
        Self {
            root,
            root_access: Access::ReadWrite,
            scaffold: scaffold.into(),
            process: Process::new(args),
            hostname: "rbuild".to_owned(),
            hosts: None,
            resolv_conf: None,
            mounts: Vec::new(),
            network: Network::Host,
            namespaces: Namespaces::default(),
            users: Users::Caller,
            shared_memory: SharedMemory::Own,
            kernel_paths: KernelPaths::Masked,
            shm_bytes: DEFAULT_SHM_BYTES,
            sysctls: Vec::new(),
            cgroups: Vec::new(),
        }
    }

    /// Lifts what keeps root inside from acting like root outside (`RUN --security=insecure`,
    /// `--privileged`): all capabilities, no seccomp filter, no masked paths.
    pub fn lift_security(&mut self) {
        self.process.capabilities = Capabilities::ALL;
        self.process.seccomp = Seccomp::Unconfined;
        self.process.apparmor = AppArmor::Unconfined;
        self.kernel_paths = KernelPaths::Open;
    }
}

/// The file system that becomes `/`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Root {
    /// Layers, merged by overlayfs.
    Overlay(Merged),
    /// A plain directory, changed in place.
    Directory(#[serde(with = "text")] PathBuf),
}

/// Layers that are merged by overlayfs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Merged {
    /// Extracted layers, topmost first.
    #[serde(with = "text::list")]
    pub lowers: Vec<PathBuf>,
    /// Where changes go; without it they are read-only.
    pub upper: Option<Upper>,
}

/// The writable side of an overlay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Upper {
    /// Receives the changes.
    #[serde(with = "text")]
    pub diff: PathBuf,
    /// The kernel's scratch space, on the same file system.
    #[serde(with = "text")]
    pub work: PathBuf,
}

/// The process that becomes number 1 of its own world.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments; a program without a slash is searched in the environment's `PATH`.
    #[serde(with = "text::list")]
    pub args: Vec<OsString>,
    /// `NAME=value` each. `HOME` is added from /etc/passwd where it is missing.
    #[serde(with = "text::list")]
    pub env: Vec<OsString>,
    /// Working directory inside; made if missing.
    #[serde(with = "text")]
    pub cwd: PathBuf,
    /// `user`, `uid`, `user:group`, … as USER takes it; empty means root.
    pub user: String,
    /// Groups besides those of the user.
    pub groups: Vec<u32>,
    /// Upper bound of what root may do inside.
    pub capabilities: Capabilities,
    /// Filter on system calls.
    pub seccomp: Seccomp,
    /// Whether set-user-id programs work inside.
    pub new_privileges: NewPrivileges,
    /// AppArmor profile that it comes under.
    pub apparmor: AppArmor,
    /// Resource limits that differ from the caller's.
    pub rlimits: Vec<Rlimit>,
    /// How willingly the kernel ends it when memory runs out, from -1000 to 1000. Without one it is the caller's, but no
    /// less than 0: nothing in a sandbox is more important than the rest of the machine.
    pub oom_score: Option<i16>,
    /// What process 1 is.
    pub first: First,
}

impl Process {
    /// `args` as root in `/` with Docker's default capabilities and filter.
    pub fn new(args: Vec<OsString>) -> Self {
        Self {
            args,
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            user: String::new(),
            groups: Vec::new(),
            capabilities: Capabilities::DEFAULT,
            seccomp: Seccomp::Default,
            new_privileges: NewPrivileges::Allowed,
            apparmor: AppArmor::Default,
            rlimits: Vec::new(),
            oom_score: None,
            first: First::Command,
        }
    }
}

/// The AppArmor profile of a process (apparmor.d(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppArmor {
    /// Our own, where the host has AppArmor and its root asks; else that of the caller.
    #[default]
    Default,
    /// That of the caller.
    Unconfined,
    /// One that the host has loaded.
    Profile(String),
}

/// What the first process of a sandbox is, or what is started in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum First {
    /// The command.
    Command,
    /// An init that starts the command, passes signals on to it, and reaps what others leave (`--init`).
    Reaper,
}

/// A mount besides those that every sandbox has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    /// Where inside; relative to the working directory. Resolved inside the root.
    #[serde(with = "text")]
    pub target: PathBuf,
    /// What is mounted.
    pub source: Source,
    /// Whether it can be written.
    pub access: Access,
}

/// What a [`Mount`] shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Source {
    /// A file, directory or socket of the host, with all mounts below it.
    Path(#[serde(with = "text")] PathBuf),
    /// A directory of the host. While it is empty, it is filled with what the root has at the target.
    Volume(#[serde(with = "text")] PathBuf),
    /// The detached mount that `spawn` was given at this index. Its files have the same owners as those of layers.
    Tree(usize),
    /// What is at a path in layers that are merged by overlayfs. Symbolic links on the way do not lead out of them.
    Layers {
        /// The layers.
        merged: Merged,
        /// Which part.
        #[serde(with = "text")]
        path: PathBuf,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Size limit; `None` is half the memory.
        bytes: Option<u64>,
        /// Permission bits of its root.
        mode: u32,
        /// User and group that its root belongs to, inside.
        owner: (u32, u32),
        /// Whether programs on it can be started.
        programs: Programs,
    },
    /// A file in memory. Its bytes touch no disk.
    Data {
        /// Contents.
        #[serde(with = "text::bytes")]
        bytes: Vec<u8>,
        /// Permission bits.
        mode: u32,
        /// Owner inside.
        uid: u32,
        /// Group inside.
        gid: u32,
    },
}

/// Whether something can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// It cannot.
    ReadOnly,
    /// It can.
    ReadWrite,
}

/// Whether programs on a file system can be started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Programs {
    /// They cannot: `noexec`.
    #[default]
    Refused,
    /// They can.
    Started,
}

/// Which network a sandbox sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The caller's.
    Host,
    /// One of its own with nothing but loopback.
    None,
    /// The network namespace that `spawn` was given as tree number so-and-so: any descriptor of
    /// it, such as an open /proc/PID/ns/net.
    Join(usize),
}

/// Which of the kernel's namespaces a sandbox has for itself, besides that of the network. Its mounts are always its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// Processes. Of those in a namespace that is not its own, only the command ends with the sandbox: what that leaves
    /// behind is the caller's to end.
    pub pid: Namespace,
    /// System V's objects and POSIX message queues.
    pub ipc: Namespace,
    /// The host name.
    pub uts: Namespace,
    /// The view of control groups.
    pub cgroup: Namespace,
}

/// Whose a namespace is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Namespace {
    /// The sandbox's own.
    #[default]
    Own,
    /// The caller's.
    Host,
    /// The one that `spawn` was given as tree number so-and-so: any descriptor of it.
    Join(usize),
}

/// Whose users and groups a sandbox has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Users {
    /// The caller's.
    Caller,
    /// Its own: those from 0 on are others from `first` on outside, `count` of them. Layers, changes, volumes and trees have
    /// the same owners as ever, inside and on disk; what else of the host is mounted belongs to nobody inside.
    /// Needs root, and file systems that the kernel can show so.
    Own {
        /// The first id outside.
        first: u32,
        /// How many there are.
        count: u32,
    },
}

/// What is at /dev/shm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SharedMemory {
    /// A file system of its own.
    Own,
    /// The host's.
    Host,
    /// What is there in the mount namespace that `spawn` was given as tree number so-and-so.
    Of(usize),
    /// Nothing.
    Absent,
}

/// Whether the kernel's own files are masked as Docker masks them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KernelPaths {
    /// Secrets hidden, switches read-only, device nodes without effect.
    Masked,
    /// All open: for `insecure` steps and privileged containers.
    Open,
}

/// Filter on system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// Docker's default profile, for the capabilities at hand.
    Default,
    /// None.
    Unconfined,
}

/// Whether exec can add privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewPrivileges {
    /// Docker's default: `sudo` works inside.
    Allowed,
    /// `no_new_privs` is set.
    Denied,
}

/// A resource limit; `u64::MAX` means unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// The kernel's number of the resource, as [`rlimit_number`] gives it.
    pub resource: u32,
    /// The limit in force.
    pub soft: u64,
    /// How far it can be raised.
    pub hard: u64,
}

/// The kernel's number for a limit's name as `--ulimit` takes it: `nofile`, `core`, …
pub fn rlimit_number(name: &str) -> Option<u32> {
    const NAMES: [&str; 16] = [
        "cpu",
        "fsize",
        "data",
        "stack",
        "core",
        "rss",
        "nproc",
        "nofile",
        "memlock",
        "as",
        "locks",
        "sigpending",
        "msgqueue",
        "nice",
        "rtprio",
        "rttime",
    ];
    let index = NAMES.iter().position(|known| *known == name)?;
    u32::try_from(index).ok()
}
