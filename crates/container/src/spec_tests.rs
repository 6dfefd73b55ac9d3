use std::path::Path;

use super::*;
use crate::{HostFiles, Seed};

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn image() -> RuntimeConfig {
    RuntimeConfig {
        user: "app".into(),
        env: Some(strings(&["PATH=/opt/bin:/bin", "MODE=image"])),
        entrypoint: Some(strings(&["/entry"])),
        cmd: Some(strings(&["serve", "--all"])),
        working_dir: "/srv".into(),
        ..RuntimeConfig::default()
    }
}

fn spec(options: &Options, image: &RuntimeConfig) -> Spec {
    let id = ContainerId::from_seed(Seed([0xab; 32]));
    let surroundings = Surroundings {
        id: &id,
        root: Root::Directory("/root".into()),
        scaffold: "/scaffold".into(),
        mounts: Vec::new(),
        names: &NameFiles {
            host: &HostFiles::default(),
            network: None,
        },
    };
    specification(options, image, surroundings).expect("the options are valid")
}

fn args(entrypoint: Option<&str>, given: &[&str]) -> Vec<String> {
    let options = Options {
        entrypoint: entrypoint.map(str::to_owned),
        args: strings(given),
        ..Options::default()
    };
    command_line(&options, &image()).expect("there is a command")
}

#[test]
fn entrypoint_and_command_combine_as_docker_combines_them() {
    assert_eq!(args(None, &[]), ["/entry", "serve", "--all"]);
    assert_eq!(args(None, &["x"]), ["/entry", "x"]);
    assert_eq!(args(Some("/bin/sh"), &[]), ["/bin/sh"]);
    assert_eq!(args(Some("/bin/sh"), &["-c", "y"]), ["/bin/sh", "-c", "y"]);
    assert_eq!(args(Some(""), &["x"]), ["x"]);
    let options = Options {
        entrypoint: Some(String::new()),
        ..Options::default()
    };
    let nothing = command_line(&options, &image());
    assert!(matches!(nothing, Err(ContainerError::NoCommand)));
}

#[test]
fn the_image_says_user_directory_and_environment_unless_the_user_does() {
    let own = spec(&Options::default(), &image());
    assert_eq!(own.process.user, "app");
    assert_eq!(own.process.cwd, Path::new("/srv"));
    assert_eq!(own.hostname, "abababababab");
    assert_eq!(
        own.process.env,
        ["PATH=/opt/bin:/bin", "HOSTNAME=abababababab", "MODE=image"]
    );
    let options = Options {
        user: Some("1000:1000".into()),
        workdir: Some("/w".into()),
        env: strings(&["MODE=mine"]),
        hostname: Some("web".into()),
        tty: true,
        ..Options::default()
    };
    let given = spec(&options, &image());
    assert_eq!(given.process.user, "1000:1000");
    assert_eq!(given.process.cwd, Path::new("/w"));
    assert_eq!(
        given.process.env,
        [
            "PATH=/opt/bin:/bin",
            "HOSTNAME=web",
            "TERM=xterm",
            "MODE=mine"
        ]
    );
}

#[test]
fn an_image_that_says_nothing_runs_as_root_in_the_root_with_a_path() {
    let options = Options {
        args: strings(&["true"]),
        ..Options::default()
    };
    let spec = spec(&options, &RuntimeConfig::default());
    assert_eq!(spec.process.user, "");
    assert_eq!(spec.process.cwd, Path::new("/"));
    let path = format!("PATH={DEFAULT_PATH}");
    assert_eq!(spec.process.env[0], OsString::from(path));
    assert_eq!(spec.process.seccomp, Seccomp::Default);
}

#[test]
fn isolation_follows_the_options() {
    let options = Options {
        network: NetworkMode::None,
        root_access: RootAccess::ReadOnly,
        security: Security::Privileged,
        ulimits: vec![crate::Ulimit::parse("nofile=10:20").expect("well-formed")],
        shm_bytes: Some(1 << 20),
        ..Options::default()
    };
    let spec = spec(&options, &image());
    assert_eq!(spec.network, Network::None);
    assert_eq!(spec.root_access, Access::ReadOnly);
    assert_eq!(spec.process.seccomp, Seccomp::Unconfined);
    assert_eq!(spec.process.rlimits[0].hard, 20);
    assert_eq!(spec.shm_bytes, 1 << 20);
}
