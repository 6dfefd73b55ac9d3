//! What was typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands::{
    attach, build, cache, commit, cp, create, diff, du, exec, export, fsck, history, images,
    imagetools, import, info, inspect, kill, layers, load, login, logout, logs, manifest, network,
    pause, port, prune, ps, pull, push, rename, rm, rmi, run, save, start, stats, stop, tag, top,
    update, version, volume, wait,
};
use crate::groups::{BuilderVerb, BuildxVerb, ContainerVerb, ImageVerb, SystemVerb};
use crate::{maintenance, switches};

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "rbuild",
    version,
    about = "Builds container images from Dockerfiles, without a daemon"
)]
#[command(max_term_width = 110, arg_required_else_help = true)]
#[command(after_help = "`rbuild -t app .` is short for `rbuild build -t app .`")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// Configuration file [env: RBUILD_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where images, layers and the cache are kept [env: RBUILD_ROOT]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}

impl Global {
    /// With the environment's in the place of those that were not typed. That is not left to clap, whose usage lines show
    /// what comes from there as if it had been typed.
    fn or_from(self, environment: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name| environment(name).filter(|value| !value.is_empty());
        let path = |name| path(name).map(PathBuf::from);
        Self {
            config: self.config.or_else(|| path("RBUILD_CONFIG")),
            root: self.root.or_else(|| path("RBUILD_ROOT")),
        }
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Build an image from a Dockerfile
    #[command(visible_alias = "b")]
    Build(Box<build::Args>),
    /// Build twice and show what differs
    Verify(Box<build::Args>),
    /// List images
    Images(images::Args),
    /// Show the history of an image
    History(history::Args),
    /// Show everything about an image or a container, as JSON
    Inspect(inspect::Args),
    /// Give an image another name
    Tag(tag::Args),
    /// Remove images
    Rmi(rmi::Args),
    /// Fetch an image from a registry
    Pull(pull::Args),
    /// Send an image to a registry
    Push(push::Args),
    /// Write images as an archive
    Save(save::Args),
    /// Take images from an archive
    Load(load::Args),
    /// Make an image of the files in a tar
    Import(import::Args),
    /// Show what each layer of an image added, changed, removed, and what of it later ones hide
    Layers(layers::Args),
    /// Look at images in registries, and put them together
    Imagetools(imagetools::Args),
    /// Put images in registries together, step by step: docker's way of imagetools create
    Manifest(manifest::Args),
    /// Keep the password for a registry
    Login(login::Args),
    /// Forget the password for a registry
    Logout(logout::Args),
    /// Run a command in a new container
    Run(Box<run::Args>),
    /// Make a container that does not run yet
    Create(Box<create::Args>),
    /// Run containers that were made, or have ended
    Start(start::Args),
    /// Ask containers to end, and kill those that do not
    Stop(stop::Args),
    /// End containers and run them again
    Restart(stop::Args),
    /// Send containers a signal
    Kill(kill::Args),
    /// Give containers other limits, or another restart policy
    Update(update::Args),
    /// Wait until containers have ended
    Wait(wait::Args),
    /// Connect to the streams of a container that runs
    Attach(attach::Args),
    /// Show what a container wrote
    Logs(logs::Args),
    /// Show what containers use
    Stats(stats::Args),
    /// Make, list and remove volumes
    Volume(volume::Args),
    /// Make, list and remove networks
    Network(network::Args),
    /// List the processes of a container
    Top(top::Args),
    /// Make an image of what a container changed
    Commit(commit::Args),
    /// Copy files from a container, or into one
    Cp(cp::Args),
    /// Write all files of a container as a tar
    Export(export::Args),
    /// Show what a container changed of its image's files, or what differs between two images
    Diff(diff::Args),
    /// List what is published of a container
    Port(port::Args),
    /// Give a container another name
    Rename(rename::Args),
    /// Stop all processes of containers where they are
    Pause(pause::Args),
    /// Let paused containers go on
    Unpause(pause::Args),
    /// Run a further process in a container
    Exec(exec::Args),
    /// List containers
    Ps(ps::Args),
    /// Remove containers
    Rm(rm::Args),
    /// Remove what nothing uses any more
    Prune(prune::Args),
    /// Ask the cache
    Cache(cache::Args),
    /// Show how much disk is used, and by what
    Du(du::Args),
    /// Read the whole store again and find what is damaged
    Fsck(fsck::Args),
    /// Commands about images, as docker groups them
    #[command(subcommand, arg_required_else_help = true)]
    Image(ImageVerb),
    /// Commands about containers, as docker groups them
    #[command(subcommand, arg_required_else_help = true)]
    Container(ContainerVerb),
    /// How much disk is used, and what to do about it
    #[command(subcommand, arg_required_else_help = true)]
    System(SystemVerb),
    /// Builds and their cache, as docker groups them
    #[command(subcommand, arg_required_else_help = true)]
    Builder(BuilderVerb),
    /// What docker's buildx does and this program does too
    #[command(subcommand, arg_required_else_help = true)]
    Buildx(BuildxVerb),
    /// Show this machine and the store
    Info(info::Args),
    /// Show the version
    Version(version::Args),
    /// Sync and sweep the store; builds start it by themselves
    #[command(hide = true)]
    Maintain(maintenance::Args),
    /// Look for images in registries, which this program does not do
    #[command(hide = true)]
    Search {
        /// Whatever docker takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Follow what happens to all containers, which this program does not do
    #[command(hide = true)]
    Events {
        /// Whatever docker takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Write a completion script for a shell
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// The verbs that may stand first; anything else means `build`.
const VERBS: &[&str] = &[
    "build",
    "b",
    "builder",
    "buildx",
    "cache",
    "container",
    "image",
    "images",
    "imagetools",
    "manifest",
    "fsck",
    "history",
    "info",
    "inspect",
    "import",
    "layers",
    "load",
    "login",
    "logout",
    "tag",
    "rmi",
    "pull",
    "push",
    "run",
    "save",
    "search",
    "create",
    "start",
    "stop",
    "restart",
    "kill",
    "wait",
    "attach",
    "logs",
    "events",
    "exec",
    "network",
    "pause",
    "unpause",
    "update",
    "rename",
    "port",
    "diff",
    "export",
    "cp",
    "commit",
    "top",
    "volume",
    "stats",
    "ps",
    "rm",
    "prune",
    "du",
    "system",
    "verify",
    "version",
    "completion",
    "help",
    "maintain",
];

/// Options that may stand before a verb and take a value.
pub(crate) const GLOBAL_WITH_VALUE: &[&str] = &["--config", "--root"];

/// What is typed makes no sense.
#[derive(Debug)]
pub(crate) struct Misread {
    error: clap::Error,
    status: i32,
}

impl Misread {
    /// Says so, or prints the help that was asked for, and ends the program.
    pub(crate) fn exit(self) -> ! {
        // There is nobody to tell when the streams are gone.
        let _ = self.error.print();
        let status = if self.error.use_stderr() {
            self.status
        } else {
            0
        };
        std::process::exit(status)
    }

    /// What is wrong.
    #[cfg(test)]
    pub(crate) fn message(&self) -> String {
        self.error.to_string()
    }
}

/// The status of arguments that make no sense.
const STATUS_MISREAD: i32 = 2;
/// The same where a container was to be run: docker's, which none of a container's is taken for.
const STATUS_MISREAD_RUN: i32 = 125;

/// What was typed, put as clap knows it: with `build` where no verb was typed, and switches without values.
pub(crate) fn read(arguments: Vec<OsString>) -> Result<Cli, Misread> {
    let (arguments, at) = with_default_verb(arguments, &|path| std::path::Path::new(path).exists());
    let word = |at: usize| arguments.get(at).and_then(|word| word.to_str());
    let group = usize::from(word(at) == Some("container"));
    let status = match word(at + group) {
        Some("run" | "create") => STATUS_MISREAD_RUN,
        _ => STATUS_MISREAD,
    };
    parse(arguments, at).map_err(|error| Misread { error, status })
}

fn parse(arguments: Vec<OsString>, at: usize) -> Result<Cli, clap::Error> {
    let mut command = Cli::command().args_override_self(true);
    let arguments = switches::plain(&command, arguments, at);
    let mut cli = Cli::from_arg_matches(&command.try_get_matches_from_mut(arguments)?)?;
    cli.global = cli.global.or_from(|name| std::env::var_os(name));
    Ok(cli)
}

/// `arguments` with `build` put in where no verb was typed, and where the verb is. A word that is neither a verb nor the name of
/// something that `is_there` was meant to be a verb.
fn with_default_verb(
    arguments: Vec<OsString>,
    is_there: &dyn Fn(&str) -> bool,
) -> (Vec<OsString>, usize) {
    let mut at = 1;
    while let Some(argument) = arguments.get(at).and_then(|argument| argument.to_str()) {
        if GLOBAL_WITH_VALUE.contains(&argument) {
            at += 2;
        } else if GLOBAL_WITH_VALUE
            .iter()
            .any(|option| is_assignment(argument, option))
        {
            at += 1;
        } else {
            break;
        }
    }
    let first = arguments.get(at).and_then(|argument| argument.to_str());
    let only_asks = matches!(first, None | Some("-h" | "--help" | "-V" | "--version"));
    let is_verb =
        |first: &str| VERBS.contains(&first) || (looks_like_verb(first) && !is_there(first));
    if only_asks || first.is_some_and(is_verb) {
        return (arguments, at);
    }
    let mut completed = arguments;
    completed.insert(at, "build".into());
    (completed, at)
}

fn looks_like_verb(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|letter| letter.is_ascii_lowercase())
}

fn is_assignment(argument: &str, option: &str) -> bool {
    argument
        .strip_prefix(option)
        .is_some_and(|rest| rest.starts_with('='))
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
