//! RUN steps of root with users of their own: `build --userns auto`.

use std::process::Command;

use nix::sys::signal::Signal;
use rstest::rstest;

use crate::support::{Caller, Lab, Project, Running, State, mark, processes_with};

const AUTO: [&str; 2] = ["--userns", "auto"];
/// The first id on the host that is root's inside.
const FIRST: &str = "awk '$2 >= 1073741824 && $3 == 65536 {print $2}' /proc/self/uid_map";

/// Sets `security.capability` of a file, CAP_NET_RAW, as setcap(8) does.
const SETCAP: &str = r#"
#include <sys/xattr.h>
int main(int count, char **words) {
    unsigned value[5] = {0x02000001, 1 << 13};
    return setxattr(words[1], "security.capability", value, sizeof value, 0) != 0;
}
"#;

/// Owners, modes, capabilities, deletions, and what others made of them.
fn busy(lab: &Lab) -> Project {
    let project = lab.project(
        "FROM busybox AS made\n\
         RUN mkdir /made && echo x > /made/one && chown 33:34 /made/one && chmod 4755 /made/one && chown 65534 /made\n\
         FROM busybox\n\
         COPY --chmod=755 setcap /setcap\n\
         RUN touch /a /b && chown 65534:7 /a && chmod 6711 /b && mkdir -m 1777 /open && rm /etc/group && rm -r /var/spool && mkdir /var/spool\n\
         RUN mkdir /own && cp /bin/busybox /own/busybox && /setcap /own/busybox\n\
         RUN --mount=type=bind,from=made,source=/made,target=/m cp -a /m /copied\n\
         COPY --from=made /made /taken\n\
         USER 1000:1001\n\
         RUN touch /open/mine && /own/busybox grep CapEff:.*2000 /proc/self/status && [ $(id -u) = 1000 ]\n\
         USER 0\n\
         RUN chown -R 5:6 /taken && mv /open/mine /open/moved\n",
    );
    project.file("setcap.c", SETCAP);
    let compiled = Command::new("cc")
        .args(["-static", "-w", "-o"])
        .args([project.dir.join("setcap"), project.dir.join("setcap.c")])
        .output()
        .expect("the linker of this very test is a compiler");
    assert!(compiled.status.success(), "{compiled:?}");
    project
}

fn image(lab: &Lab, project: &Project, options: &[&str]) -> String {
    let mut command = lab.build_command(options);
    command.env("SOURCE_DATE_EPOCH", "1").arg(&project.dir);
    Running::start(&mut command).wait().success().image()
}

#[test]
fn images_are_the_same_with_and_without_users_of_their_own_and_so_are_their_keys() {
    let labs = (Lab::new(Caller::Root), Lab::new(Caller::Root));
    let (Some(plain), Some(own)) = labs else {
        return;
    };
    let project = busy(&own);
    let made = image(&own, &project, &AUTO);
    assert_eq!(image(&plain, &project, &[]), made);
    // Each finds what the other made.
    assert!(own.build(&project, &[]).ran().is_empty());
    assert!(plain.build(&project, &AUTO).ran().is_empty());
    let tree = own.tree(&project, &AUTO);
    let owner = |path: &str| (tree.get(path).uid, tree.get(path).gid);
    assert_eq!(owner("a"), (65534, 7));
    assert_eq!(owner("copied/one"), (33, 34));
    assert_eq!(tree.get("copied/one").mode & 0o7777, 0o4755);
    assert_eq!(owner("open/moved"), (1000, 1001));
    assert_eq!(owner("taken/one"), (5, 6));
    assert!(!tree.has("etc/group"));
}

