//! RUN.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use rbuild_dockerfile::{Command, Run, RunScript, Word};

use super::command::with_shell;
use super::{Layer, Outcome, Step};
use crate::go::quote;
use crate::mounts::{self, Mounts};
use crate::stage::Tree;
use crate::{
    Entitlement, Exec, ExecMount, MountKind, NetworkMode, Operation, SecurityMode, Vertex, display,
    env,
};

/// Where a script that begins with `#!` is mounted.
const SCRIPT_DIRECTORY: &str = "/dev/pipes";

/// The mode of such a script.
const SCRIPT_MODE: u32 = 0o755;

/// Where programs look for an SSH agent.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// What a RUN executes.
struct Program {
    args: Vec<String>,
    /// A script to mount.
    script: Option<ExecMount>,
    /// What progress shows behind the line: ` (first line...)`.
    summary: String,
}

impl Step<'_, '_, '_> {
    pub(super) fn run(&mut self, run: &Run) -> Outcome<()> {
        let program = self.program(run);
        let network = self.network(run)?;
        let security = self.security(run)?;
        let devices = self.devices(run)?;

        let options = self.mount_options(run)?;
        let masked = mounts::secret_variables(&options);
        let name = self.run_name(&program.summary, &masked);

        let root = match self.layers() {
            Some(root) => root,
            None => self.empty_tree(),
        };
        let mut mounts = Mounts::new(root);
        self.add_mounts(run, options, &mut mounts)?;
        mounts.list.extend(program.script);

        let mut variables = self.stage.state.env.to_list();
        // The step has a copy of them, and so has the history.
        let bytes: usize = variables.iter().map(String::len).sum();
        self.spend(bytes, self.origin)?;
        let printed = self.printed(&program.args);
        if let Some(socket) = &mounts.agent
            && self.stage.state.env.get(AGENT_VARIABLE).is_none()
        {
            variables.push(format!("{AGENT_VARIABLE}={socket}"));
        }
        let exec = Exec {
            mounts: mounts.list,
            network,
            security,
            devices,
            ..self.exec(program.args, variables)
        };
        let vertex = Vertex {
            arguments: Arc::clone(&self.stage.state.arguments),
            ..self.vertex(Operation::Exec(Box::new(exec)), name, self.cache_use())
        };
        let id = self.stage.plan.add(vertex, &mounts.inputs);
        self.state().tree = Tree::Layers(id);
        self.commit(format!("RUN {printed} # buildkit"), Layer::Made);
        Ok(())
    }

    /// What the stage and the flags of the build say of a step.
    fn exec(&self, args: Vec<String>, variables: Vec<String>) -> Exec {
        let state = &self.stage.state;
        let build = self.stage.build;
        let options = build.options;
        let is_undeclared = |entry: &&String| state.env.get(env::split(entry).0).is_none();
        Exec {
            args,
            env: variables,
            proxy_env: build
                .proxy_env
                .iter()
                .filter(is_undeclared)
                .cloned()
                .collect(),
            cwd: state.cwd.clone(),
            user: state.config.config.user.clone(),
            mounts: Vec::new(),
            network: options.network,
            security: SecurityMode::Sandbox,
            devices: Vec::new(),
            hostname: build.hostname().to_owned(),
            extra_hosts: options.extra_hosts.clone(),
            shm_size: options.shm_size,
            ulimits: options.ulimits.clone(),
        }
    }

    /// The arguments, the shell in front of a shell form.
    fn program(&self, run: &Run) -> Program {
        let config = &self.stage.state.config;
        let plain = |args| Program {
            args,
            script: None,
            summary: String::new(),
        };
        let heredoc = match (run.script(), &run.command) {
            (RunScript::Command, Command::Json(words)) => {
                return plain(words.iter().map(|word| word.value.clone()).collect());
            }
            (RunScript::Command, Command::Shell(text)) => {
                return plain(with_shell(config, text.value.clone()));
            }
            (RunScript::Text(text), _) => return plain(with_shell(config, text)),
            (RunScript::Body(heredoc), _) => heredoc,
        };
        let body = &heredoc.body.value;
        let summary = format!(" ({})", first_line(body));
        if config.os == "windows" || !body.starts_with("#!") {
            return Program {
                summary,
                ..plain(with_shell(config, body.clone()))
            };
        }
        let target = format!("{SCRIPT_DIRECTORY}/{}", heredoc.name.value);
        Program {
            args: with_shell(config, target.clone()),
            script: Some(ExecMount {
                target,
                kind: MountKind::Inline {
                    data: body.clone(),
                    mode: SCRIPT_MODE,
                },
            }),
            summary,
        }
    }

    fn network(&self, run: &Run) -> Outcome<NetworkMode> {
        let options = self.stage.build.options;
        let Some(word) = &run.network else {
            return Ok(options.network);
        };
        match word.value.as_str() {
            "default" => Ok(NetworkMode::Default),
            "none" => Ok(NetworkMode::None),
            "host" if options.network == NetworkMode::Host => Ok(NetworkMode::Host),
            "host" => {
                self.require(Entitlement::NetworkHost, "--network=host", word)?;
                Ok(NetworkMode::Host)
            }
            other => {
                let message = format!("invalid network mode {}", quote(other));
                Err(self
                    .mistake("invalid-network", message, word.span)
                    .with_help("one of default, none, host"))
            }
        }
    }

    fn security(&self, run: &Run) -> Outcome<SecurityMode> {
        let Some(word) = &run.security else {
            return Ok(SecurityMode::Sandbox);
        };
        match word.value.as_str() {
            "sandbox" => Ok(SecurityMode::Sandbox),
            "insecure" => {
                self.require(Entitlement::SecurityInsecure, "--security=insecure", word)?;
                Ok(SecurityMode::Insecure)
            }
            other => {
                let message = format!("invalid security mode {}", quote(other));
                Err(self
                    .mistake("invalid-security", message, word.span)
                    .with_help("one of sandbox, insecure"))
            }
        }
    }

    /// What reaches beyond the sandbox must be allowed by whoever builds.
    fn require(&self, entitlement: Entitlement, flag: &str, word: &Word) -> Outcome<()> {
        if self.stage.build.options.entitlements.contains(&entitlement) {
            return Ok(());
        }
        let message = format!("entitlement {entitlement} is not allowed: RUN {flag} needs it");
        Err(self
            .mistake("not-entitled", message, word.span)
            .with_help(format!(
                "if you trust this Dockerfile, build with --allow {entitlement}"
            )))
    }

    /// `[2/3] RUN make`, known variables put in, those of secrets as `****`.
    fn run_name(&mut self, summary: &str, masked: &[String]) -> String {
        let original = self.command.instruction.original.trim();
        let env = &self.stage.state.env;
        let title = display::expand_known(original, |name| {
            if masked.iter().any(|masked| masked == name) {
                Some("****")
            } else {
                env.get(name)
            }
        });
        let title = super::naming::upper_keyword(&title) + summary;
        self.step_name(&title)
    }

    /// `|2 A=1 B=2 /bin/sh -c make`: the ARGs that the step sees, as they are now, and its arguments.
    fn printed(&self, args: &[String]) -> String {
        let state = &self.stage.state;
        if state.args.is_empty() {
            return args.join(" ");
        }
        // The last of a name counts, at the place of the first.
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut values: Vec<[&str; 2]> = Vec::new();
        for arg in &state.args {
            let value = state.env.get(&arg.name).or(arg.value.as_deref());
            let pair = [arg.name.as_str(), value.unwrap_or_default()];
            match places.entry(&arg.name) {
                hash_map::Entry::Occupied(place) => values[*place.get()] = pair,
                hash_map::Entry::Vacant(place) => {
                    place.insert(values.len());
                    values.push(pair);
                }
            }
        }
        let mut printed = format!("|{}", values.len());
        for [name, value] in values {
            for part in [" ", name, "=", value] {
                printed.push_str(part);
            }
        }
        printed + " " + &args.join(" ")
    }
}

/// The first line, and dots if there are more.
fn first_line(body: &str) -> String {
    let body = body.trim();
    match body.split_once('\n') {
        Some((line, _)) => format!("{}...", line.trim_end_matches('\r')),
        None => body.to_owned(),
    }
}
