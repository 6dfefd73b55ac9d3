//! `RUN --mount`: from options to what the sandbox mounts.

use rbuild_dockerfile::{
    BindMount, CacheMount, Diagnostic, MountAccess, MountOptions, MountRequirement, MountSharing,
    Run, SecretMount, SshMount, Word, mount_from, parse_mount,
};

use crate::dispatch::{Outcome, Step};
use crate::outline::OutlineNeed;
use crate::reach::StageIndex;
use crate::stage::{StageState, Tree};
use crate::{
    Access, CacheIdOrigin, ExecMount, Input, MountKind, Presence, SecretFile, Sharing, VertexId,
    paths,
};

/// Where secrets appear unless a target is given.
const SECRETS_DIRECTORY: &str = "/run/secrets";

/// Where the sockets of SSH agents appear unless a target is given; a number follows.
const AGENT_SOCKET: &str = "/run/buildkit/ssh_agent.";

/// The mode of a cache mount's directory unless one is given.
const CACHE_MODE: u32 = 0o755;

/// The mounts of one RUN as they are put together, and the trees that they read: the root file system first.
pub(crate) struct Mounts {
    pub(crate) list: Vec<ExecMount>,
    pub(crate) inputs: Vec<VertexId>,
    /// The socket of the first SSH agent.
    pub(crate) agent: Option<String>,
    agents: usize,
}

impl Mounts {
    pub(crate) fn new(root: VertexId) -> Self {
        Self {
            list: Vec::new(),
            inputs: vec![root],
            agent: None,
            agents: 0,
        }
    }

    /// The slot of `tree`. The root file system's slot is not shared: a mount of it is an input of its own.
    fn slot(&mut self, tree: VertexId) -> Input {
        let known = self.inputs.iter().skip(1).position(|&known| known == tree);
        let place = known.map_or_else(
            || {
                self.inputs.push(tree);
                self.inputs.len() - 1
            },
            |place| place + 1,
        );
        Input(place as u32)
    }

    fn push(&mut self, target: String, kind: MountKind) {
        self.list.push(ExecMount { target, kind });
    }
}

/// What a mount names with `from=`.
pub(crate) fn source_of(mount: &Word) -> Result<Option<Word>, Diagnostic> {
    let is_tmpfs = mount
        .value
        .split(',')
        .any(|field| field.eq_ignore_ascii_case("type=tmpfs"));
    if is_tmpfs {
        return Ok(None);
    }
    let from = mount_from(&mount.value).map_err(|reason| Diagnostic {
        help: reason.help(),
        ..Diagnostic::error("invalid-mount", reason.to_string(), mount.span)
    })?;
    Ok(from.map(|from| Word::new(from, mount.span)))
}

