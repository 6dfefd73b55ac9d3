//! Where the groups of a container are.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::Kind;

/// The directory between our group and those of containers.
const OURS: &str = "rbuild";
/// Controllers that are used where they are mounted.
const CONTROLLERS: [&str; 8] = [
    "memory", "cpu", "cpuacct", "cpuset", "pids", "freezer", "blkio", "devices",
];

/// What we may do with a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// Nothing but look.
    Others,
    /// It is ours, and processes are in it: version 2 has no groups with limits below it.
    Inhabited,
    /// Groups can be made below it.
    Empty,
}

impl Group {
    /// Looks at the group in `directory`.
    pub(super) fn look(directory: &Path) -> Self {
        let is_writable = |name: &str| access(directory.join(name), Access::WRITE_OK).is_ok();
        if !is_writable("") {
            return Self::Others;
        }
        let members = fs::read_to_string(directory.join("cgroup.procs"));
        match members {
            Ok(members) if members.is_empty() && is_writable("cgroup.procs") => Self::Empty,
            _ => Self::Inhabited,
        }
    }
}

/// The groups of container `id`, from the texts of /proc/self/mountinfo and /proc/self/cgroup.
pub(super) fn find(mounts: &str, ours: &str, id: &str, look: &dyn Fn(&Path) -> Group) -> Kind {
    let mounts: Vec<(&str, &str, &str)> = mounts.lines().filter_map(cgroup_mount).collect();
    let separate = separate(&mounts, ours, id, look);
    if !separate.is_empty() {
        return Kind::Separate(separate);
    }
    let own = ours.lines().find_map(|line| line.strip_prefix("0::"));
    let mount = mounts.iter().find(|mount| mount.1 == "cgroup2");
    match (mount, own) {
        (Some((mount, ..)), Some(own)) => {
            let above = above_ours(Path::new(mount), own, look);
            Kind::Unified(above.join(OURS).join(id))
        }
        _ => Kind::Absent,
    }
}

fn separate(
    mounts: &[(&str, &str, &str)],
    ours: &str,
    id: &str,
    look: &dyn Fn(&Path) -> Group,
) -> Vec<(String, PathBuf)> {
    let group = |mount: &str, own: &str| {
        let own = match look(Path::new(mount)) {
            Group::Others => own,
            Group::Inhabited | Group::Empty => "",
        };
        let above = PathBuf::from(mount).join(own.trim_start_matches('/'));
        above.join(OURS).join(id)
    };
    let mut separate = Vec::new();
    for line in ours.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(names), Some(own)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        for name in names.split(',').filter(|name| CONTROLLERS.contains(name)) {
            let of_name = |mount: &&(&str, &str, &str)| {
                mount.1 == "cgroup" && mount.2.split(',').any(|option| option == name)
            };
            if let Some((mount, ..)) = mounts.iter().find(of_name) {
                separate.push((name.to_owned(), group(mount, own)));
            }
        }
    }
    separate
}

/// The group of version 2 below which ours are made: the topmost one for who may write there, else the nearest of ours that
/// has no processes. Where there is none, the one that we are in, which will refuse it.
fn above_ours(mount: &Path, own: &str, look: &dyn Fn(&Path) -> Group) -> PathBuf {
    if look(mount) != Group::Others {
        return mount.to_owned();
    }
    let own = mount.join(own.trim_start_matches('/'));
    let mut candidates = own.ancestors().take_while(|group| *group != mount);
    let empty = candidates.find(|group| look(group) == Group::Empty);
    empty.unwrap_or(&own).to_owned()
}

/// Mount point, type and options of a line of mountinfo (proc(5)), if it is a hierarchy of control groups.
fn cgroup_mount(line: &str) -> Option<(&str, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let point = before.split(' ').nth(4)?;
    let mut fields = after.split(' ');
    let kind = fields.next().filter(|kind| kind.starts_with("cgroup"))?;
    Some((point, kind, fields.nth(1).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_below_our_own_in_both_versions() {
        let separate = find(
            "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             31 25 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
             32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            "9:memory:/ours\n3:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n",
            "abc",
            &|_| Group::Others,
        );
        let path = |text: &str| PathBuf::from(text);
        assert_eq!(
            separate,
            Kind::Separate(vec![
                (
                    "memory".into(),
                    path("/sys/fs/cgroup/memory/ours/rbuild/abc")
                ),
                ("cpu".into(), path("/sys/fs/cgroup/cpu/rbuild/abc")),
                ("cpuacct".into(), path("/sys/fs/cgroup/cpu/rbuild/abc")),
            ])
        );
        let unified = find(
            "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n",
            "0::/user.slice\n",
            "abc",
            &|_| Group::Inhabited,
        );
        let expected = path("/sys/fs/cgroup/rbuild/abc");
        assert_eq!(unified, Kind::Unified(expected));
        assert_eq!(find("", "", "abc", &|_| Group::Empty), Kind::Absent);
    }

    #[test]
    fn groups_that_were_delegated_are_below_the_nearest_that_has_no_processes() {
        let mounts = "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = |inhabited: &[&str]| {
            let look = |group: &Path| {
                if !group.starts_with("/sys/fs/cgroup/user.slice/mine") {
                    Group::Others
                } else if inhabited.iter().any(|one| group.ends_with(one)) {
                    Group::Inhabited
                } else {
                    Group::Empty
                }
            };
            find(mounts, "0::/user.slice/mine/job/leaf\n", "abc", &look)
        };
        let below = |group: &str| {
            let above = Path::new("/sys/fs/cgroup/user.slice").join(group);
            Kind::Unified(above.join("rbuild/abc"))
        };
        assert_eq!(found(&["leaf"]), below("mine/job"));
        assert_eq!(found(&["leaf", "job"]), below("mine"));
        assert_eq!(found(&["leaf", "job", "mine"]), below("mine/job/leaf"));
    }
}
