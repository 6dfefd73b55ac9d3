//! Create, start, attach, stop, remove containers.
//!
//! ```text
//! Options ─┐
//! Image ───┼─ create() ─▶ row + containers/<id>/ ─ start ─▶ supervisor ─▶ the container ─▶ exit status ─ remove()
//! Seed ────┘                                                    ▲
//!                            attach · exec · follow_log · kill · stop · wait
//! ```
//!
//! A container is its image's layers, shared and never changed, below a writable directory of its own. What it runs
//! follows from the image's config and the [`Options`] as Docker has it: an entrypoint given anew clears CMD, `-e` wins
//! over ENV, an empty USER is root.
//!
//! Each container that runs has a supervisor beside it: this program, started again with a hidden argument, so `main` has
//! to begin with [`supervise_if_asked`]. It survives the command that started it, and is how all other commands reach
//! the container (`supervisor`, `link`).
//!
//! This crate does not pull images or extract layers: it is given a config and directories. It reads neither the
//! environment nor the clock; the caller hands in the host's files, random bytes and a clock.
//!
//! ```
//! use rbuild_container::{Options, command_line};
//! use rbuild_image::RuntimeConfig;
//!
//! let image = RuntimeConfig {
//!     entrypoint: Some(vec!["/app".into()]),
//!     cmd: Some(vec!["--help".into()]),
//!     ..RuntimeConfig::default()
//! };
//! let mut options = Options::default();
//! assert_eq!(command_line(&options, &image)?, ["/app", "--help"]);
//! options.entrypoint = Some("/bin/sh".into());
//! assert_eq!(command_line(&options, &image)?, ["/bin/sh"]);
//! # Ok::<(), rbuild_container::ContainerError>(())
//! ```
#![forbid(unsafe_code)]

mod add_host;
mod cgroup;
mod changes;
mod commit;
mod condition;
mod config;
mod control;
mod cp;
mod direct;
mod directories;
mod environment;
mod error;
mod exec;
mod health;
mod hosts;
mod identity;
mod import;
mod keys;
mod lifecycle;
mod limits;
mod link;
mod log;
mod mount_options;
mod names;
mod namespaces;
mod network;
mod network_change;
mod older;
mod options;
mod restart;
mod session;
mod signals;
mod spec;
mod supervisor;
mod sysctl;
mod terminal;
mod top;
mod ulimit;
mod update;
mod users;
mod view;
mod volume_store;
mod volumes;
mod volumes_from;

pub use add_host::AddHost;
pub use cgroup::{Traffic, Usage};
pub use changes::{Changed, How, changes, export};
pub use commit::{Commit, NewImage, commit};
pub use condition::{Condition, live_process};
pub use config::StoredConfig;
pub use control::{destroy, kill, network_traffic, pause, resume, stop, usage, wait};
pub use cp::{Direction, Links, copy, copy_out_as_tar, copy_tree_in};
pub use directories::changes_of;
pub use environment::{EnvSource, parse_env_file};
pub use error::ContainerError;
pub use exec::{ExecOptions, ExecOutcome, exec, exec_detached};
pub use health::{Health, HealthStatus, ProbeRecord, health, healthcheck};
pub use hosts::HostFiles;
pub use identity::{ContainerId, Seed};
pub use import::{Import, import};
pub use keys::DetachKeys;
pub use lifecycle::{
    AnonymousVolumes, Image, create, find, layer_directories, remove, rename, run, run_detached,
    start_attached, start_detached,
};
pub use limits::Limits;
pub use link::Stream;
pub use log::{LogLimits, LogLine, LogQuery, Logging, follow_log, log_file};
pub use mount_options::{Device, MountOption, Naming, Tmpfs, Volume};
pub use namespaces::{IpcMode, PidMode, Sharing};
pub use network::{NetworkRecord, config_as_it_is, exposed_ports, network_record};
pub use network_change::{connect_network, disconnect_network};
pub use older::bring_up;
pub use options::{
    Cleanup, Exposed, FirstProcess, NetworkMode, Options, Privileges, RootAccess, Security,
    SystemCalls,
};
pub use rbuild_sandbox::Owner;
pub use restart::RestartPolicy;
pub use session::{Attachment, Bond, Outcome, Proxy, Streams, Typing, attach};
pub use signals::signal_number;
pub use spec::{apparmor_profile, command_line};
pub use supervisor::{Clock, supervise_if_asked};
pub use sysctl::Sysctl;
pub use terminal::{RawTerminal, terminal_size};
pub use top::{ProcessFacts, processes};
pub use ulimit::Ulimit;
pub use update::{Update, update};
pub use users::UserMode;
pub use volume_store::{
    ANONYMOUS_LABEL, NamedVolume, create_volume, remove_volume, volume, volume_users, volumes,
};
pub use volumes_from::volumes_from;
