//! `rbuild run`: images do what their config says.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rstest::rstest;

use crate::support::{Caller, Lab, Running, mark, processes_with};

fn lab_with_image(caller: Caller) -> Option<Lab> {
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

#[rstest]
#[case("exit 0", 0)]
#[case("exit 7", 7)]
#[case("kill -9 $$; sleep 1; exit 9", 9)]
#[case("sh -c 'kill -TERM $$'; exit $?", 143)]
fn its_exit_status_is_passed_on(#[case] script: &str, #[case] status: i32) {
    let Some(lab) = lab_with_image(Caller::Root) else {
        return;
    };
    let outcome = lab.rbuild(&["run", "--rm", "--entrypoint", "sh", "app", "-c", script]);
    assert_eq!(outcome.status.code(), Some(status), "{outcome}");
}

#[test]
fn what_cannot_start_is_told_as_docker_tells_it() {
    let Some(lab) = lab_with_image(Caller::Root) else {
        return;
    };
    let status = |arguments: &[&str]| {
        lab.rbuild(&[&["run", "--rm"], arguments].concat())
            .status
            .code()
    };
    assert_eq!(status(&["--entrypoint", "/no/such", "app"]), Some(127));
    assert_eq!(status(&["--entrypoint", "/etc/passwd", "app"]), Some(126));
    assert_eq!(status(&["--user", "nobodyknows", "app"]), Some(125));
    assert_eq!(status(&["--no-such-flag", "app"]), Some(125));
}

#[rstest]
fn standard_streams_are_the_callers(#[values(Caller::Root, Caller::SingleId)] caller: Caller) {
    let Some(lab) = lab_with_image(caller) else {
        return;
    };
    let user = ["-u", "0"];
    let arguments = [
        &["run", "--rm", "-i", "--entrypoint", "sh"],
        &user[..],
        &["app", "-c", "cat; echo error >&2"],
    ]
    .concat();
    let input: Vec<u8> = (0..200_000_u32)
        .flat_map(|number| format!("{number}\n").into_bytes())
        .collect();
    let outcome = Running::with_input(&mut lab.command(&arguments), &input)
        .wait()
        .success();
    assert!(
        outcome.stdout.as_bytes() == input,
        "{} bytes came back of {}",
        outcome.stdout.len(),
        input.len()
    );
    assert_eq!(outcome.stderr, "error\n");
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
fn an_interactive_container_has_a_terminal() {
    let Some(lab) = lab_with_image(Caller::Root) else {
        return;
    };
    if !crate::support::require("script", "a terminal") {
        return;
    }
    let mut inner = lab.command(&[
        "run",
        "--rm",
        "-it",
        "--entrypoint",
        "sh",
        "app",
        "-c",
        "tty; stty size; echo $TERM",
    ]);
    inner.env("TERM", "xterm");
    let line = format!(
        "stty rows 33 cols 77; {} {}",
        inner.get_program().to_string_lossy(),
        inner
            .get_args()
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect::<Vec<_>>()
            .join(" ")
    );
    let mut outer = lab.command(&[]);
    let environment: Vec<_> = outer
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    outer = std::process::Command::new("script");
    outer
        .args(["-qec", &line, "/dev/null"])
        .envs(environment)
        .env("TERM", "xterm");
    let outcome = Running::start(&mut outer).wait().success();
    assert!(
        outcome.stdout.contains("/dev/pts/0")
            && outcome.stdout.contains("33 77")
            && outcome.stdout.contains("xterm"),
        "{outcome}"
    );
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
