//! `rbuild`: builds container images from Dockerfiles, keeps, moves and runs them, without a daemon.
//!
//! This crate is the edge: it turns arguments, environment and configuration into values for the crates below, and
//! their results and errors into what people and scripts read. All else is theirs.
#![forbid(unsafe_code)]

mod app;
mod args;
mod base_images;
mod cache_config;
mod commands;
mod containers_files;
mod environment;
mod failure;
mod groups;
mod identity;
mod interrupt;
mod lender;
mod maintenance;
mod network_config;
mod no_room;
mod refused;
mod render;
mod switches;
mod users_config;

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::app::App;
use crate::args::{Cli, Command};
use crate::commands::{
    attach, build, cache, commit, cp, create, diff, du, exec, export, fsck, history, images,
    imagetools, import, info, inspect, kill, layers, load, login, logout, logs, manifest, network,
    pause, port, prune, ps, pull, push, rename, rm, rmi, run, save, start, stats, stop, tag, top,
    update, verify, version, volume, wait,
};

fn main() -> ExitCode {
    rbuild_sys::give_back_large_allocations();
    rbuild_sandbox::init_if_asked();
    rbuild_network::help_if_asked();
    rbuild_container::supervise_if_asked(std::time::SystemTime::now);
    let cli = match args::read(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Some(done) = without_state(&cli.command) {
        return done;
    }
    let app = App::new(&cli.global, cli.command.need())?;
    run_command(&app, cli.command).map_err(|error| no_room::advised(&app, error))
}

fn run_command(app: &App, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Build(args) => build::run(app, &args),
        Command::Verify(args) => verify::run(app, &args),
        Command::Images(args) => images::run(app, &args),
        Command::History(args) => history::run(app, &args),
        Command::Inspect(args) => inspect::run(app, &args),
        Command::Tag(args) => tag::run(app, &args),
        Command::Rmi(args) => rmi::run(app, &args),
        Command::Pull(args) => pull::run(app, &args),
        Command::Push(args) => push::run(app, &args),
        Command::Import(args) => import::run(app, &args),
        Command::Layers(args) => layers::run(app, &args),
        Command::Save(args) => save::run(app, &args),
        Command::Load(args) => load::run(app, &args),
        Command::Imagetools(args) => imagetools::run(app, &args),
        Command::Manifest(args) => manifest::run(app, &args),
        Command::Login(args) => login::run(app, &args),
        Command::Logout(args) => logout::run(app, &args),
        Command::Run(args) => run::run(app, &args),
        Command::Create(args) => create::run(app, &args),
        Command::Start(args) => start::run(app, &args),
        Command::Stop(args) => stop::run(app, &args),
        Command::Restart(args) => stop::restart(app, &args),
        Command::Kill(args) => kill::run(app, &args),
        Command::Update(args) => update::run(app, &args),
        Command::Wait(args) => wait::run(app, &args),
        Command::Attach(args) => attach::run(app, &args),
        Command::Logs(args) => logs::run(app, &args),
        Command::Exec(args) => exec::run(app, &args),
        Command::Pause(args) => pause::run(app, &args),
        Command::Unpause(args) => pause::unpause(app, &args),
        Command::Rename(args) => rename::run(app, &args),
        Command::Port(args) => port::run(app, &args),
        Command::Diff(args) => diff::run(app, &args),
        Command::Export(args) => export::run(app, &args),
        Command::Cp(args) => cp::run(app, &args),
        Command::Commit(args) => commit::run(app, &args),
        Command::Top(args) => top::run(app, &args),
        Command::Volume(args) => volume::run(app, &args),
        Command::Network(args) => network::run(app, &args),
        Command::Stats(args) => stats::run(app, &args),
        Command::Ps(args) => ps::run(app, &args),
        Command::Rm(args) => rm::run(app, &args),
        Command::Prune(args) => prune::run(app, &args),
        Command::Cache(args) => cache::run(app, &args),
        Command::Image(verb) => verb.run(app),
        Command::Container(verb) => verb.run(app),
        Command::System(verb) => verb.run(app),
        Command::Builder(verb) => verb.run(app),
        Command::Buildx(verb) => verb.run(app),
        Command::Fsck(args) => fsck::run(app, &args),
        Command::Du(args) => du::run(app, &args),
        Command::Maintain(args) => maintenance::run(app, &args).map(|()| ExitCode::SUCCESS),
        Command::Search { .. } => anyhow::bail!(
            "registries are not searched: look on their web pages (https://hub.docker.com/search), and name the image to rbuild pull"
        ),
        Command::Events { .. } => anyhow::bail!("{}", groups::NO_EVENTS),
        Command::Info(args) => info::run(app, &args),
        Command::Version(_) | Command::Completion { .. } => Ok(ExitCode::SUCCESS),
    }
}

/// What needs neither a namespace nor the store.
fn without_state(command: &Command) -> Option<anyhow::Result<ExitCode>> {
    match command {
        Command::Version(args) => return Some(version::run(args)),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "rbuild", &mut script);
            // There is nobody to tell when standard output is gone.
            let _ = render::out(&String::from_utf8_lossy(&script));
        }
        _ => return None,
    }
    Some(Ok(ExitCode::SUCCESS))
}
