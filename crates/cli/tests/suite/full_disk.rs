//! On a full disk a build says what happened and what to do, and what was there before still works.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Caller, Lab, Outcome};

/// A store on a disk of its own, to which the lab's root leads: what is mounted in a lab counts as left behind.
struct SmallDisk {
    // Ends before its disk does.
    lab: Lab,
    disk: TempDir,
}

impl SmallDisk {
    fn new(megabytes: u32) -> Option<Self> {
        let lab = Lab::new(Caller::Root)?;
        let disk = tempfile::Builder::new()
            .prefix("rbuild-small-disk-")
            .tempdir()
            .expect("a temporary directory");
        std::fs::remove_dir(lab.root()).expect("it is empty");
        std::os::unix::fs::symlink(disk.path(), lab.root()).expect("a new link");
        let disk = Self { lab, disk };
        disk.mount(&format!("size={megabytes}m"));
        Some(disk)
    }

    fn mount(&self, options: &str) {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(self.disk.path())
            .status()
            .expect("mount is there");
        assert!(
            status.success(),
            "mount -o {options} {}",
            self.disk.path().display()
        );
    }

    fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.disk.path()).expect("a mounted disk");
        stat.f_bavail * stat.f_frsize
    }

    /// Leaves nothing.
    fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::create(self.filler()).expect("a new file");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn filler(&self) -> PathBuf {
        self.disk.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since maintenance may still be at work there.
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.disk.path())
            .status();
    }
}

fn says_what_to_do(outcome: Outcome) -> Outcome {
    outcome.says("free now; `rbuild prune` makes room")
}

const SMALL: &str = "FROM busybox\nRUN echo small > /small\n";

#[test]
fn a_step_that_fills_the_disk_leaves_what_was_there_and_the_room_that_was() {
    let Some(disk) = SmallDisk::new(32) else {
        return;
    };
    let lab = &disk.lab;
    let project = lab.project(SMALL);
    let app = lab.build(&project, &["-t", "app"]);
    lab.assert_nothing_left();
    let before = disk.free();

    project.dockerfile(&format!(
        "{SMALL}RUN dd if=/dev/zero of=/big bs=1M count=64\n"
    ));
    let run = says_what_to_do(lab.try_build(&project, &["-t", "big"]).failure());
    run.says("exit code: 1, and no space was left on the disk");
    lab.assert_nothing_left();
    assert!(
        disk.free() + (1 << 20) > before,
        "{} of {before}",
        disk.free()
    );

    project.file("huge", vec![7; 40 << 20]);
    project.dockerfile(&format!("{SMALL}COPY huge /huge\n"));
    let copy = says_what_to_do(lab.try_build(&project, &["-t", "big"]).failure());
    copy.says("Dockerfile:3").says("No space left on device");
    lab.assert_nothing_left();
    assert!(
        disk.free() + (1 << 20) > before,
        "{} of {before}",
        disk.free()
    );

    project.dockerfile(SMALL);
    let again = lab.build(&project, &["-t", "app"]);
    assert_eq!(again.ran(), [""; 0], "{again}");
    assert_eq!(again.image(), app.image());
    lab.rbuild(&["fsck"]).success();
}

#[test]
fn a_disk_without_any_room_can_be_read_and_pruned() {
    let Some(disk) = SmallDisk::new(32) else {
        return;
    };
    let lab = &disk.lab;
    let project = lab.project(SMALL);
    lab.build(&project, &["-t", "app"]);
    lab.assert_nothing_left();
    disk.fill();
    // What is there needs no room.
    let again = lab.build(&project, &["-t", "app"]);
    assert_eq!(again.ran(), [""; 0], "{again}");
    lab.rbuild(&["images"]).success();
    says_what_to_do(lab.rbuild(&["tag", "app", "other"]).failure()).says("disk is full");
    project.dockerfile(&format!("{SMALL}RUN echo other > /other\n"));
    says_what_to_do(lab.try_build(&project, &[]).failure());
    lab.rbuild(&["prune", "-a", "-f"]).success();
    assert!(disk.free() > 1 << 20, "{}", disk.free());
    std::fs::remove_file(disk.filler()).expect("it is there");
    lab.rbuild(&["fsck"]).success();
    lab.build(&project, &["-t", "app"]);
}

#[test]
fn a_base_image_that_does_not_fit_is_fetched_when_it_does() {
    let Some(disk) = SmallDisk::new(2) else {
        return;
    };
    let lab = &disk.lab;
    let project = lab.project(SMALL);
    says_what_to_do(lab.try_build(&project, &["-t", "app"]).failure())
        .says("No space left on device");
    lab.assert_nothing_left();
    disk.mount("remount,size=32m");
    lab.build(&project, &["-t", "app"]);
    lab.rbuild(&["fsck"]).success();
}
