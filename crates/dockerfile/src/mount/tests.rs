//! What `--mount=` options come to.

use rstest::rstest;

use crate::{
    BindMount, CacheMount, MountAccess, MountError, MountOptions, MountRequirement, MountSharing,
    SecretMount, SshMount, TmpfsMount, mount_from, parse_mount,
};

fn parse(text: &str) -> Result<MountOptions, MountError> {
    parse_mount(text, |value| Ok(value.replace("$x", "x,y")))
}

fn bind() -> BindMount {
    BindMount {
        target: "/t".to_owned(),
        source: String::new(),
        from: None,
        access: MountAccess::ReadOnly,
    }
}

fn cache() -> CacheMount {
    CacheMount {
        id: "/t".to_owned(),
        target: "/t".to_owned(),
        source: String::new(),
        from: None,
        sharing: MountSharing::Shared,
        access: MountAccess::ReadWrite,
        mode: None,
        uid: None,
        gid: None,
    }
}

fn secret() -> SecretMount {
    SecretMount {
        id: "s".to_owned(),
        target: Some("/run/secrets/s".to_owned()),
        env: None,
        requirement: MountRequirement::Optional,
        mode: 0o400,
        uid: 0,
        gid: 0,
    }
}

fn ssh() -> SshMount {
    SshMount {
        id: "default".to_owned(),
        target: None,
        requirement: MountRequirement::Optional,
        mode: 0o600,
        uid: 0,
        gid: 0,
    }
}

#[rstest]
#[case("target=/t", bind())]
#[case("type=bind,dst=/t", bind())]
#[case("TYPE=BIND,Destination=/t", bind())]
#[case("target=/t,source=/s,from=base", BindMount { source: "/s".into(), from: Some("base".into()), ..bind() })]
#[case("target=/t,src=/s,rw", BindMount { source: "/s".into(), access: MountAccess::ReadWrite, ..bind() })]
#[case("target=/t,readonly=false", BindMount { access: MountAccess::ReadWrite, ..bind() })]
#[case("target=/t,rw=0", bind())]
#[case("\"target=/a,b\"", BindMount { target: "/a,b".into(), ..bind() })]
#[case("target=$x", BindMount { target: "x,y".into(), ..bind() })]
#[case("from=a", BindMount { target: String::new(), from: Some("a".into()), ..bind() })]
fn bind_mounts_are_read_only_unless_told_otherwise(#[case] text: &str, #[case] mount: BindMount) {
    assert_eq!(parse(text), Ok(MountOptions::Bind(mount)));
}

#[rstest]
#[case("type=cache,target=/t", cache())]
#[case("type=cache,target=/t/../t/.//", CacheMount { target: "/t/../t/.//".into(), ..cache() })]
#[case("type=cache,target=t/", CacheMount { id: "t".into(), target: "t/".into(), ..cache() })]
#[case("type=cache,target=/t,id=i,sharing=LOCKED", CacheMount { id: "i".into(), sharing: MountSharing::Locked, ..cache() })]
#[case("type=cache,target=/t,sharing=private,ro", CacheMount { sharing: MountSharing::Private, access: MountAccess::ReadOnly, ..cache() })]
#[case("type=cache,target=/t,mode=0700,uid=1000,gid=100", CacheMount { mode: Some(0o700), uid: Some(1000), gid: Some(100), ..cache() })]
fn cache_mounts_are_named_by_their_target(#[case] text: &str, #[case] mount: CacheMount) {
    assert_eq!(parse(text), Ok(MountOptions::Cache(mount)));
}

#[rstest]
#[case("type=tmpfs,target=/t", 0)]
#[case("type=tmpfs,target=/t,size=64m", 64 << 20)]
fn tmpfs_mounts_may_be_limited(#[case] text: &str, #[case] size: u64) {
    let mount = TmpfsMount {
        target: "/t".into(),
        size,
        access: MountAccess::ReadWrite,
    };
    assert_eq!(parse(text), Ok(MountOptions::Tmpfs(mount)));
}

