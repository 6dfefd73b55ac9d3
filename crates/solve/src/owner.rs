//! `--chown`: numbers, or names looked up in the image's own /etc/passwd and /etc/group.

use std::io::Read;
use std::os::fd::BorrowedFd;

use rbuild_plan::Owner;
use rustix::fs::{Mode, OFlags, ResolveFlags};

/// The largest /etc/passwd or /etc/group that is read, in bytes: a hostile image must not fill the memory.
const MAX_DATABASE_BYTES: u64 = 8 << 20;

/// Who owns what a copy makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResolvedOwner {
    /// As in the source tree.
    Source,
    /// These.
    Ids {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

impl ResolvedOwner {
    /// The owner of a copy of something that `source` owns.
    pub(crate) fn apply(self, source: (u32, u32)) -> (u32, u32) {
        match self {
            Self::Source => source,
            Self::Ids { uid, gid } => (uid, gid),
        }
    }
}

/// Why an owner cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// The name is in no line of the file.
    #[error("find {what} {name:?} in the image's {file}")]
    Unknown {
        /// `user` or `group`.
        what: &'static str,
        /// The name.
        name: String,
        /// Where it was looked for.
        file: &'static str,
    },
}

/// `owner` as numbers, names looked up below `root`.
pub(crate) fn resolve(
    owner: &Owner,
    root: Option<BorrowedFd<'_>>,
) -> Result<ResolvedOwner, OwnerError> {
    match owner {
        Owner::Source => Ok(ResolvedOwner::Source),
        Owner::Ids { uid, gid } => Ok(ResolvedOwner::Ids {
            uid: *uid,
            gid: *gid,
        }),
        Owner::Named(text) => resolve_named(text, root),
    }
}

fn resolve_named(text: &str, root: Option<BorrowedFd<'_>>) -> Result<ResolvedOwner, OwnerError> {
    let (user, group) = text
        .split_once(':')
        .map_or((text, None), |(u, g)| (u, Some(g)));
    let (uid, primary) = match user.parse::<u32>() {
        Ok(uid) => (uid, uid),
        Err(_) if matches!(user, "" | "root") => (0, 0),
        Err(_) => find_user(user, root)?,
    };
    let gid = match group.filter(|group| !group.is_empty()) {
        None => primary,
        Some("root") => 0,
        Some(group) => match group.parse::<u32>() {
            Ok(gid) => gid,
            Err(_) => find_group(group, root)?,
        },
    };
    Ok(ResolvedOwner::Ids { uid, gid })
}

fn find_user(name: &str, root: Option<BorrowedFd<'_>>) -> Result<(u32, u32), OwnerError> {
    const FILE: &str = "/etc/passwd";
    lines(root, FILE)
        .iter()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .filter(|fields| fields.first() == Some(&name))
        .find_map(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))
        .ok_or_else(|| OwnerError::Unknown {
            what: "user",
            name: name.to_owned(),
            file: FILE,
        })
}

fn find_group(name: &str, root: Option<BorrowedFd<'_>>) -> Result<u32, OwnerError> {
    const FILE: &str = "/etc/group";
    lines(root, FILE)
        .iter()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .filter(|fields| fields.first() == Some(&name))
        .find_map(|fields| fields.get(2)?.parse().ok())
        .ok_or_else(|| OwnerError::Unknown {
            what: "group",
            name: name.to_owned(),
            file: FILE,
        })
}

/// The lines of a file inside the image; none where it cannot be read, as for a user that is not in it.
fn lines(root: Option<BorrowedFd<'_>>, file: &str) -> Vec<String> {
    let Some(root) = root else { return Vec::new() };
    let opened = rbuild_sys::openat2(
        root,
        file,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    );
    let Ok(descriptor) = opened else {
        return Vec::new();
    };
    let mut bytes = Vec::new();
    match std::fs::File::from(descriptor)
        .take(MAX_DATABASE_BYTES)
        .read_to_end(&mut bytes)
    {
        Ok(_) => String::from_utf8_lossy(&bytes)
            .lines()
            .map(str::to_owned)
            .collect(),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fs;
    use std::os::fd::AsFd;

    use super::*;

    type Result = std::result::Result<(), Box<dyn Error>>;

    const PASSWD: &str =
        "root:x:0:0::/:/bin/sh\nbroken:x\napp:x:1000:1001::/:/bin/sh\n1234:x:5:6::/:\n";
    const GROUP: &str = "root:x:0:\nstaff:x:50:app\n";

    fn named(root: &std::path::Path, text: &str) -> std::result::Result<(u32, u32), String> {
        let root = fs::File::open(root).map_err(|error| error.to_string())?;
        let owner = Owner::Named(text.to_owned());
        let owner = resolve(&owner, Some(root.as_fd())).map_err(|error| error.to_string())?;
        Ok(owner.apply((99, 99)))
    }

    #[test]
    fn names_are_those_of_the_image() -> Result {
        let root = tempfile::tempdir()?;
        fs::create_dir(root.path().join("etc"))?;
        fs::write(root.path().join("etc/passwd"), PASSWD)?;
        fs::write(root.path().join("etc/group"), GROUP)?;
        for (text, expected) in [
            ("app", (1000, 1001)),
            ("app:staff", (1000, 50)),
            ("app:7", (1000, 7)),
            ("7:staff", (7, 50)),
            (":staff", (0, 50)),
            ("app:", (1000, 1001)),
            ("root:root", (0, 0)),
            ("1234:staff", (1234, 50)),
        ] {
            assert_eq!(named(root.path(), text)?, expected, "{text}");
        }
        for unknown in ["nobody", "app:nogroup", "broken"] {
            assert!(named(root.path(), unknown).is_err(), "{unknown}");
        }
        Ok(())
    }

    #[test]
    fn the_hosts_users_are_not_asked() -> Result {
        let root = tempfile::tempdir()?;
        fs::create_dir(root.path().join("etc"))?;
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("etc/passwd"))?;
        assert!(
            named(root.path(), "daemon").is_err(),
            "the link leads to itself"
        );
        assert_eq!(resolve(&Owner::Source, None)?.apply((3, 4)), (3, 4));
        Ok(())
    }
}
