//! The key of a RUN.

use rbuild_image::Platform;
use rbuild_plan::{
    Access, CacheIdOrigin, Exec, ExecMount, MountKind, NetworkMode, Presence, SecretFile,
    SecurityMode,
};

use crate::{Chain, Preimage};

/// What a mount of a RUN brings in, as its key sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountContent {
    /// Nothing that counts: a cache, a tmpfs, a secret, an agent.
    Nothing,
    /// The content digest (or, for a fast key, the chain) of what is mounted.
    Digest(String),
}

/// Everything that `exec` depends on. `contents` has one element for each mount, in order.
///
/// Left out on purpose: proxy variables, secret values, custom cache ids and sharing, the addresses of extra hosts,
/// limits on time and memory.
pub fn exec_preimage(
    exec: &Exec,
    platform: &Platform,
    base: Chain,
    contents: &[MountContent],
) -> Preimage {
    let mut preimage = Preimage::new("exec");
    preimage.push("platform", platform.to_string());
    preimage.push("base", base.hex());
    for (position, argument) in exec.args.iter().enumerate() {
        preimage.push(format_args!("arg {position}"), &**argument);
    }
    for variable in &exec.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        preimage.push(format_args!("env {name}"), value);
    }
    preimage.push("cwd", &*exec.cwd);
    // A lone number once meant a group of that number and no others: results from then must not be found.
    preimage.push("user and groups", &*exec.user);
    preimage.push("hostname", &*exec.hostname);
    preimage.push("network", network(exec.network));
    preimage.push("security", security(exec.security));
    for (name, _) in &exec.extra_hosts {
        preimage.push("extra host", name);
    }
    for name in &exec.devices {
        preimage.push("device", name);
    }
    if let Some(size) = exec.shm_size {
        preimage.push("shm", size.to_string());
    }
    for (name, soft, hard) in &exec.ulimits {
        preimage.push(format_args!("ulimit {name}"), format!("{soft}:{hard}"));
    }
    for (mount, content) in exec.mounts.iter().zip(contents) {
        push_mount(&mut preimage, mount, content);
    }
    preimage
}

/// Each property is an element of its own: in one text, a space in an id could pass for the next property.
fn push_mount(preimage: &mut Preimage, mount: &ExecMount, content: &MountContent) {
    let target = &mount.target;
    let mut push = |what: &str, value: &dyn AsRef<[u8]>| {
        preimage.push(format_args!("mount {target}{what}"), value);
    };
    match &mount.kind {
        MountKind::Bind { access, .. } => {
            push("", &"bind");
            push(" access", &self::access(*access));
        }
        MountKind::Cache {
            id,
            id_origin,
            owner,
            mode,
            access,
            ..
        } => {
            push("", &"cache");
            if *id_origin == CacheIdOrigin::Target {
                push(" id", id);
            }
            push(" access", &self::access(*access));
            push(" owner", &self::owner(*owner));
            push(" mode", &format!("{mode:o}"));
        }
        MountKind::Tmpfs { size } => {
            push("", &"tmpfs");
            push(" size", &size.unwrap_or(0).to_string());
        }
        MountKind::Secret {
            id,
            file,
            env,
            presence,
            owner,
            mode,
        } => {
            push("", &"secret");
            push(" id", id);
            push(" file", &self::file(*file));
            if let Some(name) = env {
                push(" variable", name);
            }
            push(" presence", &self::presence(*presence));
            push(" owner", &self::owner(*owner));
            push(" mode", &format!("{mode:o}"));
        }
        MountKind::Ssh {
            id,
            presence,
            owner,
            mode,
        } => {
            push("", &"ssh");
            push(" id", id);
            push(" presence", &self::presence(*presence));
            push(" owner", &self::owner(*owner));
            push(" mode", &format!("{mode:o}"));
        }
        MountKind::Inline { data, mode } => {
            push("", &"inline");
            push(" mode", &format!("{mode:o}"));
            push(" data", data);
        }
    }
    if let MountContent::Digest(digest) = content {
        push(" content", digest);
    }
}

fn owner((uid, gid): (u32, u32)) -> String {
    format!("{uid}:{gid}")
}

const fn file(file: SecretFile) -> &'static str {
    match file {
        SecretFile::Mounted => "mounted",
        SecretFile::Absent => "absent",
    }
}

const fn access(access: Access) -> &'static str {
    match access {
        Access::ReadOnly => "ro",
        Access::ReadWrite => "rw",
    }
}

const fn presence(presence: Presence) -> &'static str {
    match presence {
        Presence::Required => "required",
        Presence::Optional => "optional",
    }
}