impl Step<'_, '_, '_> {
    /// The mounts' options, expanded.
    pub(crate) fn mount_options(&mut self, run: &Run) -> Outcome<Vec<MountOptions>> {
        let mut options = Vec::with_capacity(run.mounts.len());
        for word in &run.mounts {
            let env = &self.stage.state.env;
            let escape = self.stage.build.escape;
            let mut undefined = Vec::new();
            let mut bytes = 0;
            let parsed = parse_mount(&word.value, |value| {
                let expanded = rbuild_dockerfile::expand(value, escape, env)?;
                undefined.extend(expanded.undefined);
                bytes += expanded.text.len().saturating_sub(value.len());
                Ok(expanded.text)
            });
            self.warn_undefined(&undefined, word.span);
            self.spend(bytes, word.span)?;
            options.push(parsed.map_err(|reason| Diagnostic {
                help: reason.help(),
                ..self.mistake("invalid-mount", reason.to_string(), word.span)
            })?);
        }
        Ok(options)
    }

    /// Puts the mounts of `run` together; `sources` are what their `from`s name.
    pub(crate) fn add_mounts(
        &mut self,
        run: &Run,
        options: Vec<MountOptions>,
        mounts: &mut Mounts,
    ) -> Outcome<()> {
        let sources = &self.command.sources;
        for ((options, word), &source) in options.into_iter().zip(&run.mounts).zip(sources) {
            match options {
                MountOptions::Bind(bind) => self.bind(bind, source, word, mounts)?,
                MountOptions::Cache(cache) => self.cache(cache, source, word, mounts)?,
                MountOptions::Tmpfs(tmpfs) => {
                    let target = self.target(&tmpfs.target, word)?;
                    let size = (tmpfs.size > 0).then_some(tmpfs.size);
                    mounts.push(target, MountKind::Tmpfs { size });
                }
                MountOptions::Secret(secret) => self.secret(secret, mounts),
                MountOptions::Ssh(ssh) => self.agent(ssh, mounts),
            }
        }
        Ok(())
    }

    fn bind(
        &mut self,
        bind: BindMount,
        source: Option<StageIndex>,
        word: &Word,
        mounts: &mut Mounts,
    ) -> Outcome<()> {
        let tree = match (source, bind.from) {
            (Some(stage), from) => {
                self.source_tree(stage, from.as_deref().unwrap_or_default(), word.span)?
            }
            (None, _) => match self.context(word.span)? {
                Some(context) => context,
                None => self.empty_tree(),
            },
        };
        let kind = MountKind::Bind {
            from: mounts.slot(tree),
            source: paths::clamp(&bind.source),
            access: access(bind.access),
        };
        mounts.push(self.target(&bind.target, word)?, kind);
        Ok(())
    }

    fn cache(
        &mut self,
        cache: CacheMount,
        source: Option<StageIndex>,
        word: &Word,
        mounts: &mut Mounts,
    ) -> Outcome<()> {
        let from = match source {
            Some(stage) if !self.is_empty_stage(stage) => {
                let name = cache.from.as_deref().unwrap_or_default();
                let tree = self.source_tree(stage, name, word.span)?;
                Some(mounts.slot(tree))
            }
            _ => None,
        };
        let is_default = paths::clamp(&cache.id) == paths::clamp(&cache.target);
        let namespace = self.stage.build.cache_namespace();
        let id = if namespace.is_empty() {
            cache.id
        } else {
            format!("{namespace}/{}", cache.id)
        };
        let kind = MountKind::Cache {
            id,
            id_origin: if is_default {
                CacheIdOrigin::Target
            } else {
                CacheIdOrigin::Given
            },
            sharing: match cache.sharing {
                MountSharing::Shared => Sharing::Shared,
                MountSharing::Private => Sharing::Private,
                MountSharing::Locked => Sharing::Locked,
            },
            from,
            source: paths::clamp(&cache.source),
            owner: (cache.uid.unwrap_or(0), cache.gid.unwrap_or(0)),
            mode: cache.mode.unwrap_or(CACHE_MODE),
            access: access(cache.access),
        };
        mounts.push(self.target(&cache.target, word)?, kind);
        Ok(())
    }

    fn is_empty_stage(&self, index: StageIndex) -> bool {
        let state: Option<&StageState> = self.stage.done[index].as_ref();
        state.is_some_and(|state| state.tree == Tree::Empty)
    }

    fn secret(&mut self, secret: SecretMount, mounts: &mut Mounts) {
        let need = self.need(&secret.id, secret.requirement);
        self.stage.state.captured.secret(need);
        let (target, file) = match (&secret.target, &secret.env) {
            (Some(target), _) => (self.in_cwd(target), SecretFile::Mounted),
            (None, Some(_)) => (default_secret(&secret.id), SecretFile::Absent),
            (None, None) => (default_secret(&secret.id), SecretFile::Mounted),
        };
        let kind = MountKind::Secret {
            id: secret.id,
            file,
            env: secret.env,
            presence: presence(secret.requirement),
            owner: (secret.uid, secret.gid),
            mode: secret.mode,
        };
        mounts.push(target, kind);
    }

    fn agent(&mut self, ssh: SshMount, mounts: &mut Mounts) {
        let need = self.need(&ssh.id, ssh.requirement);
        self.stage.state.captured.agent(need);
        let number = mounts.agents;
        mounts.agents += 1;
        let target = match ssh.target.filter(|target| !target.is_empty()) {
            Some(target) => self.in_cwd(&target),
            None => format!("{AGENT_SOCKET}{number}"),
        };
        mounts.agent.get_or_insert_with(|| target.clone());
        let kind = MountKind::Ssh {
            id: ssh.id,
            presence: presence(ssh.requirement),
            owner: (ssh.uid, ssh.gid),
            mode: ssh.mode,
        };
        mounts.push(target, kind);
    }

    fn need(&self, id: &str, requirement: MountRequirement) -> OutlineNeed {
        OutlineNeed {
            name: id.to_owned(),
            presence: presence(requirement),
            span: self.origin,
        }
    }

    /// A mount's absolute target. Nothing is mounted over the root.
    fn target(&self, target: &str, word: &Word) -> Outcome<String> {
        match self.in_cwd(target).as_str() {
            "/" => {
                let message = "invalid mount target \"/\"";
                Err(self.mistake("invalid-mount", message, word.span))
            }
            target => Ok(target.to_owned()),
        }
    }

    fn in_cwd(&self, path: &str) -> String {
        paths::resolve(&self.stage.state.cwd, path)
    }
}

/// The variables that secrets are given in.
pub(crate) fn secret_variables(options: &[MountOptions]) -> Vec<String> {
    let secrets = options.iter().filter_map(|options| match options {
        MountOptions::Secret(secret) => secret.env.clone(),
        _ => None,
    });
    secrets.collect()
}

fn default_secret(id: &str) -> String {
    format!("{SECRETS_DIRECTORY}/{}", paths::base_name(id))
}

fn access(access: MountAccess) -> Access {
    match access {
        MountAccess::ReadOnly => Access::ReadOnly,
        MountAccess::ReadWrite => Access::ReadWrite,
    }
}

fn presence(requirement: MountRequirement) -> Presence {
    match requirement {
        MountRequirement::Optional => Presence::Optional,
        MountRequirement::Required => Presence::Required,
    }
}
