//! docker's management commands: the same verbs once more, by what they are about.
//!
//! ```text
//! rbuild image ls        rbuild images
//! rbuild container ls    rbuild ps
//! rbuild system prune    rbuild prune
//! ```
//!
//! A verb has one definition, whichever way it is reached; only what docker has in no other place is of a group alone.

use std::process::ExitCode;

use clap::Subcommand;

use crate::app::App;
use crate::commands::{
    attach, build, commit, cp, create, df, diff, exec, export, history, images, imagetools, import,
    info, inspect, kill, load, logs, pause, port, prune, ps, pull, push, rename, rm, rmi, run,
    save, start, stats, stop, tag, top, update, wait,
};

/// `rbuild image …`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ImageVerb {
    /// Build an image from a Dockerfile
    Build(Box<build::Args>),
    /// Show the history of an image
    History(history::Args),
    /// Make an image of the files in a tar
    Import(import::Args),
    /// Show everything about images, as JSON
    Inspect(inspect::OfPlatform),
    /// Take images from an archive
    Load(load::Args),
    /// List images
    #[command(visible_alias = "list")]
    Ls(images::Args),
    /// Remove images that nothing uses
    Prune(prune::images::Args),
    /// Fetch an image from a registry
    Pull(pull::Args),
    /// Send an image to a registry
    Push(push::Args),
    /// Remove images
    #[command(visible_alias = "remove")]
    Rm(rmi::Args),
    /// Write images as an archive
    Save(save::Args),
    /// Give an image another name
    Tag(tag::Args),
}

impl ImageVerb {
    /// Does it.
    pub(crate) fn run(self, app: &App) -> anyhow::Result<ExitCode> {
        match self {
            Self::Build(args) => build::run(app, &args),
            Self::History(args) => history::run(app, &args),
            Self::Import(args) => import::run(app, &args),
            Self::Inspect(args) => inspect::run_images(app, &args),
            Self::Load(args) => load::run(app, &args),
            Self::Ls(args) => images::run(app, &args),
            Self::Prune(args) => prune::images::run(app, &args),
            Self::Pull(args) => pull::run(app, &args),
            Self::Push(args) => push::run(app, &args),
            Self::Rm(args) => rmi::run(app, &args),
            Self::Save(args) => save::run(app, &args),
            Self::Tag(args) => tag::run(app, &args),
        }
    }
}

/// `rbuild container …`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ContainerVerb {
    /// Connect to the streams of a container that runs
    Attach(attach::Args),
    /// Make an image of what a container changed
    Commit(commit::Args),
    /// Copy files from a container, or into one
    Cp(cp::Args),
    /// Make a container that does not run yet
    Create(Box<create::Args>),
    /// Show what a container changed of its image's files
    Diff(diff::ContainerArgs),
    /// Run a further process in a container
    Exec(exec::Args),
    /// Write all files of a container as a tar
    Export(export::Args),
    /// Show everything about containers, as JSON
    Inspect(inspect::Sized),
    /// Send containers a signal
    Kill(kill::Args),
    /// Show what a container wrote
    Logs(logs::Args),
    /// List containers
    #[command(visible_aliases = ["list", "ps"])]
    Ls(ps::Args),
    /// Stop all processes of containers where they are
    Pause(pause::Args),
    /// List what is published of a container
    Port(port::Args),
    /// Remove all containers that do not run
    Prune(prune::containers::Args),
    /// Give a container another name
    Rename(rename::Args),
    /// End containers and run them again
    Restart(stop::Args),
    /// Remove containers
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    /// Run a command in a new container
    Run(Box<run::Args>),
    /// Run containers that were made, or have ended
    Start(start::Args),
    /// Show what containers use
    Stats(stats::Args),
    /// Ask containers to end, and kill those that do not
    Stop(stop::Args),
    /// List the processes of a container
    Top(top::Args),
    /// Let paused containers go on
    Unpause(pause::Args),
    /// Give containers other limits, or another restart policy
    Update(update::Args),
    /// Wait until containers have ended
    Wait(wait::Args),
}

