//! Create, start, attach, stop, remove containers.
//!
//! ```text
//! Options ─┐
//! Image ───┼─ create() ─▶ row + containers/<id>/ ─ start() ─▶ Running ─ attach() ─▶ exit status ─ remove()
//! Seed ────┘
//! ```
//!
//! A container is its image's layers, shared and never changed, below a writable directory of its own. What it runs
//! follows from the image's config and the [`Options`] as Docker has it: an entrypoint given anew clears CMD, `-e` wins
//! over ENV, an empty USER is root.
//!
//! This crate does not pull images or extract layers: it is given a config and directories. It reads neither the
//! environment nor the clock; the caller hands in the host's files and random bytes. Containers are in the foreground
//! only; networks of their own, named volumes and supervision are not here yet.
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

mod attach;
mod config;
mod directories;
mod environment;
mod error;
mod hosts;
mod identity;
mod lifecycle;
mod names;
mod options;
mod spec;
mod terminal;
mod volumes;

pub use attach::Streams;
pub use config::StoredConfig;
pub use environment::{EnvSource, parse_env_file};
pub use error::ContainerError;
pub use hosts::HostFiles;
pub use identity::{ContainerId, Seed};
pub use lifecycle::{Host, Image, Running, create, live_process, remove, run, start};
pub use options::{
    AddHost, Cleanup, NetworkMode, Options, RootAccess, Security, Tmpfs, Ulimit, Volume,
};
pub use spec::command_line;
pub use terminal::{RawTerminal, terminal_size};
