//! What it cannot see, open or do.

use std::fs;
use std::os::unix::fs::symlink;

use rbuild_sandbox::{InitFailure, Network};

use super::{init_failure, tmpfs};
use crate::world::{World, has_other_users, is_root_outside, run, sh, try_run};

cases![
    the_kernels_secrets_are_masked,
    capabilities_are_dockers,
    forbidden_system_calls_fail,
    new_devices_cannot_be_opened,
    usual_devices_work,
    no_descriptor_leaks_in,
    no_network_means_loopback_only,
    hostile_links_cannot_lead_outside,
    a_link_in_the_place_of_proc_is_refused,
    the_builders_program_cannot_be_overwritten,
    lifted_security_lifts,
];

fn the_kernels_secrets_are_masked() {
    let world = World::new();
    for file in [
        "/proc/kcore",
        "/proc/keys",
        "/proc/timer_list",
        "/proc/interrupts",
    ] {
        assert_eq!(
            sh(&world, &format!("cat {file} 2>/dev/null | wc -c")),
            "0",
            "{file}"
        );
    }
    assert_eq!(sh(&world, "ls /sys/firmware 2>/dev/null | wc -l"), "0");
    for file in [
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/sys/kernel/uevent_helper",
        "/proc/sys/vm/drop_caches",
    ] {
        let output = run(&world.shell(&format!("echo x > {file}")));
        assert!(!output.exit.success(), "{file} was written");
    }
}

fn capabilities_are_dockers() {
    let world = World::new();
    let status = sh(&world, "grep ^Cap /proc/self/status");
    let expected = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n\
                    CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n\
                    CapAmb:\t0000000000000000";
    assert_eq!(status, expected);
    assert_eq!(
        sh(&world, "grep NoNewPrivs /proc/self/status"),
        "NoNewPrivs:\t0"
    );
    assert_eq!(sh(&world, "grep Seccomp: /proc/self/status"), "Seccomp:\t2");
    if has_other_users() {
        let mut spec = world.shell("grep ^CapEff /proc/self/status");
        spec.process.user = String::from("alice");
        assert_eq!(run(&spec).stdout, "CapEff:\t0000000000000000\n");
    }
}

fn forbidden_system_calls_fail() {
    let world = World::new();
    let attempts = [
        "unshare-user",
        "unshare-mount",
        "setns",
        "mount",
        "fsopen",
        "keyctl",
        "sethostname",
        "vsock",
        "personality",
        "reboot",
        "pivot_root",
    ];
    let output = run(&world.probe(&attempts));
    for attempt in attempts {
        let line = format!("{attempt}={}", libc::EPERM);
        assert!(
            output.stdout.lines().any(|found| found == line),
            "{output:?}"
        );
    }
    let output = run(&world.probe(&["personality-linux32", "chroot"]));
    assert_eq!(output.stdout, "personality-linux32=0\nchroot=0\n");
}

fn new_devices_cannot_be_opened() {
    let world = World::new();
    for place in ["/null", "/dev/null2", "/tmp/null", "/dev/shm/null"] {
        let script = format!("mknod -m 666 {place} c 1 3 && echo x > {place}");
        let output = run(&world.shell(&script));
        assert!(!output.exit.success(), "{place}: {output:?}");
    }
    assert!(
        !run(&world.shell("mknod /disk b 8 0 && head -c1 /disk"))
            .exit
            .success()
    );
}

fn usual_devices_work() {
    let world = World::new();
    assert_eq!(
        sh(&world, "head -c 3 /dev/zero | wc -c; echo x > /dev/null"),
        "3"
    );
    assert_eq!(sh(&world, "head -c 3 /dev/urandom | wc -c"), "3");
    assert_eq!(sh(&world, "echo x > /dev/shm/file; cat /dev/shm/file"), "x");
    assert_eq!(
        sh(&world, "ls /dev | tr '\\n' ' '"),
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    );
    let size = sh(&world, "df -k /dev/shm | tail -1 | awk '{print $2}'");
    assert_eq!(size, "65536");
}

