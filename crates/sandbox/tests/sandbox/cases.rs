//! The cases. Each holds for root and, with less where less exists, for normal users.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio as ProcessStdio};
use std::thread;
use std::time::{Duration, Instant};

use rbuild_sandbox::{
    Access, Exit, InitFailure, Merged, Mount, Network, Programs, Rlimit, Root, SandboxError,
    Source, Stdio, TerminalSize, rlimit_number, spawn,
};
use rbuild_sys::{OverlayFlavor, UpperWork, mount_overlay};

use crate::apart;
use crate::world::{Output, World, has_other_users, is_root_outside, run, sh, try_run};

type Case = (&'static str, fn());

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[Case] = &[$((stringify!($name), $name)),*];
    };
}

cases![
    exit_codes_and_signals_come_back,
    output_streams_are_kept_apart,
    a_missing_program_reads_as_docker_users_know_it,
    user_names_numbers_and_groups_are_resolved_in_the_image,
    home_comes_from_passwd_and_path_has_a_default,
    it_is_process_one_of_its_own_world,
    the_kernels_secrets_are_masked,
    capabilities_are_dockers,
    forbidden_system_calls_fail,
    new_devices_cannot_be_opened,
    usual_devices_work,
    no_descriptor_leaks_in,
    nothing_is_left_in_the_layer,
    made_mount_points_go_unless_they_were_filled,
    times_of_directories_are_kept,
    a_daemon_left_behind_neither_hangs_nor_survives,
    no_network_means_loopback_only,
    hostile_links_cannot_lead_outside,
    a_link_in_the_place_of_proc_is_refused,
    the_builders_program_cannot_be_overwritten,
    a_killed_builder_takes_its_step_along,
    a_step_can_be_killed_from_another_thread,
    the_thread_that_started_it_may_end,
    fifty_at_once,
    a_missing_working_directory_is_made_and_stays,
    secrets_are_files_in_memory,
    mounts_of_every_kind,
    the_root_can_be_read_only,
    a_terminal_has_a_size_and_jobs,
    limits_are_applied,
    lifted_security_lifts,
    a_large_environment_arrives,
    signals_reach_the_command,
    a_plain_directory_can_be_the_root,
];

fn exit_codes_and_signals_come_back() {
    let world = World::new();
    assert_eq!(run(&world.shell("exit 0")).exit, Exit::Code(0));
    assert_eq!(run(&world.shell("exit 42")).exit, Exit::Code(42));
    // Process 1 ignores what it does not handle, even from itself; a child does not.
    assert_eq!(
        run(&world.shell("sh -c 'kill -9 $$'; exit $?")).exit,
        Exit::Code(137)
    );
}

fn output_streams_are_kept_apart() {
    let world = World::new();
    let output = run(&world.shell("echo out; echo err >&2; cat; echo again > /dev/stdout"));
    assert_eq!(output.stdout, "out\nagain\n");
    assert_eq!(output.stderr, "err\n");
}

fn init_failure(result: Result<Output, SandboxError>) -> InitFailure {
    match result {
        Err(SandboxError::Init(failure)) => failure,
        other => panic!("expected a failed start, got {other:?}"),
    }
}

fn a_missing_program_reads_as_docker_users_know_it() {
    let world = World::new();
    let failure = init_failure(try_run(&world.command(&["foo"]), &[]));
    assert_eq!(
        failure.to_string(),
        r#"exec: "foo": executable file not found in $PATH"#
    );
    assert_eq!(failure.exit_code(), 127);
    let failure = init_failure(try_run(&world.command(&["/bin/nosuch"]), &[]));
    assert_eq!(
        failure.to_string(),
        "exec /bin/nosuch: no such file or directory"
    );
    let failure = init_failure(try_run(&world.command(&["/etc/passwd"]), &[]));
    assert_eq!(failure.to_string(), "exec /etc/passwd: permission denied");
    assert_eq!(failure.exit_code(), 126);
    let script = world.lower.join("bin/script");
    fs::write(&script, "#!/no/interpreter\n").expect("a new file");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("our file");
    let failure = init_failure(try_run(&world.command(&["script"]), &[]));
    assert_eq!(
        failure.to_string(),
        "exec script: no such file or directory"
    );
    let mut spec = world.shell("true");
    spec.process.user = String::from("mallory");
    let failure = init_failure(try_run(&spec, &[]));
    assert_eq!(failure, InitFailure::UnknownUser("mallory".to_owned()));
}

