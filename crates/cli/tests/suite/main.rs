//! The binary from outside: real Dockerfiles, real steps, and what other programs read of the results.
//!
//! Each topic is a module; a [`support::Lab`] is a root directory, a user and base images of a test's own. Most tests
//! run as root and as a normal user ([`support::Caller`]), and say so where the machine does not allow one of them.

mod support;

mod annotations;
mod archives;
mod attestations;
mod cache_mount_sharing;
mod cache_mounts;
mod caching;
mod calls;
mod checks;
mod ci;
mod commit_points;
mod configs;
mod container_crowd;
mod container_files;
mod container_health;
mod container_world;
mod containers;
mod copying;
mod crash;
mod depfiles;
mod disk;
mod distribution;
mod engines;
mod epochs;
mod explaining;
mod failures;
mod flags;
mod full_disk;
mod generators;
mod imagetools;
mod inputs;
mod keys;
mod language;
mod layering;
mod locks;
mod logins;
mod management;
mod manifests;
mod networks;
mod output_attributes;
mod outputs;
mod parallel;
mod platform_choice;
mod platforms;
mod policies;
mod privileges;
mod pushing;
mod readers;
mod registries;
mod registry_files;
mod remote_cache;
mod remote_cache_faults;
mod remote_cache_inside;
mod remote_cache_stores;
mod running;
mod semantics;
mod sharing;
mod sources;
mod transcript;
mod travelling_mounts;
mod verifying;
mod watching;