fn no_descriptor_leaks_in() {
    let world = World::new();
    // `ls` itself opens the fourth.
    let open = run(&world.command(&["ls", "/proc/self/fd"])).stdout;
    assert_eq!(
        open,
        "0
1
2
3
"
    );
    assert_eq!(sh(&world, "readlink /proc/self/fd/0"), "/dev/null");
}

fn no_network_means_loopback_only() {
    let world = World::new();
    let mut spec = world.shell("ls /sys/class/net; ping -c1 -w1 127.0.0.1 >/dev/null && echo up");
    spec.network = Network::None;
    // Busybox's ping needs a raw socket, which Docker's default capabilities allow.
    assert_eq!(run(&spec).stdout, "lo\nup\n");
}

fn hostile_links_cannot_lead_outside() {
    let world = World::new();
    let outside = world.temp.path().join("outside");
    fs::create_dir(&outside).expect("a new directory");
    fs::write(outside.join("file"), "host").expect("a new file");
    let up = "../".repeat(30);
    let etc = world.lower.join("etc");
    let absolute = outside.display().to_string();
    symlink(format!("{absolute}/hosts"), etc.join("hosts")).expect("a new link");
    symlink(format!("{up}{absolute}/resolv"), etc.join("resolv.conf")).expect("a new link");
    symlink(&absolute, world.lower.join("mnt")).expect("a new link");
    symlink("loop", world.lower.join("loop")).expect("a new link");
    symlink("/proc/self/cwd/../../../..", world.lower.join("magic")).expect("a new link");
    let mut spec = world.shell("cat /etc/hosts; echo evil > /mnt/file; echo evil > /etc/hosts");
    spec.mounts = vec![tmpfs("/mnt/sub"), tmpfs("/magic/sub")];
    spec.process.cwd = "/mnt/cwd".into();
    let _ = try_run(&spec, &[]);
    spec.mounts = vec![tmpfs("/mnt/sub")];
    let output = run(&spec);
    assert!(output.stdout.contains("localhost"), "{output:?}");
    assert_eq!(
        fs::read_to_string(outside.join("file")).expect("our file"),
        "host"
    );
    assert_eq!(fs::read_dir(&outside).expect("our directory").count(), 1);
    spec.mounts = vec![tmpfs("/loop/sub")];
    let failure = init_failure(try_run(&spec, &[]));
    assert!(
        matches!(
            failure,
            InitFailure::Step {
                errno: libc::ELOOP,
                ..
            }
        ),
        "{failure}"
    );
}

fn a_link_in_the_place_of_proc_is_refused() {
    let world = World::new();
    symlink("/tmp", world.lower.join("proc")).expect("a new link");
    let failure = init_failure(try_run(&world.shell("true"), &[]));
    assert!(failure.to_string().contains("symbolic link"), "{failure}");
}

fn the_builders_program_cannot_be_overwritten() {
    let world = World::new();
    // Exec of what the init was started from: the step is then this program itself.
    let spec = world.command(&["/proc/self/exe", "--probe", "exe-read-only"]);
    let output = run(&spec);
    assert_eq!(output.stdout, format!("exe-read-only={}\n", libc::EROFS));
}

fn lifted_security_lifts() {
    let world = World::new();
    let mut spec =
        world.shell("mount -t tmpfs none /tmp && grep -E 'CapBnd|Seccomp:' /proc/self/status");
    spec.lift_security();
    let output = run(&spec);
    assert!(output.stdout.contains("Seccomp:\t0"), "{output:?}");
    assert!(!output.stdout.contains("a80425fb"), "{output:?}");
    if is_root_outside() {
        let mut spec = world.shell("mknod /null c 1 3 && echo x > /null");
        spec.lift_security();
        assert!(run(&spec).exit.success());
    }
}
