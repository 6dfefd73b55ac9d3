//! RUN.

use std::sync::Arc;

use rbuild_dockerfile::{Command, Run, RunScript, Variables, Word};

use super::naming::upper_keyword;
use super::{Outcome, Step};
use crate::draft::Line;
use crate::environment::{self, Environment};
use crate::go::quote;
use crate::mounts::{self, Mounts};
use crate::stage::Tree;
use crate::{
    Entitlement, Exec, ExecMount, MountKind, NetworkMode, Operation, SecurityMode, StepUsers,
    display,
};

/// Where a script that begins with `#!` is mounted.
const SCRIPT_DIRECTORY: &str = "/dev/pipes";

/// The mode of such a script.
const SCRIPT_MODE: u32 = 0o755;

/// Where programs look for an SSH agent.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// What a RUN executes.
struct Program {
    args: Vec<Arc<str>>,
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

        let mut variables = self.stage.state.env.clone();
        // The key of the step has a copy of them, and so may the history.
        self.spend(variables.bytes(), self.origin)?;
        let line = Line::Run {
            command: program.args.clone(),
            declared: self.stage.state.args.clone(),
            env: variables.clone(),
        };
        if let Some(socket) = &mounts.agent
            && !variables.defines(AGENT_VARIABLE)
        {
            variables.set(AGENT_VARIABLE, socket);
        }
        let exec = Exec {
            mounts: mounts.list,
            network,
            security,
            devices,
            ..self.exec(program.args, variables)
        };
        let vertex = self.vertex(Operation::Exec(Box::new(exec)), name, self.cache_use());
        let id = self.stage.plan.add(vertex, &mounts.inputs);
        self.state().tree = Tree::Layers(id);
        self.state().config.history.push(line);
        Ok(())
    }

    /// What the stage and the flags of the build say of a step.
    fn exec(&self, args: Vec<Arc<str>>, variables: Environment) -> Exec {
        let state = &self.stage.state;
        let build = self.stage.build;
        let options = build.options;
        let is_undeclared = |entry: &&String| !state.env.defines(environment::split(entry).0);
        Exec {
            args,
            env: variables,
            proxy_env: build
                .proxy_env
                .iter()
                .filter(is_undeclared)
                .cloned()
                .collect(),
            cwd: Arc::clone(&state.cwd),
            user: Arc::clone(&state.config.user),
            mounts: Vec::new(),
            network: options.network,
            security: SecurityMode::Sandbox,
            devices: Vec::new(),
            hostname: Arc::clone(&build.hostname),
            extra_hosts: options.extra_hosts.clone(),
            shm_size: options.shm_size,
            ulimits: options.ulimits.clone(),
        }
    }

    /// The arguments, the shell in front of a shell form.
    fn program(&self, run: &Run) -> Program {
        let plain = |args| Program {
            args,
            script: None,
            summary: String::new(),
        };
        let heredoc = match (run.script(), &run.command) {
            (RunScript::Command, Command::Json(words)) => {
                return plain(
                    words
                        .iter()
                        .map(|word| word.value.as_str().into())
                        .collect(),
                );
            }
            (RunScript::Command, Command::Shell(text)) => {
                return plain(self.with_shell(&text.value));
            }
            (RunScript::Text(text), _) => return plain(self.with_shell(&text)),
            (RunScript::Body(heredoc), _) => heredoc,
        };
        let body = &heredoc.body.value;
        let summary = format!(" ({})", first_line(body));
        if self.stage.state.config.os() == "windows" || !body.starts_with("#!") {
            return Program {
                summary,
                ..plain(self.with_shell(body))
            };
        }
        let target = format!("{SCRIPT_DIRECTORY}/{}", heredoc.name.value);
        Program {
            args: self.with_shell(&target),
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

    /// `text` as an argument of the image's shell.
    fn with_shell(&self, text: &str) -> Vec<Arc<str>> {
        let shell = self.image_shell();
        let mut args = Vec::with_capacity(shell.len() + 1);
        args.extend(shell.iter().map(Arc::clone));
        args.push(text.into());
        args
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
                self.require_host_users(word)?;
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

    /// Nobody is root of the host who is another one there.
    fn require_host_users(&self, word: &Word) -> Outcome<()> {
        if self.stage.build.options.users == StepUsers::Caller {
            return Ok(());
        }
        let message = "RUN --security=insecure runs as root of the host, which is not to be with --userns auto";
        Err(self
            .mistake("insecure-with-own-users", message.to_owned(), word.span)
            .with_help("build with --userns host, or leave --security=insecure out"))
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
        let written = [self.command.instruction.original.trim(), summary].concat();
        let env = &self.stage.state.env;
        let shown = display::command(written, self.stage.build.escape, &Masked { env, masked });
        self.step_name(&upper_keyword(shown))
    }
}

/// Variables as a name may tell them.
struct Masked<'e> {
    env: &'e Environment,
    /// Names of secrets.
    masked: &'e [String],
}

impl Variables for Masked<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        if self.masked.iter().any(|masked| masked == name) {
            return Some("****");
        }
        self.env.get(name)
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