#[rstest]
#[case("type=secret,id=s", secret())]
#[case("type=secret,source=s", secret())]
#[case("type=secret,target=/x/s", SecretMount { target: Some("/x/s".into()), ..secret() })]
#[case("type=secret,id=a/s", SecretMount { id: "a/s".into(), ..secret() })]
#[case("type=secret,id=s,required", SecretMount { requirement: MountRequirement::Required, ..secret() })]
#[case("type=secret,id=s,required=false", secret())]
#[case("type=secret,id=s,mode=0444,uid=1,gid=2", SecretMount { mode: 0o444, uid: 1, gid: 2, ..secret() })]
#[case("type=secret,id=s,env=S", SecretMount { target: None, env: Some("S".into()), ..secret() })]
#[case("type=secret,id=s,env=S,target=/f", SecretMount { target: Some("/f".into()), env: Some("S".into()), ..secret() })]
fn a_secret_with_env_and_no_target_has_no_file(#[case] text: &str, #[case] mount: SecretMount) {
    assert_eq!(parse(text), Ok(MountOptions::Secret(mount)));
}

#[rstest]
#[case("type=ssh", ssh())]
#[case("type=ssh,id=k,target=/s,required=true,mode=0666", SshMount { id: "k".into(), target: Some("/s".into()), requirement: MountRequirement::Required, mode: 0o666, ..ssh() })]
fn ssh_mounts_have_the_default_agent(#[case] text: &str, #[case] mount: SshMount) {
    assert_eq!(parse(text), Ok(MountOptions::Ssh(mount)));
}

#[rstest]
#[case("", "failed to parse csv mounts: EOF")]
#[case("a\"b", "failed to parse csv mounts: bare \" in non-quoted-field")]
#[case("type=bnd", "unsupported mount type \"bnd\"")]
#[case("target", "invalid field 'target' must be a key=value pair")]
#[case("target=/t,nope=1", "unexpected key 'nope' in 'nope=1'")]
#[case("target=/t,ro=maybe", "invalid value for ro: maybe")]
#[case("target=/t,size=1m", "unexpected key 'size' for mount type 'bind'")]
#[case(
    "size=1m,type=tmpfs,target=/t",
    "unexpected key 'size' for mount type 'bind'"
)]
#[case(
    "required,type=secret,id=s",
    "unexpected key 'required' for mount type 'bind'"
)]
#[case("type=tmpfs,target=/t,size=big", "invalid value for size: big")]
#[case(
    "type=cache,target=/t,sharing=lock",
    "unsupported sharing value \"lock\""
)]
#[case("type=cache,target=/t,mode=9", "invalid value 9 for mode")]
#[case("type=cache,target=/t,mode=+7", "invalid value +7 for mode")]
#[case("type=cache,target=/t,uid=-1", "invalid value -1 for uid")]
#[case("target=/t,mode=0700", "mode not allowed for \"bind\" type mounts")]
#[case(
    "type=tmpfs,target=/t,uid=1",
    "uid not allowed for \"tmpfs\" type mounts"
)]
#[case("target=/t,sharing=locked", "invalid cache sharing set for bind mount")]
#[case("type=secret", "invalid secret mount. one of source, target required")]
#[case("type=secret,id=a,source=b", "both source and id can't be set")]
#[case("type=secret,id=a,from=b", "secret mount should not have a from")]
#[case(
    "type=secret,id=a,sharing=shared",
    "secret mount should not define sharing"
)]
#[case("type=ssh,source=/x", "ssh does not support source")]
fn wrong_options_are_refused(#[case] text: &str, #[case] message: &str) {
    assert_eq!(
        parse(text).map_err(|error| error.to_string()),
        Err(message.to_owned())
    );
}

#[rstest]
#[case("type=cahe,target=/t", "did you mean cache?")]
#[case("type=cache,tagret=/t", "did you mean target?")]
#[case("type=cache,target=/t,sharing=lockd", "did you mean locked?")]
fn near_misses_are_told(#[case] text: &str, #[case] help: &str) {
    assert_eq!(
        parse(text).map_err(|error| error.help()),
        Err(Some(help.to_owned()))
    );
}

#[rstest]
#[case("type=cache,target=$t", Ok(None))]
#[case("FROM=base,target=/t", Ok(Some("base".to_owned())))]
#[case("from=a$,nonsense", Ok(Some("a$".to_owned())))]
#[case("from=$base", Err(MountError::ExpandedFrom))]
fn parsing_looks_at_nothing_but_from(
    #[case] text: &str,
    #[case] from: Result<Option<String>, MountError>,
) {
    assert_eq!(mount_from(text), from);
}
