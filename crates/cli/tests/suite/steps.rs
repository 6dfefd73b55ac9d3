//! What steps find around them, and what is heard of them.

use std::os::unix::net::UnixListener;

use rstest::rstest;

use crate::language::root_lab;
use crate::support::{Caller, Lab, Running};

#[rstest]
fn mounts_of_all_types_are_there_and_leave_nothing(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let user = if caller.has_many_ids() { 7 } else { 0 };
    let agent = lab.path("home/agent");
    let _listener = UnixListener::bind(&agent).expect("a socket");
    if let Some(user) = caller.user() {
        std::os::unix::fs::chown(&agent, Some(user), Some(user)).expect("root may");
    }
    let project = lab.project(&format!(
        "FROM busybox AS tool\nRUN echo from stage > /x\n\
         FROM busybox\n\
         RUN --mount=type=bind,target=/ctx --mount=type=bind,from=tool,source=/x,target=/mnt/x cat /ctx/file /mnt/x > /bind && ! touch /ctx/new 2>/dev/null\n\
         RUN --mount=type=bind,target=/ctx,rw touch /ctx/new && echo > /ctx/file\n\
         RUN --mount=type=cache,target=/cache,mode=0700 echo first > /cache/kept\n\
         RUN --mount=type=cache,target=/cache,mode=0700 cat /cache/kept > /cache-said\n\
         RUN --mount=type=tmpfs,target=/tmpfs,size=1m touch /tmpfs/gone && ! dd if=/dev/zero of=/tmpfs/big bs=1M count=2 2>/dev/null\n\
         RUN --mount=type=secret,id=key,required --mount=type=secret,id=none --mount=type=secret,id=key,env=KEY,target=/run/other,mode=0440,uid={user} \
             wc -c < /run/secrets/key > /secret && echo ${{#KEY}} >> /secret && stat -c %a-%u /run/other >> /secret && test ! -e /run/secrets/none\n\
         RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo agent > /ssh\n",
    ));
    project
        .file("file", "from context\n")
        .file("secret", "123456789");
    let secret = format!("id=key,src={}", project.dir.join("secret").display());
    let ssh = format!("default={}", agent.display());
    let tree = lab.tree(&project, &["--secret", &secret, "--ssh", &ssh]);
    assert_eq!(tree.text("bind"), "from context\nfrom stage\n");
    assert_eq!(tree.text("cache-said"), "first\n");
    assert_eq!(tree.text("secret"), format!("9\n9\n440-{user}\n"));
    assert_eq!(tree.text("ssh"), "agent\n");
    for gone in [
        "ctx",
        "mnt",
        "cache",
        "tmpfs",
        "run/secrets",
        "run/other",
        "run/buildkit",
    ] {
        assert!(!tree.has(gone), "{gone} is left in {:?}", tree.paths());
    }
    assert_eq!(
        std::fs::read_to_string(project.dir.join("file")).expect("ours"),
        "from context\n"
    );
    assert!(!project.dir.join("new").exists());
}

#[test]
fn a_secret_is_nowhere_but_in_its_step() {
    let Some(lab) = root_lab() else { return };
    let value = "correct-horse-battery-staple";
    let project = lab.project(
        "FROM busybox\nRUN --mount=type=secret,id=key --mount=type=secret,id=name,env=NAME test -n \"$NAME\" && cat /run/secrets/key | sha256sum > /sum\n",
    );
    let mut command = lab.build_command(&[
        "--secret",
        "id=key,env=SECRET_KEY",
        "--secret",
        "id=name,env=SECRET_KEY",
    ]);
    command
        .env("SECRET_KEY", value)
        .arg(&project.dir)
        .args(["-t", "app"]);
    command.args([
        "--output",
        "type=image",
        "--output",
        &format!("type=oci,dest={}", lab.path("out/app.tar").display()),
    ]);
    let outcome = Running::start(&mut command).wait().success();
    assert!(!outcome.stderr.contains(value));
    let found = crate::support::run(
        "grep",
        &[
            "-rlaF",
            value,
            &lab.path("root").to_string_lossy(),
            &lab.path("out").to_string_lossy(),
        ],
    );
    assert_eq!(found.stdout, "");
    let missing = lab.project("FROM busybox\nRUN --mount=type=secret,id=other,required true\n");
    lab.try_build(&missing, &[])
        .failure()
        .says("other")
        .says("Dockerfile:2");
}

#[test]
fn the_network_of_steps_can_be_cut() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nRUN ls /sys/class/net | tr -d '\\n'\nRUN --network=none ip -o link | wc -l\n");
    let outcome = lab.build(&project, &["--network", "none"]);
    assert_eq!(
        outcome.step("ls /sys/class/net").output,
        ["lo"],
        "{outcome}"
    );
    assert_eq!(outcome.step("ip -o link").output, ["1"], "{outcome}");
    let hosts = lab.project("FROM busybox\nRUN cat /etc/hosts\n");
    lab.build(&hosts, &["--add-host", "example.test:192.0.2.7"])
        .says("192.0.2.7");
}

#[test]
fn volatile_output_and_odd_bytes_reach_the_reader() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nRUN for i in $(seq 1 20000); do echo line $i of many; done; printf 'no newline'; printf '\\377\\n' >&2\n");
    let outcome = lab.build(&project, &[]);
    assert!(
        outcome.stderr.contains("line 1 of many") && outcome.stderr.contains("line 20000 of many")
    );
    let lines = outcome
        .stderr
        .lines()
        .filter(|line| line.ends_with(" of many"))
        .count();
    assert_eq!(lines, 20000);
    assert!(outcome.stderr.contains("no newline"));
}

#[test]
fn resources_of_steps_are_limited_as_asked() {
    let Some(lab) = root_lab() else { return };
    let project =
        lab.project("FROM busybox\nRUN ulimit -n; df -k /dev/shm | tail -1 | awk '{print $2}'\n");
    let outcome = lab.build(
        &project,
        &["--ulimit", "nofile=123:456", "--shm-size", "3m"],
    );
    assert_eq!(
        outcome.step("RUN ulimit").output,
        ["123", "3072"],
        "{outcome}"
    );
}