const fn network(mode: NetworkMode) -> &'static str {
    match mode {
        NetworkMode::Default => "default",
        NetworkMode::None => "none",
        NetworkMode::Host => "host",
    }
}

const fn security(mode: SecurityMode) -> &'static str {
    match mode {
        SecurityMode::Sandbox => "sandbox",
        SecurityMode::Insecure => "insecure",
    }
}

#[cfg(test)]
mod tests {
    use rbuild_image::{ContentId, LayerId};
    use rbuild_plan::{Input, Sharing};

    use super::*;

    fn exec(mounts: Vec<ExecMount>) -> Exec {
        Exec {
            args: vec!["/bin/sh".into(), "-c".into(), "make".into()],
            env: ["PATH=/bin", "A=1"].into_iter().collect(),
            proxy_env: Vec::new(),
            cwd: "/src".into(),
            user: "app".into(),
            mounts,
            network: NetworkMode::Default,
            security: SecurityMode::Sandbox,
            hostname: "buildkitsandbox".into(),
            extra_hosts: vec![("registry".into(), "10.0.0.1".into())],
            shm_size: Some(1 << 20),
            devices: Vec::new(),
            ulimits: vec![("nofile".into(), 1024, 2048)],
        }
    }

    fn mount(kind: MountKind) -> ExecMount {
        ExecMount {
            target: "/m".into(),
            kind,
        }
    }

    fn secret(id: &str, env: Option<&str>) -> ExecMount {
        mount(MountKind::Secret {
            id: id.into(),
            file: SecretFile::Mounted,
            env: env.map(str::to_owned),
            presence: Presence::Optional,
            owner: (0, 0),
            mode: 0o400,
        })
    }

    fn cache(id: &str, id_origin: CacheIdOrigin, sharing: Sharing) -> ExecMount {
        mount(MountKind::Cache {
            id: id.into(),
            id_origin,
            sharing,
            from: None,
            source: "/".into(),
            owner: (0, 0),
            mode: 0o755,
            access: Access::ReadWrite,
        })
    }

    fn preimage(exec: &Exec) -> Preimage {
        let base = Chain::of(&[LayerId::Made(ContentId([7; 32]))]);
        let contents = vec![MountContent::Nothing; exec.mounts.len()];
        exec_preimage(exec, &Platform::new("linux", "amd64", ""), base, &contents)
    }

    #[test]
    fn the_key_of_a_run_stays_the_same_across_versions_of_the_program() {
        let bind = mount(MountKind::Bind {
            from: Input(1),
            source: "/".into(),
            access: Access::ReadOnly,
        });
        let mounts = vec![
            bind,
            cache("/m", CacheIdOrigin::Target, Sharing::Shared),
            secret("token", Some("TOKEN")),
            mount(MountKind::Tmpfs { size: None }),
        ];
        assert_eq!(
            preimage(&exec(mounts)).key().to_string(),
            "9620719e004411ff3c088186b9712d87099a3ab87dd44a5bd8da7d1ba60b3399"
        );
    }

    #[test]
    fn proxies_addresses_of_hosts_and_custom_cache_ids_are_not_in_the_key() {
        let one = exec(vec![cache("a", CacheIdOrigin::Given, Sharing::Shared)]);
        let mut other = exec(vec![cache("b", CacheIdOrigin::Given, Sharing::Locked)]);
        other.proxy_env = vec!["http_proxy=http://proxy".into()];
        other.extra_hosts = vec![("registry".into(), "10.0.0.2".into())];
        assert_eq!(preimage(&one).key(), preimage(&other).key());
    }

    #[test]
    fn everything_else_is() {
        let changes: [fn(&mut Exec); 10] = [
            |exec| exec.args.push("x".into()),
            |exec| exec.env.set("B", "2"),
            |exec| exec.env = ["A=1", "PATH=/bin"].into_iter().collect(),
            |exec| exec.cwd = "/".into(),
            |exec| exec.user = "".into(),
            |exec| exec.network = NetworkMode::None,
            |exec| exec.security = SecurityMode::Insecure,
            |exec| exec.hostname = "other".into(),
            |exec| exec.shm_size = None,
            |exec| exec.ulimits[0].1 = 1,
        ];
        let plain = preimage(&exec(Vec::new())).key();
        for (number, change) in changes.iter().enumerate() {
            let mut altered = exec(Vec::new());
            change(&mut altered);
            assert_ne!(preimage(&altered).key(), plain, "change {number}");
        }
    }

    #[test]
    fn an_id_with_spaces_does_not_pass_for_other_properties() {
        let one = exec(vec![secret("a mounted", None)]);
        let other = exec(vec![secret("a", Some("mounted"))]);
        assert_ne!(preimage(&one).key(), preimage(&other).key());
    }
}
