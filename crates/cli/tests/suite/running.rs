//! `rbuild run`: images do what their config says.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rstest::rstest;

use crate::support::{Caller, Lab, Running, mark, processes_with};

pub(crate) fn lab_with_image(caller: Caller) -> Option<Lab> {
    let lab = Lab::new(caller)?;
    let project = lab.project(
        "FROM busybox\nENV GREETING=hello EMPTY=\nRUN mkdir /work && chmod 777 /work\nWORKDIR /work\nUSER www-data\n\
         ENTRYPOINT [\"/bin/echo\", \"entry\"]\nCMD [\"default\", \"words\"]\n",
    );
    lab.build(&project, &["-t", "app"]);
    Some(lab)
}

#[rstest]
fn a_container_does_what_the_image_says(#[values(Caller::Root, Caller::Ranges)] caller: Caller) {
    let Some(lab) = lab_with_image(caller) else {
        return;
    };
    let out = |arguments: &[&str]| {
        lab.rbuild(&[&["run", "--rm"], arguments].concat())
            .success()
            .stdout
    };
    assert_eq!(out(&["app"]), "entry default words\n");
    assert_eq!(out(&["app", "other"]), "entry other\n");
    assert_eq!(out(&["--entrypoint", "/bin/pwd", "app"]), "/work\n");
    assert_eq!(
        out(&[
            "--entrypoint",
            "sh",
            "app",
            "-c",
            "echo $GREETING $(id -un) $(pwd) $HOME"
        ]),
        "hello www-data /work /var/www\n"
    );
    assert_eq!(
        out(&[
            "--entrypoint",
            "sh",
            "-e",
            "GREETING=bye",
            "-e",
            "NEW=1",
            "app",
            "-c",
            "echo $GREETING $NEW"
        ]),
        "bye 1\n"
    );
    assert_eq!(
        out(&[
            "--entrypoint",
            "sh",
            "-w",
            "/tmp",
            "-u",
            "0:100",
            "app",
            "-c",
            "pwd; id -u; id -g"
        ]),
        "/tmp\n0\n100\n"
    );
    assert_eq!(
        out(&["--entrypoint", "hostname", "--hostname", "box", "app"]),
        "box\n"
    );
    assert!(
        out(&[
            "--entrypoint",
            "cat",
            "--add-host",
            "name.test:192.0.2.9",
            "app",
            "/etc/hosts"
        ])
        .contains("192.0.2.9")
    );
}

#[test]
fn what_a_container_writes_is_in_no_other_and_in_no_image() {
    let Some(lab) = lab_with_image(Caller::Root) else {
        return;
    };
    let run = |script: &str| {
        lab.rbuild(&[
            "run",
            "--rm",
            "-u",
            "0",
            "--entrypoint",
            "sh",
            "app",
            "-c",
            script,
        ])
        .success()
    };
    run("echo x > /new && rm /bin/vi");
    run("test ! -e /new && test -e /bin/vi");
    assert_eq!(
        std::fs::read_dir(lab.path("root/containers"))
            .expect("a folder")
            .count(),
        0
    );
}

#[rstest]
fn volumes_are_the_hosts_directories(#[values(Caller::Root, Caller::Ranges)] caller: Caller) {
    let Some(lab) = lab_with_image(caller) else {
        return;
    };
    let host = lab.own_folder("host");
    std::fs::write(host.join("in"), "from the host").expect("a new file");
    let volume = format!("{}:/v", host.display());
    let run = |volume: &str, script: &str| {
        lab.rbuild(&[
            "run",
            "--rm",
            "-u",
            "0",
            "-v",
            volume,
            "--entrypoint",
            "sh",
            "app",
            "-c",
            script,
        ])
    };
    run(&volume, "cat /v/in > /v/out").success();
    assert_eq!(
        std::fs::read_to_string(host.join("out")).expect("a new file"),
        "from the host"
    );
    assert!(
        !run(&format!("{volume}:ro"), "touch /v/more")
            .status
            .success()
    );
}

#[rstest]
fn containers_are_listed_named_and_removed(#[values(Caller::Root, Caller::Ranges)] caller: Caller) {
    let Some(lab) = lab_with_image(caller) else {
        return;
    };
    lab.rbuild(&["run", "--name", "one", "app"]).success();
    assert_eq!(
        lab.rbuild(&["run", "--name", "one", "app"]).status.code(),
        Some(125)
    );
    let listed = lab.rbuild(&["ps", "-a"]).success().stdout;
    assert!(
        listed.contains("one") && listed.contains("Exited (0)"),
        "{listed}"
    );
    lab.rbuild(&["rm", "one"]).success();
    assert!(!lab.rbuild(&["ps", "-a"]).success().stdout.contains("one"));
}