fn user_names_numbers_and_groups_are_resolved_in_the_image() {
    let world = World::new();
    let id = |user: &str| {
        let mut spec = world.shell("echo $(id -u) $(id -g) $(id -G)");
        user.clone_into(&mut spec.process.user);
        try_run(&spec, &[])
    };
    let text = |result: Result<Output, SandboxError>| {
        result.expect("the sandbox works").stdout.trim().to_owned()
    };
    let root = text(id(""));
    assert!(root.starts_with("0 0 0"), "{root}");
    if !has_other_users() {
        let failure = init_failure(id("alice"));
        assert_eq!(
            failure,
            InitFailure::UnmappedUser {
                uid: 1000,
                gid: 1000
            }
        );
        return;
    }
    assert_eq!(text(id("alice")), "1000 1000 1000 29");
    assert_eq!(text(id("1000")), "1000 1000 1000 29");
    assert_eq!(text(id("7:8")), "7 8 8");
    assert_eq!(text(id("alice:audio")), "1000 29 29");
}

fn home_comes_from_passwd_and_path_has_a_default() {
    let world = World::new();
    assert_eq!(sh(&world, "echo $HOME"), "/root");
    let mut spec = world.shell("echo $HOME $FOO");
    spec.process.env = vec!["HOME=/elsewhere".into(), "FOO=a b".into()];
    assert_eq!(run(&spec).stdout, "/elsewhere a b\n");
}

fn it_is_process_one_of_its_own_world() {
    let world = World::new();
    assert_eq!(sh(&world, "echo $$"), "1");
    assert_eq!(sh(&world, "hostname; cat /etc/hostname"), "box\nbox");
    assert_eq!(sh(&world, "cat /etc/hosts"), "127.0.0.1 localhost");
    // Of builtins alone: of a pipe's two processes the second may not be there when the first looks.
    assert_eq!(sh(&world, "set -- /proc/[0-9]*; echo $*"), "/proc/1");
    assert_eq!(sh(&world, "umask"), "0022");
    for kind in ["mnt", "pid", "ipc", "uts", "cgroup"] {
        let outside = fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
        let inside = sh(&world, &format!("readlink /proc/self/ns/{kind}"));
        assert_ne!(Path::new(&inside), outside, "{kind}");
    }
    let outside = fs::read_link("/proc/self/ns/net").expect("a namespace");
    assert_eq!(
        Path::new(&sh(&world, "readlink /proc/self/ns/net")),
        outside
    );
    // Nothing of the host's tree is mounted any more.
    let points = sh(&world, "cut -d' ' -f2 /proc/self/mounts");
    assert!(!points.contains("scaffold"), "{points}");
    assert!(!sh(&world, "cat /proc/self/mountinfo").contains("ext4"));
}

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

fn nothing_is_left_in_the_layer() {
    let world = World::new();
    sh(
        &world,
        "cat /etc/hosts /etc/resolv.conf; echo 10.0.0.1 me >> /etc/hosts",
    );
    assert_eq!(world.changes(), Vec::<String>::new());
    sh(&world, "echo x > /etc/new");
    assert_eq!(world.changes(), ["etc", "etc/new"]);
}

fn tmpfs(target: &str) -> Mount {
    Mount {
        target: target.into(),
        source: Source::Tmpfs {
            bytes: Some(1 << 20),
            mode: 0o1777,
            owner: (0, 0),
            programs: Programs::Started,
        },
        access: Access::ReadWrite,
    }
}

