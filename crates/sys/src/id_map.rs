//! Which subordinate ids a user owns: /etc/subuid and /etc/subgid.
//!
//! ```text
//!   alice:100000:65536      by name
//!   1000:231072:65536       or by number
//! ```

use std::path::Path;

/// A run of ids on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// First id.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// What a user may map besides itself. Empty lists mean that only a single-id map is possible.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubordinateIds {
    /// From /etc/subuid.
    pub users: Vec<IdRange>,
    /// From /etc/subgid.
    pub groups: Vec<IdRange>,
}

/// Looks up the ranges of user `uid`, by its name in /etc/passwd and by its number. Files that
/// cannot be read count as empty.
pub fn subordinate_ids(uid: u32) -> SubordinateIds {
    let passwd = read("/etc/passwd");
    let name = user_name(&passwd, uid);
    SubordinateIds {
        users: ranges(&read("/etc/subuid"), name, uid),
        groups: ranges(&read("/etc/subgid"), name, uid),
    }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

fn user_name(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

fn ranges(table: &str, name: Option<&str>, uid: u32) -> Vec<IdRange> {
    let number = uid.to_string();
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            if Some(owner) != name && owner != number {
                return None;
            }
            let first = fields.next()?.parse().ok()?;
            let count = fields.next()?.parse().ok()?;
            (count > 0).then_some(IdRange { first, count })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let table = "bob:5:5\nalice:100000:65536\n# note\n1000:300000:10\nalice:bad:1\n";
        let name = user_name(PASSWD, 1000);
        assert_eq!(name, Some("alice"));
        let found = ranges(table, name, 1000);
        assert_eq!(
            found,
            [
                IdRange {
                    first: 100_000,
                    count: 65_536
                },
                IdRange {
                    first: 300_000,
                    count: 10
                },
            ]
        );
    }

    #[test]
    fn a_user_without_a_name_still_has_its_number() {
        assert_eq!(user_name(PASSWD, 4242), None);
        let found = ranges("4242:7:8", None, 4242);
        assert_eq!(found, [IdRange { first: 7, count: 8 }]);
    }
}
