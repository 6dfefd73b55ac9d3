//! The same cases as a normal user. Root prepares one that exists only in a mount namespace: its
//! own /etc/passwd, /etc/subuid and /etc/subgid are bound over the machine's.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rbuild_sys::{IdMap, enter_user_namespace, unshare_mounts};
use rustix::fs::{Gid, Uid, chown};
use rustix::mount::mount_bind;

use crate::cases;

const USER: u32 = 54_321;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// With ranges of subordinate ids.
    Ranges,
    /// Without.
    Single,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ranges => "user_with_ranges",
            Self::Single => "user_with_a_single_id",
        }
    }

    fn parse(name: &str) -> Self {
        if name == Self::Ranges.name() {
            Self::Ranges
        } else {
            Self::Single
        }
    }
}

/// In the test's thread: a fresh process does the rest.
pub(crate) fn start(kind: Kind, case: &str) {
    let status = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--prepare-user", kind.name(), case])
        .status()
        .expect("this program starts");
    assert!(status.success());
}

/// As root in that process: make the user and become it.
pub(crate) fn prepare(arguments: &[String]) -> ExitCode {
    let [kind, case] = arguments else {
        return ExitCode::FAILURE;
    };
    unshare_mounts().expect("root may");
    let temp = tempfile::tempdir().expect("a temporary directory");
    let ranges = if Kind::parse(kind) == Kind::Ranges {
        "rbuildtest:300000:65536\n"
    } else {
        ""
    };
    cover(
        temp.path(),
        "/etc/passwd",
        &format!("rbuildtest:x:{USER}:{USER}::/nowhere:/bin/sh\n"),
        true,
    );
    cover(temp.path(), "/etc/subuid", ranges, false);
    cover(temp.path(), "/etc/subgid", ranges, false);
    // The user needs a place to write, and must be able to read this program.
    let home = tempfile::tempdir().expect("a temporary directory");
    chown(
        home.path(),
        Some(Uid::from_raw(USER)),
        Some(Gid::from_raw(USER)),
    )
    .expect("root may");
    let program = home.path().join("program");
    fs::copy("/proc/self/exe", &program).expect("a copy of this program");
    let status = Command::new(&program)
        .args(["--rootless", kind, case])
        .env("TMPDIR", home.path())
        .current_dir("/")
        .uid(USER)
        .gid(USER)
        .status()
        .expect("this program starts");
    // What belongs to subordinate ids is for root to remove.
    drop(home);
    drop(temp);
    if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn cover(temp: &Path, path: &str, addition: &str, keep: bool) {
    let mut text = String::new();
    if keep {
        text = fs::read_to_string(path).expect("a readable table");
    }
    text.push_str(addition);
    let copy = temp.join(path.replace('/', "-"));
    fs::write(&copy, text).expect("a new file");
    if !Path::new(path).exists() {
        return;
    }
    mount_bind(&copy, path).expect("root may");
}

/// As that user: become root of a namespace and run the case.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let [kind, case] = arguments else {
        return ExitCode::FAILURE;
    };
    let entered = enter_user_namespace().expect("this machine allows user namespaces");
    let ranged = matches!(entered.map, IdMap::Ranges { .. });
    assert_eq!(ranged, Kind::parse(kind) == Kind::Ranges, "{entered:?}");
    assert_eq!(entered.outer_user, USER);
    assert!(rustix::process::geteuid().is_root());
    let (_, body) = cases::all()
        .find(|(name, _)| name == case)
        .expect("a case of that name");
    body();
    ExitCode::SUCCESS
}
