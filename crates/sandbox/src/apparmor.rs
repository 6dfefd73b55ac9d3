//! AppArmor: our default profile, loaded where the host has AppArmor.
//!
//! ```text
//!   root, outside of user namespaces ─ loaded? ─ no ─▶ apparmor_parser ─▶ the kernel
//!                                         └─── yes ──▶ its name: the command comes under it when it is executed
//! ```
//!
//! Loading a profile is for the machine's root. As with Docker, normal users' sandboxes, and those of a host without
//! `apparmor_parser`, have none: what it denies, namespaces, capabilities and read-only mounts deny already.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rbuild_sys::is_initial_user_namespace;

use crate::{AppArmor, SandboxError};

/// What it is called. What its text says is loaded once as long as the machine runs: another text is to have another name.
pub const DEFAULT_PROFILE: &str = "rbuild-default";
const PROFILE: &str = include_str!("apparmor/rbuild-default");
/// `Y` where AppArmor is switched on.
const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";
/// A line `name (mode)` for each profile that is loaded.
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";
const PARSER: &str = "/usr/sbin/apparmor_parser";

/// The profile that a process comes under; `None` if it stays under the caller's.
pub(crate) fn profile(wanted: &AppArmor) -> Result<Option<&str>, SandboxError> {
    match wanted {
        AppArmor::Unconfined => Ok(None),
        AppArmor::Profile(name) => Ok(Some(name)),
        AppArmor::Default => default_profile().map_err(SandboxError::AppArmor),
    }
}

/// The name of our own profile, which is loaded then; `None` where there cannot be one.
fn default_profile() -> io::Result<Option<&'static str>> {
    if !has_default_profile() {
        return Ok(None);
    }
    if !is_loaded() {
        load()?;
    }
    Ok(Some(DEFAULT_PROFILE))
}

/// Whether the caller's sandboxes come under [`DEFAULT_PROFILE`] if nothing else is said. Not within a container of another
/// program's, where the kernel's list of profiles cannot be seen.
pub fn has_default_profile() -> bool {
    let is_root = is_initial_user_namespace() && rustix::process::geteuid().is_root();
    is_root && is_enabled() && [PARSER, LOADED].iter().all(|path| Path::new(path).exists())
}

fn is_enabled() -> bool {
    fs::read(ENABLED).is_ok_and(|value| value.starts_with(b"Y"))
}

fn is_loaded() -> bool {
    let loaded = fs::read_to_string(LOADED).unwrap_or_default();
    let mut names = loaded.lines().filter_map(|line| line.split_once(' '));
    names.any(|(name, _)| name == DEFAULT_PROFILE)
}

fn load() -> io::Result<()> {
    let mut parser = Command::new(PARSER)
        // Not from a cache; in the place of one that was loaded meanwhile.
        .args(["--skip-cache", "--replace"])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    // One that ends early says why itself.
    let written = match parser.stdin.take() {
        Some(mut input) => input.write_all(PROFILE.as_bytes()),
        None => Ok(()),
    };
    let done = parser.wait_with_output()?;
    if done.status.success() {
        return written;
    }
    let told = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(format!("{PARSER}: {}", told.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine keeps the text that it was given first.
    #[test]
    fn another_text_takes_another_name() {
        // FNV-1a.
        let digest = PROFILE
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
                (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        assert_eq!(
            (DEFAULT_PROFILE, digest),
            ("rbuild-default", 0x4c07_a6b1_2999_a038)
        );
    }
}
