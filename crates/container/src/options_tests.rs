use super::*;

#[test]
fn volumes_are_read_as_docker_writes_them() {
    let volume = Volume::parse("/src:/dst:ro,z").expect("well-formed");
    assert_eq!(volume.source, Some(PathBuf::from("/src")));
    assert_eq!(volume.target, PathBuf::from("/dst"));
    assert_eq!(volume.access, RootAccess::ReadOnly);
    assert_eq!(Volume::parse("/data").expect("anonymous").source, None);
    for bad in [
        "name:/dst",
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
    assert_eq!(Tmpfs::parse("/tmp").expect("well-formed").mode, 0o1777);
    for bad in ["run", "/", "/run:uid=5", "/run:mode=9", "/run:size=x"] {
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
    assert!(NetworkMode::parse("bridge").is_err());
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
