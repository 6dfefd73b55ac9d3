//! What the command is: its program, user, surroundings, streams, and how it ends.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rbuild_sandbox::{
    Exit, InitFailure, Rlimit, SandboxError, Stdio, TerminalSize, rlimit_number, spawn,
};

use super::init_failure;
use crate::world::{Output, World, has_other_users, run, sh, try_run};

cases![
    exit_codes_and_signals_come_back,
    output_streams_are_kept_apart,
    a_missing_program_reads_as_docker_users_know_it,
    user_names_numbers_and_groups_are_resolved_in_the_image,
    home_comes_from_passwd_and_path_has_a_default,
    it_is_process_one_of_its_own_world,
    a_terminal_has_a_size_and_jobs,
    limits_are_applied,
    a_large_environment_arrives,
    signals_reach_the_command,
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