#[test]
fn all_that_is_mounted_in_a_step_has_its_owners() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let seen =
        |path: &str, owner: &str| format!("[ \"$(stat -c '%u %g %a' {path})\" = '{owner}' ]");
    let script = [
        &*format!("[ -n \"$({FIRST})\" ]"),
        &seen("/stage/one", "33 34 4755"),
        "! touch /stage/one 2> /dev/null",
        &seen("/spare/one", "33 34 4755"),
        "chown 1:2 /spare/one && touch /spare/new",
        &seen("/context/Dockerfile", "0 0 600"),
        &seen("/cache", "5 6 750"),
        &seen("/memory", "0 0 1777"),
        &seen("/run/secrets/word", "7 8 440"),
        "[ $(cat /run/secrets/word) = hush ]",
        &seen("$SSH_AUTH_SOCK", "9 10 600"),
        "! mknod /null c 1 3 2> /dev/null",
        "echo x > /dev/null && echo end > /dev/stdout",
    ]
    .join(" && ");
    let project = lab.project(&format!(
        "FROM busybox AS made\n\
         RUN mkdir /made && echo x > /made/one && chown 33:34 /made/one && chmod 4755 /made/one\n\
         FROM busybox\n\
         RUN --mount=type=bind,from=made,source=/made,target=/stage \
         --mount=type=bind,from=made,source=/made,target=/spare,rw \
         --mount=type=bind,target=/context --mount=type=tmpfs,target=/memory \
         --mount=type=cache,target=/cache,uid=5,gid=6,mode=0750 \
         --mount=type=secret,id=word,uid=7,gid=8,mode=0440 \
         --mount=type=ssh,uid=9,gid=10 {script}\n"
    ));
    project.mode("Dockerfile", 0o600);
    std::fs::write(lab.path("word"), "hush").expect("ours");
    let secret = format!("id=word,src={}", lab.path("word").display());
    // Nobody connects with it.
    let agent = format!("default={}", lab.path("agent").display());
    let _listener = std::os::unix::net::UnixListener::bind(lab.path("agent")).expect("ours");
    let options = ["--userns", "auto", "--secret", &secret, "--ssh", &agent];
    let built = lab.build(&project, &options);
    assert_eq!(built.step("--mount=type=ssh").output, ["end"]);
}

#[test]
fn a_cache_mount_has_the_same_owners_for_steps_with_and_without_users_of_their_own() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let step = |script: &str| {
        lab.project(&format!(
            "FROM busybox\nRUN --mount=type=cache,id=c,target=/c {script}\n"
        ))
    };
    lab.build(&step("touch /c/one && chown 7:8 /c/one"), &[]);
    let next = "[ $(stat -c %u%g /c/one) = 78 ] && touch /c/two && chown 3:4 /c/one /c/two";
    lab.build(&step(next), &AUTO);
    let last = "[ $(stat -c %u%g%u%g /c/one /c/two | tr -d '\\n') = 34343434 ]";
    lab.build(&step(last), &[]);
    lab.assert_nothing_left();
}

#[test]
fn steps_that_run_at_the_same_time_have_different_users_and_one_after_the_other_may_have_the_same()
{
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    // Each waits for the other, so that both run.
    let stage = |name: &str, other: &str| {
        format!(
            "FROM busybox AS {name}\nRUN --mount=type=cache,id=c,target=/c {FIRST} > /first && touch /c/{name} && until [ -e /c/{other} ]; do sleep 0.01; done\n"
        )
    };
    let project = lab.project(&format!(
        "{}{}FROM scratch\nCOPY --from=one /first /one\nCOPY --from=two /first /two\n",
        stage("one", "two"),
        stage("two", "one")
    ));
    let tree = lab.tree(&project, &AUTO);
    let (one, two) = (tree.text("one"), tree.text("two"));
    assert_ne!(one, two);
    assert!(!one.is_empty() && !two.is_empty());
}

#[test]
fn a_step_with_users_of_its_own_that_leaves_what_it_left_before_lets_the_next_be_a_hit() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox AS one\nRUN echo same > /x && chown 7 /x\nFROM one\nRUN cat /x > /y\n",
    );
    lab.build(&project, &[]);
    let built = lab.build(&project, &["--userns", "auto", "--no-cache-filter", "one"]);
    assert_eq!(built.state("RUN echo same"), State::Done);
    assert_eq!(built.state("RUN cat"), State::Cached);
}

