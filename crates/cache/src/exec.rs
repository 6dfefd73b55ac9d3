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
        preimage.push(format!("arg {position}"), argument);
    }
    for variable in &exec.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        preimage.push(format!("env {name}"), value);
    }
    preimage.push("cwd", &exec.cwd);
    preimage.push("user", &exec.user);
    preimage.push("hostname", &exec.hostname);
    preimage.push("network", network(exec.network));
    preimage.push("security", security(exec.security));
    for (name, _) in &exec.extra_hosts {
        preimage.push("extra host", name);
    }
    if let Some(size) = exec.shm_size {
        preimage.push("shm", size.to_string());
    }
    for (name, soft, hard) in &exec.ulimits {
        preimage.push(format!("ulimit {name}"), format!("{soft}:{hard}"));
    }
    for (mount, content) in exec.mounts.iter().zip(contents) {
        push_mount(&mut preimage, mount, content);
    }
    preimage
}

fn push_mount(preimage: &mut Preimage, mount: &ExecMount, content: &MountContent) {
    preimage.push(format!("mount {}", mount.target), describe(&mount.kind));
    if let MountContent::Digest(digest) = content {
        preimage.push(format!("mounted {}", mount.target), digest);
    }
}

/// A mount's definition without what must not count.
fn describe(kind: &MountKind) -> String {
    match kind {
        MountKind::Bind { access, .. } => format!("bind {}", self::access(*access)),
        MountKind::Cache {
            id,
            id_origin,
            owner,
            mode,
            access,
            ..
        } => {
            let id = match id_origin {
                CacheIdOrigin::Target => id.as_str(),
                CacheIdOrigin::Given => "",
            };
            format!(
                "cache {id} {} {}:{} {mode:o}",
                self::access(*access),
                owner.0,
                owner.1
            )
        }
        MountKind::Tmpfs { size } => format!("tmpfs {}", size.unwrap_or(0)),
        MountKind::Secret {
            id,
            file,
            env,
            presence,
            owner,
            mode,
        } => {
            let file = match file {
                SecretFile::Mounted => "file",
                SecretFile::Absent => "",
            };
            let env = env.as_deref().unwrap_or("");
            let presence = self::presence(*presence);
            format!(
                "secret {id} {file} {env} {presence} {}:{} {mode:o}",
                owner.0, owner.1
            )
        }
        MountKind::Ssh {
            id,
            presence,
            owner,
            mode,
        } => {
            format!(
                "ssh {id} {} {}:{} {mode:o}",
                self::presence(*presence),
                owner.0,
                owner.1
            )
        }
        MountKind::Inline { data, mode } => format!("inline {mode:o} {data}"),
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