#[rstest]
fn signals_reach_the_container_and_nothing_is_left(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = lab_with_image(caller) else {
        return;
    };
    let mark = mark();
    let script = format!("trap 'echo caught; exit 5' TERM; echo ready >&2; sleep {mark} & wait");
    let mut running = Running::start(&mut lab.command(&[
        "run",
        "--rm",
        "-u",
        "0",
        "--entrypoint",
        "sh",
        "app",
        "-c",
        &script,
    ]));
    running.until_stderr_has("ready");
    running.signal(Signal::SIGTERM);
    let outcome = running.wait();
    assert_eq!(
        (outcome.status.code(), outcome.stdout.as_str()),
        (Some(5), "caught\n"),
        "{outcome}"
    );
    assert_eq!(processes_with(&mark), [""; 0]);
}

#[rstest]
fn a_killed_run_leaves_its_container_to_be_dealt_with(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab_with_image(caller) else {
        return;
    };
    let mark = mark();
    let script = format!("echo ready >&2; sleep {mark}");
    // The second one is handed its standard error, and the third one waits for input that never comes.
    for (name, option) in [("kept", "--tty=false"), ("brief", "--rm"), ("reader", "-i")] {
        let script = if name == "reader" {
            "echo ready >&2; cat"
        } else {
            &script
        };
        let run = [
            "run",
            option,
            "--name",
            name,
            "--entrypoint",
            "sh",
            "app",
            "-c",
            script,
        ];
        let mut running = Running::start(&mut lab.command(&run));
        running.until_stderr_has("ready");
        running.signal(Signal::SIGKILL);
        running.wait();
    }
    assert_eq!(lab.rbuild(&["wait", "reader"]).success().stdout, "0\n");
    let listed = || {
        lab.rbuild(&["ps", "--format", "{{.Names}} {{.State}}"])
            .success()
            .stdout
    };
    assert_eq!(listed(), "brief running\nkept running\n");
    lab.rbuild(&["stop", "-t", "0", "brief"]).success();
    lab.rbuild(&["rm", "reader"]).success();
    lab.rbuild(&["rm", "kept"]).failure();
    lab.rbuild(&["rm", "-f", "kept"]).success();
    assert_eq!(lab.rbuild(&["ps", "-aq"]).success().stdout, "");
    assert_eq!(processes_with(&mark), [""; 0]);
    lab.assert_nothing_left();
}

#[rstest]
fn a_service_answers_on_the_hosts_network(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let project = lab.project("FROM busybox\nCOPY index.html /www/\nEXPOSE 8000\nCMD httpd -f -p 127.0.0.1:$PORT -h /www\n");
    project.file("index.html", "served from an image");
    lab.build(&project, &["-t", "web"]);
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port();
    let port_variable = format!("PORT={port}");
    let run = [
        "run",
        "--rm",
        "--name",
        "served",
        "--network",
        "host",
        "-e",
        &port_variable,
        "web",
    ];
    let running = Running::start(&mut lab.command(&run));
    let end = Instant::now() + Duration::from_secs(20);
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < end, "{error}: {}", running.stderr()),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    stream
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .expect("a sent request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("served from an image"), "{answer}");
    lab.rbuild(&["kill", "served"]).success();
    running.wait();
}

#[test]
fn images_are_listed_tagged_told_and_removed() {
    let Some(lab) = lab_with_image(Caller::Root) else {
        return;
    };
    lab.rbuild(&["tag", "app", "other:v2"]).success();
    let listed = lab.rbuild(&["images"]).success().stdout;
    assert!(
        listed.contains("app") && listed.contains("other") && listed.contains("v2"),
        "{listed}"
    );
    let history = lab.rbuild(&["history", "app"]).success().stdout;
    assert!(
        history.contains("mkdir /work") && history.contains("USER www-data"),
        "{history}"
    );
    let told = lab.rbuild(&["inspect", "app"]).success().stdout;
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        told[0]["Config"]["Entrypoint"],
        serde_json::json!(["/bin/echo", "entry"])
    );
    assert_eq!(
        lab.rbuild(&["run", "--rm", "other:v2", "x"])
            .success()
            .stdout,
        "entry x\n"
    );
    lab.rbuild(&["rmi", "app"]).success();
    assert_eq!(
        lab.rbuild(&["run", "--rm", "other:v2", "x"])
            .success()
            .stdout,
        "entry x\n"
    );
    lab.rbuild(&["rmi", "other:v2"]).success();
    lab.rbuild(&["inspect", "other:v2"]).failure();
    lab.rbuild(&["prune", "--all", "--force"]).success();
    lab.rbuild(&["du"]).success();
    assert_eq!(
        std::fs::read_dir(lab.path("root/layers"))
            .expect("a folder")
            .count(),
        0
    );
}
