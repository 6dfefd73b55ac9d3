//! What is read of control groups of both versions, in directories that look like theirs.

use super::*;

fn group(version: fn(PathBuf) -> Kind, files: &[(&str, &str)]) -> (tempfile::TempDir, Cgroup) {
    let place = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        fs::write(place.path().join(name), text).expect("a new file");
    }
    let kind = version(place.path().to_owned());
    (place, Cgroup { kind })
}

fn separate(place: PathBuf) -> Kind {
    Kind::Separate(vec![("memory".to_owned(), place)])
}

#[test]
fn kills_for_want_of_memory_are_counted_in_both_versions() {
    let events = "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n";
    let (_place, unified) = group(Kind::Unified, &[("memory.events", events)]);
    assert_eq!(unified.out_of_memory_kills(), 1);
    let control = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
    let (_place, one_each) = group(separate, &[("memory.oom_control", control)]);
    assert_eq!(one_each.out_of_memory_kills(), 3);
    let (_place, without) = group(Kind::Unified, &[]);
    assert_eq!(without.out_of_memory_kills(), 0);
    let absent = Cgroup { kind: Kind::Absent };
    assert_eq!(absent.out_of_memory_kills(), 0);
}
