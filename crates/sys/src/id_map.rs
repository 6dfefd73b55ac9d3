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

/// The ranges of all users, those of users and those of groups alike. Files that cannot be read count as empty.
pub fn all_subordinate_ids() -> Vec<IdRange> {
    let tables = ["/etc/subuid", "/etc/subgid"].map(read);
    tables
        .iter()
        .flat_map(|table| ranges(table, |_| true))
        .collect()
}

/// Looks up the ranges of user `uid`, by its name in /etc/passwd and by its number. Files that
/// cannot be read count as empty.
pub fn subordinate_ids(uid: u32) -> SubordinateIds {
    let passwd = read("/etc/passwd");
    let name = user_name(&passwd, uid);
    SubordinateIds {
        users: ranges(&read("/etc/subuid"), is_owner(name, uid)),
        groups: ranges(&read("/etc/subgid"), is_owner(name, uid)),
    }
}

/// Whether a line's first field means this user.
fn is_owner(name: Option<&str>, uid: u32) -> impl Fn(&str) -> bool {
    let number = uid.to_string();
    move |owner| Some(owner) == name || owner == number
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

fn ranges(table: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<IdRange> {
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            if !is_wanted(owner) {
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
        let found = ranges(table, is_owner(name, 1000));
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
        let found = ranges("4242:7:8", is_owner(None, 4242));
        assert_eq!(found, [IdRange { first: 7, count: 8 }]);
    }

    #[test]
    fn ranges_of_all_users_are_read_whatever_else_is_in_the_file() {
        let found = ranges("a:100:10\nbad\nb:5:x\n1000:7:1\n", |_| true);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].first, found[1].first), (100, 7));
    }
}