#[test]
fn the_hosts_network_can_be_had_and_nothing_of_it_changed() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    for mode in ["host", "none", "default"] {
        let project = lab.project(
            "FROM busybox\nRUN [ -d /sys/class/net/lo ] && ! ip link set lo down 2> /dev/null && ! ip link add x type dummy 2> /dev/null && ! hostname x 2> /dev/null\n",
        );
        lab.build(
            &project,
            &["--userns", "auto", "--no-cache", "--network", mode],
        );
    }
}

#[test]
fn an_insecure_step_is_refused_where_it_stands() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox\nRUN --security=insecure true\n");
    let allowed = ["--allow", "security.insecure"];
    lab.try_build(&project, &[&AUTO[..], &allowed].concat())
        .failure()
        .says("Dockerfile:2:16")
        .says("RUN --security=insecure runs as root of the host")
        .says("build with --userns host");
    lab.build(&project, &[&["--userns", "host"], &allowed[..]].concat());
}

#[test]
fn the_configuration_may_give_users_of_their_own_to_steps_and_containers_that_are_told_nothing() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    lab.config("[users]\nbuild = \"auto\"\nrun = \"auto\"\n");
    let project = lab.project(&format!("FROM busybox\nRUN [ -n \"$({FIRST})\" ]\n"));
    lab.build(&project, &["-t", "app"]);
    let run = |options: &[&str]| {
        let command = ["app", "sh", "-c", FIRST];
        let told = lab.rbuild(&[&["run", "--rm"], options, &command].concat());
        told.success().stdout.trim().to_owned()
    };
    assert_ne!(run(&[]), "");
    assert_eq!(run(&["--userns", "host"]), "");
    lab.try_build(&project, &["--userns", "host", "--no-cache"])
        .failure();
    lab.config("[users]\nbuild = \"keep-id\"\n");
    lab.try_build(&project, &[]).failure().says("keep-id");
}

#[test]
fn normal_users_are_told_that_their_steps_have_a_namespace_already() {
    let Some(lab) = Lab::new(Caller::Ranges) else {
        return;
    };
    let project = lab.project("FROM busybox\nRUN true\n");
    lab.try_build(&project, &AUTO)
        .failure()
        .says("steps of a normal user are in that user's namespace already");
    lab.build(&project, &["--userns", "host"]);
    lab.try_build(&project, &["--userns", "keep-id"])
        .failure()
        .says("it is host or auto");
    // The machine's configuration may be for root.
    lab.config("[users]\nbuild = \"auto\"\nrun = \"auto\"\n");
    lab.build(&project, &["--no-cache", "-t", "app"]);
    lab.rbuild(&["run", "--rm", "app", "true"]).success();
}

#[test]
fn a_file_system_that_cannot_show_files_to_others_is_named() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox\nRUN true\n");
    let mut build = Command::new("unshare");
    build.args([
        "--mount",
        "sh",
        "-c",
        "mount -t ramfs none $RBUILD_ROOT && exec \"$@\"",
        "sh",
    ]);
    let own = lab.build_command(&AUTO);
    build.arg(own.get_program()).args(own.get_args());
    for (name, value) in own.get_envs() {
        build.env(name, value.unwrap_or_default());
    }
    Running::start(build.arg(&project.dir))
        .wait()
        .failure()
        .says("has no idmapped mounts (ext4, xfs, btrfs and tmpfs have them");
}

#[rstest]
fn a_build_that_is_killed_leaves_nothing_of_its_steps(
    #[values(Signal::SIGKILL, Signal::SIGINT)] signal: Signal,
) {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let mark = mark();
    let project = lab.project(&format!(
        "FROM busybox\nRUN --mount=type=cache,target=/c --mount=type=bind,target=/b,rw echo be'gun' && sleep {mark}\n"
    ));
    let mut build = lab.start_build(&project, &AUTO);
    build.until_stderr_has("begun");
    build.signal(signal);
    build.wait();
    assert_eq!(processes_with(&mark), [""; 0]);
    lab.assert_nothing_left();
}
