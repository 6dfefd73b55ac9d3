//! USER, resolved inside the image: its /etc/passwd and /etc/group, nobody else's.

use std::ffi::CStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::BorrowedFd;

use rbuild_sys::openat2;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat};
use rustix::io::Errno;

use crate::InitFailure;

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups: `gid` is the first of them, or else a process that gives up `gid` would win what the group is denied.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// Resolves `user` (`name`, `uid`, `name:group`, …) with the tables of the tree at `root`.
///
/// A group that is written brings no others; without one, /etc/passwd and /etc/group are asked for the account of the name
/// or number, and a number without an account has group 0.
pub(crate) fn resolve(root: BorrowedFd<'_>, user: &str) -> Result<Identity, InitFailure> {
    let passwd = table(root, c"etc/passwd")?;
    let (user, group) = match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let account = find_account(&passwd, user);
    let number: Option<u32> = user.parse().ok();
    let home = account
        .as_ref()
        .map_or("/", |account| account.home)
        .to_owned();
    let uid = match (&account, number) {
        // A number means itself, whatever account it finds.
        (_, Some(number)) => number,
        (Some(account), None) => account.uid,
        (None, None) => return Err(InitFailure::UnknownUser(user.to_owned())),
    };
    if let Some(group) = group {
        let gid = find_group(&table(root, c"etc/group")?, group)
            .ok_or_else(|| InitFailure::UnknownGroup(group.to_owned()))?;
        return Ok(Identity {
            uid,
            gid,
            groups: vec![gid],
            home,
        });
    }
    let (gid, groups) = match &account {
        Some(account) => {
            let others = memberships(&table(root, c"etc/group")?, account.name);
            let others = others.into_iter().filter(|group| *group != account.gid);
            (
                account.gid,
                std::iter::once(account.gid).chain(others).collect(),
            )
        }
        None => (0, vec![0]),
    };
    Ok(Identity {
        uid,
        gid,
        groups,
        home,
    })
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn find_account<'a>(passwd: &'a [String], user: &str) -> Option<Account<'a>> {
    let number: Option<u32> = user.parse().ok();
    passwd.iter().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields[..] else {
            return None;
        };
        let uid: u32 = uid.parse().ok()?;
        (name == user || number == Some(uid)).then_some(Account {
            name,
            uid,
            gid: gid.parse().ok()?,
            home: if home.is_empty() { "/" } else { home },
        })
    })
}

fn find_group(groups: &[String], group: &str) -> Option<u32> {
    let number: Option<u32> = group.parse().ok();
    let by_name = groups.iter().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == group).then(|| fields.nth(1)?.parse().ok())?
    });
    number.or(by_name)
}

fn memberships(groups: &[String], name: &str) -> Vec<u32> {
    let mut found: Vec<u32> = groups
        .iter()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let gid = fields.nth(2)?.parse().ok()?;
            let members = fields.next()?;
            members
                .split(',')
                .any(|member| member == name)
                .then_some(gid)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The lines of a table of the image. A missing table is empty; what is not a plain file (a pipe
/// would never end) counts as missing.
fn table(root: BorrowedFd<'_>, path: &CStr) -> Result<Vec<String>, InitFailure> {
    /// Generous: no real table is longer, and a hostile one must not fill the memory.
    const MAX_LINES: usize = 1 << 20;
    const MAX_LINE_BYTES: u64 = 1 << 20;
    let fail = |error: Errno| {
        InitFailure::step(
            format!("read /{} of the image", path.to_string_lossy()),
            error,
        )
    };
    let opened = openat2(
        root,
        path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    );
    let file = match opened {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NXIO | Errno::ISDIR) => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let stat = fstat(&file).map_err(fail)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(Vec::new());
    }
    let mut reader = BufReader::new(File::from(file));
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        let read = std::io::Read::take(&mut reader, MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(|error| InitFailure::step("read the image's user tables", error))?;
        if read == 0 || lines.len() == MAX_LINES {
            return Ok(lines);
        }
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        if !text.is_empty() && !text.starts_with('#') {
            lines.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::fd::AsFd;

    fn image() -> tempfile::TempDir {
        let image = tempfile::tempdir().expect("a temporary directory");
        let etc = image.path().join("etc");
        std::fs::create_dir(&etc).expect("a new directory");
        std::fs::write(
            etc.join("passwd"),
            "root:x:0:0:root:/root:/bin/sh\n\nalice:x:1000:100:A:/home/alice:/bin/sh\n",
        )
        .expect("a new file");
        std::fs::write(
            etc.join("group"),
            "root:x:0:\nusers:x:100:\naudio:x:29:bob,alice\nvideo:x:44:alice\n",
        )
        .expect("a new file");
        image
    }

    fn identity(user: &str) -> Result<(u32, u32, Vec<u32>, String), InitFailure> {
        let image = image();
        let root = File::open(image.path()).expect("the image");
        let found = resolve(root.as_fd(), user)?;
        Ok((found.uid, found.gid, found.groups, found.home))
    }

    #[test]
    fn a_name_brings_its_groups_and_home() {
        let found = identity("alice");
        assert_eq!(
            found,
            Ok((1000, 100, vec![100, 29, 44], "/home/alice".to_owned()))
        );
    }

    #[test]
    fn a_number_has_the_groups_of_its_account_and_without_one_group_0() {
        let known = identity("1000");
        assert_eq!(
            known,
            Ok((1000, 100, vec![100, 29, 44], "/home/alice".to_owned()))
        );
        assert_eq!(identity("4242"), Ok((4242, 0, vec![0], "/".to_owned())));
    }

    #[test]
    fn a_group_given_replaces_all_others() {
        let found = identity("alice:video");
        assert_eq!(found, Ok((1000, 44, vec![44], "/home/alice".to_owned())));
        let numbers = identity("7:8");
        assert_eq!(numbers, Ok((7, 8, vec![8], "/".to_owned())));
    }

    #[test]
    fn nobody_means_root_and_strangers_are_errors() {
        let root = identity("");
        assert_eq!(root, Ok((0, 0, vec![0], "/root".to_owned())));
        assert_eq!(
            identity("mallory"),
            Err(InitFailure::UnknownUser("mallory".to_owned()))
        );
        assert_eq!(
            identity("alice:wheel"),
            Err(InitFailure::UnknownGroup("wheel".to_owned()))
        );
    }

    #[test]
    fn a_pipe_in_place_of_the_table_does_not_hang() {
        let image = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(image.path().join("etc")).expect("a new directory");
        nix::unistd::mkfifo(
            &image.path().join("etc/passwd"),
            nix::sys::stat::Mode::S_IRUSR,
        )
        .expect("a new pipe");
        let root = File::open(image.path()).expect("the image");
        let found = resolve(root.as_fd(), "0");
        assert!(found.is_ok());
    }
}