impl ContainerVerb {
    /// Does it.
    pub(crate) fn run(self, app: &App) -> anyhow::Result<ExitCode> {
        match self {
            Self::Attach(args) => attach::run(app, &args),
            Self::Commit(args) => commit::run(app, &args),
            Self::Cp(args) => cp::run(app, &args),
            Self::Create(args) => create::run(app, &args),
            Self::Diff(args) => diff::run_container(app, &args),
            Self::Exec(args) => exec::run(app, &args),
            Self::Export(args) => export::run(app, &args),
            Self::Inspect(args) => inspect::run_containers(app, &args),
            Self::Kill(args) => kill::run(app, &args),
            Self::Logs(args) => logs::run(app, &args),
            Self::Ls(args) => ps::run(app, &args),
            Self::Pause(args) => pause::run(app, &args),
            Self::Port(args) => port::run(app, &args),
            Self::Prune(args) => prune::containers::run(app, &args),
            Self::Rename(args) => rename::run(app, &args),
            Self::Restart(args) => stop::restart(app, &args),
            Self::Rm(args) => rm::run(app, &args),
            Self::Run(args) => run::run(app, &args),
            Self::Start(args) => start::run(app, &args),
            Self::Stats(args) => stats::run(app, &args),
            Self::Stop(args) => stop::run(app, &args),
            Self::Top(args) => top::run(app, &args),
            Self::Unpause(args) => pause::unpause(app, &args),
            Self::Update(args) => update::run(app, &args),
            Self::Wait(args) => wait::run(app, &args),
        }
    }
}

/// Why there are no events.
pub(crate) const NO_EVENTS: &str = "events are told by a daemon, and there is none: rbuild wait waits for a container's end, rbuild logs -f \
     follows what one writes, and rbuild ps tells what all of them do";

/// `rbuild system …`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum SystemVerb {
    /// Show how much disk is used, as docker tells it (rbuild du tells more)
    Df(df::Args),
    /// Show this machine and the store
    Info(info::Args),
    /// Remove what nothing uses any more
    Prune(prune::SystemArgs),
    /// Follow what happens to all containers, which this program does not do
    #[command(hide = true)]
    Events {
        /// Whatever docker takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

impl SystemVerb {
    /// Does it.
    pub(crate) fn run(self, app: &App) -> anyhow::Result<ExitCode> {
        match self {
            Self::Df(args) => df::run(app, &args),
            Self::Info(args) => info::run(app, &args),
            Self::Events { .. } => anyhow::bail!("{NO_EVENTS}"),
            Self::Prune(args) => prune::run_system(app, &args),
        }
    }
}

/// `rbuild builder …`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum BuilderVerb {
    /// Build an image from a Dockerfile
    Build(Box<build::Args>),
    /// Remove build cache, and nothing else
    Prune(prune::Args),
}

impl BuilderVerb {
    /// Does it.
    pub(crate) fn run(self, app: &App) -> anyhow::Result<ExitCode> {
        match self {
            Self::Build(args) => build::run(app, &args),
            Self::Prune(args) => prune::run_cache(app, &args),
        }
    }
}

/// `rbuild buildx …`
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum BuildxVerb {
    /// Build an image from a Dockerfile
    #[command(visible_alias = "b")]
    Build(Box<build::Args>),
    /// Look at images in registries, and put them together
    Imagetools(imagetools::Args),
    /// Remove build cache, and nothing else
    Prune(prune::Args),
}

impl BuildxVerb {
    /// Does it.
    pub(crate) fn run(self, app: &App) -> anyhow::Result<ExitCode> {
        match self {
            Self::Build(args) => build::run(app, &args),
            Self::Imagetools(args) => imagetools::run(app, &args),
            Self::Prune(args) => prune::run_cache(app, &args),
        }
    }
}