fn secret(target: &str) -> Mount {
    Mount {
        target: target.into(),
        source: Source::Data {
            bytes: b"hunter2".to_vec(),
            mode: 0o400,
            uid: 0,
            gid: 0,
        },
        access: Access::ReadOnly,
    }
}

fn made_mount_points_go_unless_they_were_filled() {
    let world = World::new();
    let mut spec = world.shell("echo x > /root/.cache/pip/file; cat /run/secrets/key");
    spec.mounts = vec![
        tmpfs("/root/.cache/pip"),
        secret("/run/secrets/key"),
        tmpfs("/etc/a/b"),
    ];
    let output = run(&spec);
    assert_eq!(output.stdout, "hunter2");
    assert_eq!(world.changes(), Vec::<String>::new());
    // A directory on the way that the step used itself stays.
    let mut spec = world.shell("echo x > /root/kept");
    spec.mounts = vec![tmpfs("/root/.cache/pip")];
    run(&spec);
    assert_eq!(world.changes(), ["root", "root/kept"]);
}

fn times_of_directories_are_kept() {
    let world = World::new();
    sh(&world, "mkdir /work; touch -d @1000000000 /work");
    let mut spec = world.shell("true");
    spec.mounts = vec![tmpfs("/work/cache"), tmpfs("/work/other/deep")];
    run(&spec);
    assert_eq!(world.changes(), ["work"]);
    let metadata = fs::metadata(world.diff.join("work")).expect("it stays");
    assert_eq!(metadata.mtime(), 1_000_000_000);
}

