//! Where the groups of a container are.

use std::path::PathBuf;

use super::Kind;

/// The directory between our group and those of containers.
const OURS: &str = "rbuild";
/// Controllers that are used where they are mounted.
const CONTROLLERS: [&str; 6] = ["memory", "cpu", "cpuacct", "cpuset", "pids", "freezer"];
/// The groups of container `id`, from the texts of /proc/self/mountinfo and /proc/self/cgroup.
pub(super) fn find(mounts: &str, ours: &str, id: &str, writable: &dyn Fn(&str) -> bool) -> Kind {
    let mounts: Vec<(&str, &str, &str)> = mounts.lines().filter_map(cgroup_mount).collect();
    let group = |mount: &str, own: &str| {
        let own = if writable(mount) { "" } else { own };
        PathBuf::from(mount)
            .join(own.trim_start_matches('/'))
            .join(OURS)
            .join(id)
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
    if !separate.is_empty() {
        return Kind::Separate(separate);
    }
    let own = ours.lines().find_map(|line| line.strip_prefix("0::"));
    let mount = mounts.iter().find(|mount| mount.1 == "cgroup2");
    match (mount, own) {
        (Some((mount, ..)), Some(own)) => Kind::Unified(group(mount, own)),
        _ => Kind::Absent,
    }
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
            &|_| false,
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
            &|_| true,
        );
        let expected = path("/sys/fs/cgroup/rbuild/abc");
        assert_eq!(unified, Kind::Unified(expected));
        assert_eq!(find("", "", "abc", &|_| true), Kind::Absent);
    }
}
