//! `rbuild exec`: a further process in a container that runs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rbuild_container::{
    Condition, ContainerError, DetachKeys, ExecOptions, ExecOutcome, Options, Security,
    parse_env_file,
};

use super::run::{failure, own_streams};
use super::several::one;
use crate::app::App;
use crate::failure::WithStatus;
use crate::render::{Board, Voice};

// What was typed after `rbuild exec`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, as they are typed")]
#[command(override_usage = "rbuild exec [OPTIONS] CONTAINER COMMAND [ARG]...")]
pub(crate) struct Args {
    /// Let the process read standard input
    #[arg(short, long)]
    interactive: bool,
    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,
    /// Do not wait for it
    #[arg(short, long)]
    detach: bool,
    /// User: NAME|UID[:GROUP|GID]
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Environment variable: NAME=VALUE, or NAME to pass one on
    #[arg(short, long = "env", value_name = "VARIABLE")]
    env: Vec<String>,
    /// File of environment variables
    #[arg(long = "env-file", value_name = "FILE")]
    env_files: Vec<PathBuf>,
    /// Keys that leave the process without ending it
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: String,
    /// All capabilities, no system call filter
    #[arg(long)]
    privileged: bool,
    /// The container, by name or ID, and what runs in it
    // One list: the options after the container are not ours, whatever they look like.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "CONTAINER COMMAND [ARG]")]
    words: Vec<String>,
}

/// Runs the process and ends as it ended.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let Some((name, command)) = args.words.split_first() else {
        bail!("exec needs a container and a command");
    };
    if name.starts_with('-') {
        bail!("unknown flag: {name} (see rbuild exec --help)");
    }
    if command.is_empty() {
        bail!("exec needs a command: rbuild exec {name} COMMAND");
    }
    let store = app.store()?;
    let container = one(store, name)?;
    let options = options(app, args, command)?;
    if matches!(Condition::of(&container), Condition::Paused { .. }) {
        bail!("container {name} is paused: unpause it first");
    }
    if args.detach {
        rbuild_container::exec_detached(store, &container, &options).map_err(told)?;
        return Ok(ExitCode::SUCCESS);
    }
    let keys = DetachKeys::parse(&args.detach_keys).map_err(told)?;
    let ended = rbuild_container::exec(store, &container, &options, own_streams(), &keys);
    match ended.map_err(told)? {
        ExecOutcome::Ended(code) => Ok(ExitCode::from(code as u8)),
        ExecOutcome::Left => {
            Board::new(Voice::Stderr).say("read escape sequence");
            Ok(ExitCode::FAILURE)
        }
        ExecOutcome::Interrupted(signal) => Ok(ExitCode::from(128 + signal as u8)),
    }
}

fn options(app: &App, args: &Args, command: &[String]) -> anyhow::Result<ExecOptions> {
    let environment = app.environment;
    let source = |name: &str| environment.text(name);
    let mut read = Options::default();
    for path in &args.env_files {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read --env-file {}", path.display()))?;
        let found = parse_env_file(&text, &source).map_err(|error| failure(&error))?;
        read.env.extend(found);
    }
    for variable in &args.env {
        let added = read.add_env(variable, &source);
        added.map_err(|error| failure(&error))?;
    }
    Ok(ExecOptions {
        args: command.to_vec(),
        env: read.env,
        workdir: args.workdir.clone(),
        user: args.user.clone(),
        interactive: args.interactive,
        tty: args.tty,
        security: if args.privileged {
            Security::Privileged
        } else {
            Security::Default
        },
    })
}

/// docker's status for what is no matter of the command: 1.
#[expect(clippy::needless_pass_by_value, reason = "as map_err has it")]
fn told(error: ContainerError) -> anyhow::Error {
    let known = failure(&error);
    match known.downcast::<WithStatus>() {
        Ok(told) if told.status == 125 => anyhow::anyhow!(told.message),
        Ok(told) => told.into(),
        Err(other) => other,
    }
}
