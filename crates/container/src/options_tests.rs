use std::path::PathBuf;

use super::*;
use crate::MountOption;
use crate::limits::parse_bytes;

#[test]
fn volumes_are_read_as_docker_writes_them() {
    let volume = Volume::parse("/src:/dst:ro,z").expect("well-formed");
    assert_eq!(volume.source, Some(PathBuf::from("/src")));
    assert_eq!(volume.target, PathBuf::from("/dst"));
    assert_eq!(volume.access, RootAccess::ReadOnly);
    assert_eq!(Volume::parse("/data").expect("anonymous").source, None);
    let named = Volume::parse("data:/dst").expect("well-formed");
    assert_eq!((named.source, named.name.as_deref()), (None, Some("data")));
    for bad in [
        "na/me:/dst",
        "/a:b",
        "/a:/",
        "/a:/b:rslave",
        "/a:/b:ro:x",
        "",
    ] {
        assert!(Volume::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn tmpfs_takes_size_and_mode() {
    let tmpfs = Tmpfs::parse("/run:size=64m,mode=755,nosuid").expect("well-formed");
    assert_eq!((tmpfs.bytes, tmpfs.mode), (Some(64 << 20), 0o755));
    let tmpfs = Tmpfs::parse("/tmp").expect("well-formed");
    assert_eq!((tmpfs.mode, tmpfs.owner), (0o1777, (0, 0)));
    assert_eq!(tmpfs.programs, rbuild_sandbox::Programs::Refused);
    let tmpfs = Tmpfs::parse("/tmp:exec,uid=7,gid=8").expect("well-formed");
    assert_eq!(tmpfs.programs, rbuild_sandbox::Programs::Started);
    assert_eq!(tmpfs.owner, (7, 8));
    for bad in ["run", "/", "/run:uid=x", "/run:mode=9", "/run:size=x"] {
        assert!(Tmpfs::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn hosts_limits_and_sizes() {
    let host = AddHost::parse("db=[2001:db8::1]").expect("well-formed");
    assert_eq!(
        (host.name.as_str(), host.address.as_str()),
        ("db", "2001:db8::1")
    );
    assert!(AddHost::parse("db:10.0.0.1").is_ok());
    assert!(AddHost::parse("db:nowhere").is_err());
    let limit = Ulimit::parse("nofile=1024:-1").expect("well-formed");
    assert_eq!((limit.soft, limit.hard), (1024, u64::MAX));
    assert!(Ulimit::parse("nofile=2:1").is_err());
    assert!(Ulimit::parse("none=1").is_err());
    assert_eq!(parse_bytes("1GiB"), Some(1 << 30));
    assert_eq!(parse_bytes("99999999999g"), None);
    assert_eq!(
        NetworkMode::parse("container:db").expect("well-formed"),
        NetworkMode::Container("db".into())
    );
    assert_eq!(
        NetworkMode::parse("app").expect("well-formed"),
        NetworkMode::Private
    );
    assert!(NetworkMode::parse("container:").is_err());
    assert!(NetworkMode::parse("").is_err());
    let host = AddHost::parse("host.docker.internal:host-gateway").expect("well-formed");
    assert_eq!(host.address([10, 0, 0, 1].into()), "10.0.0.1");
}

#[test]
fn a_variable_without_value_is_passed_on_only_where_the_user_has_it() {
    let mut options = Options::default();
    let source = |name: &str| (name == "TERM").then(|| "vt100".to_owned());
    for variable in ["A=1", "TERM", "NOPE"] {
        options.add_env(variable, &source).expect("well-formed");
    }
    assert_eq!(options.env, ["A=1", "TERM=vt100"]);
    assert!(options.add_env("=x", &source).is_err());
}

#[test]
fn values_that_would_fail_later_are_refused_at_once() {
    let bad = [
        Options {
            name: Some("a/b".into()),
            ..Options::default()
        },
        Options {
            hostname: Some("a b".into()),
            ..Options::default()
        },
        Options {
            workdir: Some("src".into()),
            ..Options::default()
        },
    ];
    assert!(bad.iter().all(|options| options.check().is_err()));
    assert!(Options::default().check().is_ok());
}

#[test]
fn mounts_of_all_kinds_are_read() {
    let mount = |text: &str| MountOption::parse(text);
    let bind = mount("type=bind,source=/a,target=/b,readonly").expect("well-formed");
    assert_eq!(
        bind,
        MountOption::Volume(Volume::parse("/a:/b:ro").expect("well-formed"))
    );
    let volume = mount("src=data,dst=/b").expect("well-formed");
    assert_eq!(
        volume,
        MountOption::Volume(Volume::parse("data:/b").expect("well-formed"))
    );
    let tmpfs = mount("type=tmpfs,target=/t,tmpfs-size=64m").expect("well-formed");
    assert_eq!(
        tmpfs,
        MountOption::Tmpfs(Tmpfs::parse("/t:size=64m").expect("well-formed"))
    );
    for bad in [
        "target=/b,nope=1",
        "type=bind,target=/b",
        "type=npipe,target=/b",
        "source=a",
    ] {
        assert!(mount(bad).is_err(), "{bad}");
    }
}

#[test]
fn capabilities_are_added_and_dropped_as_docker_does() {
    let set = |add: &[&str], drop: &[&str]| {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        let options = Options {
            cap_add: names(add),
            cap_drop: names(drop),
            ..Options::default()
        };
        options.capabilities()
    };
    let of = |name| Capabilities::by_name(name).expect("it exists");
    assert_eq!(set(&[], &["ALL"]), Capabilities::NONE);
    assert_eq!(set(&["CHOWN"], &["all"]), of("CHOWN"));
    assert!(!set(&["ALL"], &["SYS_ADMIN"]).contains(of("SYS_ADMIN")));
    assert!(set(&["NET_ADMIN"], &[]).contains(Capabilities::DEFAULT));
}
