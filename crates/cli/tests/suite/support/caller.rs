//! Who runs the binary.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// A normal user that exists only in a mount namespace.
const USER: u32 = 54_322;
const NAME: &str = "rbuild-e2e";
/// Hides the machine's users (and, in a lab that has one, the device of tunnels) behind ours, and what a normal user may not reach behind what it may; then becomes the user.
const BECOME: &str = r#"
set -e
lab=$1 binary=$2 images=$3; shift 3
for table in passwd subuid subgid; do [ ! -e /etc/$table ] || mount --bind "$lab/etc/$table" /etc/$table; done
mount --bind "$binary" "$lab/bin/rbuild"
mount --bind "$images" "$lab/images"
[ ! -e "$lab/tun" ] || [ ! -e /dev/net/tun ] || mount --bind "$lab/tun" /dev/net/tun
exec setpriv --reuid 54322 --regid 54322 --clear-groups -- "$@"
"#;

/// Who runs the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The machine's root.
    Root,
    /// A normal user with ranges of subordinate ids.
    Ranges,
    /// A normal user without.
    SingleId,
}

/// Whether these tests run as root.
pub(crate) fn am_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Caller {
    /// Whether these tests can become this caller; if not, says so.
    pub(crate) fn available(self) -> bool {
        let reason = match self {
            Self::Root | Self::SingleId if !am_root() => "not root",
            Self::Ranges | Self::SingleId if !user_namespaces() => "no user namespaces here",
            _ => return true,
        };
        skip(&format!("{self:?}"), reason);
        false
    }

    /// Whether a normal user is made up for it.
    fn is_made_up(self) -> bool {
        am_root() && self != Self::Root
    }

    /// The user id that things of the caller belong to, where it is not the tests' own.
    pub(crate) fn user(self) -> Option<u32> {
        self.is_made_up().then_some(USER)
    }

    /// Whether other owners than the caller can be had on disk.
    pub(crate) fn has_many_ids(self) -> bool {
        self != Self::SingleId
    }

    /// Prepares `lab` for the caller.
    pub(crate) fn settle(self, lab: &Path) {
        if !self.is_made_up() {
            return;
        }
        let ranges = match self {
            Self::SingleId => String::new(),
            _ => format!("{NAME}:300000:65536\n"),
        };
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let passwd = format!("{passwd}{NAME}:x:{USER}:{USER}::/nowhere:/bin/sh\n");
        for folder in ["etc", "bin", "images"] {
            std::fs::create_dir(lab.join(folder)).expect("a new folder");
        }
        for (table, text) in [
            ("passwd", &passwd),
            ("subuid", &ranges),
            ("subgid", &ranges),
        ] {
            std::fs::write(lab.join("etc").join(table), text).expect("a new file");
        }
        std::fs::write(lab.join("bin/rbuild"), "").expect("a new file");
    }

    /// A command that starts the binary.
    pub(crate) fn command(self, lab: &Path, images: &Path) -> Command {
        self.program(lab, images, OsStr::new(env!("CARGO_BIN_EXE_rbuild")))
    }

    fn program(self, lab: &Path, images: &Path, binary: &OsStr) -> Command {
        if !self.is_made_up() {
            return Command::new(binary);
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", BECOME, "become"]);
        command.args([lab.as_os_str(), binary, images.as_os_str()]);
        command.arg(lab.join("bin/rbuild"));
        command
    }

    /// Where the caller sees the base images.
    pub(crate) fn images<'a>(self, lab: &'a Path, images: &'a Path) -> std::path::PathBuf {
        if self.is_made_up() {
            lab.join("images")
        } else {
            images.to_owned()
        }
    }
}

/// Says that something is not tested; where `CI` is set, that is a failure.
pub(crate) fn skip(what: &str, reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}: {reason}");
    note_skipped(what, reason);
}

/// Says that something is not tested, for a reason that no preparation of the machine takes away.
#[expect(clippy::print_stderr, reason = "the reader of a test run must see it")]
pub(crate) fn note_skipped(what: &str, reason: &str) {
    eprintln!("skipped: {what}: {reason}");
}

fn user_namespaces() -> bool {
    let mut command = Command::new("setpriv");
    if am_root() {
        command.args(["--reuid", "54322", "--regid", "54322", "--clear-groups"]);
    } else {
        command.arg("--no-new-privs");
    }
    command.args(["unshare", "--user", "true"]);
    command.output().is_ok_and(|output| output.status.success())
}