fn a_daemon_left_behind_neither_hangs_nor_survives() {
    let world = World::new();
    let begun = Instant::now();
    let output = run(&world.shell("sleep 987654 & (setsid sleep 987654 &) ; echo done"));
    assert_eq!(output.stdout, "done\n");
    assert!(begun.elapsed() < Duration::from_secs(20));
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

fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn a_killed_builder_takes_its_step_along() {
    let mut builder = Command::new(std::env::current_exe().expect("this program has a path"))
        .arg("--builder")
        .stdout(ProcessStdio::piped())
        .spawn()
        .expect("this program starts");
    let mut line = String::new();
    let stdout = builder.stdout.take().expect("it was piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("the builder tells");
    let (pid, temp) = line.trim().split_once(' ').expect("two words");
    assert!(is_alive(pid));
    builder.kill().expect("our child");
    builder.wait().expect("our child");
    let begun = Instant::now();
    while is_alive(pid) {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the step lives on"
        );
        thread::sleep(Duration::from_millis(5));
    }
    fs::remove_dir_all(temp).expect("nothing is mounted there");
}

fn a_step_can_be_killed_from_another_thread() {
    let world = World::new();
    let running = spawn(&world.shell("sleep 987654"), Stdio::Null, &[]).expect("it starts");
    let killer = running.killer();
    let other = thread::spawn(move || killer.kill());
    assert_eq!(running.wait().expect("it ends"), Exit::Signal(9));
    other.join().expect("it does not panic");
}

fn the_thread_that_started_it_may_end() {
    let world = World::new();
    let spec = world.shell("sleep 0.2; exit 3");
    let running = thread::spawn(move || spawn(&spec, Stdio::Null, &[]).expect("it starts"))
        .join()
        .expect("it does not panic");
    assert_eq!(running.wait().expect("it ends"), Exit::Code(3));
}

fn fifty_at_once() {
    let world = World::new();
    thread::scope(|scope| {
        for index in 0..50 {
            let world = &world;
            scope.spawn(move || {
                let step = world.temp.path().join(format!("step{index}"));
                let (diff, work) = (step.join("diff"), step.join("work"));
                fs::create_dir_all(&diff).expect("a new directory");
                fs::create_dir_all(&work).expect("a new directory");
                let mut spec = world.shell(&format!("echo {index} > /file; echo {index}"));
                spec.root = Root::Overlay(Merged {
                    lowers: vec![world.lower.clone()],
                    upper: Some(rbuild_sandbox::Upper {
                        diff: diff.clone(),
                        work,
                    }),
                });
                assert_eq!(run(&spec).stdout, format!("{index}\n"));
                let written = fs::read_to_string(diff.join("file")).expect("it was written");
                assert_eq!(written, format!("{index}\n"));
            });
        }
    });
}

fn a_missing_working_directory_is_made_and_stays() {
    let world = World::new();
    let mut spec = world.shell("pwd");
    spec.process.cwd = "/srv/app/deep".into();
    assert_eq!(run(&spec).stdout, "/srv/app/deep\n");
    assert_eq!(world.changes(), ["srv", "srv/app", "srv/app/deep"]);
}

fn secrets_are_files_in_memory() {
    let world = World::new();
    let mut spec = world.shell(
        "stat -c '%a %u:%g' /run/secrets/key; stat -f -c %T /run/secrets/key; \
         echo x > /run/secrets/key",
    );
    spec.mounts = vec![secret("/run/secrets/key")];
    let output = run(&spec);
    assert_eq!(output.stdout, "400 0:0\ntmpfs\n");
    assert!(output.stderr.contains("Read-only"), "{output:?}");
    // A script handed in this way can be executed.
    let mut spec = world.command(&["/dev/pipes/EOF"]);
    spec.mounts = vec![Mount {
        target: "/dev/pipes/EOF".into(),
        source: Source::Data {
            bytes: b"#!/bin/sh\necho ran\n".to_vec(),
            mode: 0o755,
            uid: 0,
            gid: 0,
        },
        access: Access::ReadOnly,
    }];
    assert_eq!(run(&spec).stdout, "ran\n");
}

fn mounts_of_every_kind() {
    let world = World::new();
    let shared = world.temp.path().join("shared");
    let throw = world.temp.path().join("throw");
    for directory in [&shared, &throw.join("upper"), &throw.join("work")] {
        fs::create_dir_all(directory).expect("a new directory");
    }
    fs::write(shared.join("file"), "old").expect("a new file");
    let upper = UpperWork {
        upper: &throw.join("upper"),
        work: &throw.join("work"),
    };
    let tree = mount_overlay(&[&shared], Some(upper), OverlayFlavor::detect()).expect("it mounts");
    let bind = |target: &str, source, access| Mount {
        target: target.into(),
        source,
        access,
    };
    let mut spec = world.shell(
        "echo new > /tree/file && cat /tree/file /rw/file; \
         echo x > /rw/made; echo x > /ro/made || echo refused; cat relative/file",
    );
    spec.process.cwd = "/home".into();
    spec.mounts = vec![
        bind("/tree", Source::Tree(0), Access::ReadWrite),
        bind("/rw", Source::Path(shared.clone()), Access::ReadWrite),
        bind("/ro", Source::Path(shared.clone()), Access::ReadOnly),
        bind(
            "relative/file",
            Source::Path(shared.join("file")),
            Access::ReadOnly,
        ),
    ];
    let output = try_run(&spec, &[tree.as_fd()]).expect("the sandbox works");
    if apart::is_asked_for() {
        // What is the host's belongs to nobody inside.
        assert_eq!(output.stdout, "refused\nold");
        assert!(!shared.join("made").exists());
        return;
    }
    assert_eq!(output.stdout, "new\noldrefused\nold");
    assert_eq!(
        fs::read_to_string(shared.join("file")).expect("our file"),
        "old"
    );
    assert!(shared.join("made").exists());
    assert_eq!(world.changes(), Vec::<String>::new());
}

fn the_root_can_be_read_only() {
    let world = World::new();
    let mut spec = world.shell("echo x > /file");
    spec.root_access = Access::ReadOnly;
    assert!(run(&spec).stderr.contains("Read-only"));
    let mut mounted = world.shell("cat /not/there; echo x > /not/here");
    mounted.root_access = Access::ReadOnly;
    mounted.mounts = vec![Mount {
        target: "/not/there".into(),
        source: Source::Data {
            bytes: b"found".to_vec(),
            mode: 0o644,
            uid: 0,
            gid: 0,
        },
        access: Access::ReadOnly,
    }];
    let output = run(&mounted);
    assert_eq!(output.stdout, "found");
    assert!(output.stderr.contains("Read-only"), "{}", output.stderr);
    assert_eq!(world.changes(), Vec::<String>::new());
    spec.root = Root::Overlay(Merged {
        lowers: vec![world.lower.clone()],
        upper: None,
    });
    assert!(run(&spec).stderr.contains("Read-only"));
}

fn a_terminal_has_a_size_and_jobs() {
    let world = World::new();
    let size = TerminalSize {
        rows: 33,
        columns: 111,
    };
    let script = "tty; stty size; read line; echo got $line; stty size; echo x > /dev/console";
    let running = spawn(&world.shell(script), Stdio::Terminal(size), &[]).expect("it starts");
    let terminal = running.terminal().expect("it was asked for");
    let mut master = fs::File::from(terminal.try_clone_to_owned().expect("a copy"));
    let mut seen = String::new();
    let mut read_until = |master: &mut fs::File, end: &str| {
        let mut bytes = [0; 256];
        while !seen.contains(end) {
            let length = master.read(&mut bytes).unwrap_or(0);
            assert!(length > 0, "ended with {seen:?}");
            seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    };
    read_until(&mut master, "33 111");
    running
        .resize(TerminalSize {
            rows: 10,
            columns: 20,
        })
        .expect("it is there");
    master.write_all(b"hello\n").expect("it is there");
    read_until(&mut master, "got hello");
    read_until(&mut master, "10 20");
    assert!(running.wait().expect("it ends").success());
    assert!(seen.contains("/dev/pts/0"), "{seen}");
}

fn limits_are_applied() {
    let world = World::new();
    let mut spec = world.shell("ulimit -n; ulimit -Hc");
    spec.process.rlimits = vec![
        Rlimit {
            resource: rlimit_number("nofile").expect("a known name"),
            soft: 77,
            hard: 88,
        },
        Rlimit {
            resource: rlimit_number("core").expect("a known name"),
            soft: 0,
            hard: 0,
        },
    ];
    assert_eq!(run(&spec).stdout, "77\n0\n");
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

fn a_large_environment_arrives() {
    let world = World::new();
    let mut spec = world.shell("echo ${#BIG}");
    spec.process.env = vec![format!("BIG={}", "x".repeat(120_000)).into()];
    for index in 0..5 {
        spec.process
            .env
            .push(format!("V{index}={}", "y".repeat(100_000)).into());
    }
    assert_eq!(run(&spec).stdout, "120000\n");
}

fn signals_reach_the_command() {
    let world = World::new();
    let spec = world.shell("trap 'exit 7' TERM; echo x > /ready; while :; do sleep 0.05; done");
    let running = spawn(&spec, Stdio::Null, &[]).expect("it starts");
    let begun = Instant::now();
    while !world.diff.join("ready").exists() {
        assert!(begun.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(5));
    }
    running
        .killer()
        .signal(libc::SIGTERM)
        .expect("a known signal");
    assert_eq!(running.wait().expect("it ends"), Exit::Code(7));
}

fn a_plain_directory_can_be_the_root() {
    let world = World::new();
    let mut spec = world.shell("cat /etc/hosts; echo x > /file");
    spec.root = Root::Directory(world.lower.clone());
    assert_eq!(run(&spec).stdout, "127.0.0.1 localhost\n");
    assert!(world.lower.join("file").exists());
    assert!(!world.lower.join("etc/hosts").exists());
    assert!(!world.lower.join("proc").exists());
}
