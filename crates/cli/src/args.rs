//! What was typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands::{
    attach, build, cache, commit, cp, create, diff, du, exec, export, fsck, history, images,
    imagetools, import, inspect, kill, layers, load, login, logout, logs, manifest, network, pause,
    port, prune, ps, pull, push, rename, rm, rmi, run, save, start, stats, stop, tag, top, update,
    version, volume, wait,
};
use crate::groups::{BuilderVerb, BuildxVerb, ContainerVerb, ImageVerb, SystemVerb};
use crate::maintenance;

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
    /// Configuration file
    #[arg(long, global = true, env = "RBUILD_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where images, layers and the cache are kept
    #[arg(long, global = true, env = "RBUILD_ROOT", value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
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
const GLOBAL_WITH_VALUE: &[&str] = &["--config", "--root"];

/// `arguments` with `build` put in where no verb was typed.
pub(crate) fn with_default_verb(arguments: Vec<OsString>) -> Vec<OsString> {
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
    let first = first.map(str::to_owned);
    let first = first.as_deref();
    let only_asks = matches!(first, None | Some("-h" | "--help" | "-V" | "--version"));
    if only_asks || first.is_some_and(|first| VERBS.contains(&first)) {
        return arguments;
    }
    let mut completed = arguments;
    completed.insert(at, "build".into());
    completed
}

fn is_assignment(argument: &str, option: &str) -> bool {
    argument
        .strip_prefix(option)
        .is_some_and(|rest| rest.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(words: &[&str]) -> Vec<String> {
        let arguments = std::iter::once("rbuild").chain(words.iter().copied());
        with_default_verb(arguments.map(OsString::from).collect())
            .into_iter()
            .skip(1)
            .map(|word| word.into_string().expect("the test's words are UTF-8"))
            .collect()
    }

    #[test]
    fn no_option_means_two_things() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    /// Definitions are made when their verb is typed: what they say of themselves would then take the place of the verb's line.
    #[test]
    fn a_verb_says_the_same_in_the_list_and_in_its_own_help() {
        use clap::CommandFactory as _;

        fn compare(listed: &clap::Command, built: &clap::Command, differ: &mut Vec<String>) {
            for own in built
                .get_subcommands()
                .filter(|own| own.get_name() != "help")
            {
                let line = listed
                    .find_subcommand(own.get_name())
                    .and_then(|verb| verb.get_about().map(ToString::to_string));
                let about = own.get_about().map(ToString::to_string);
                if line != about || own.get_long_about().is_some() {
                    differ.push(format!("{}: {line:?}, {about:?}", own.get_name()));
                }
            }
        }

        let listed = Cli::command();
        let mut built = Cli::command();
        built.build();
        let mut differ = Vec::new();
        compare(&listed, &built, &mut differ);
        for group in listed
            .get_subcommands()
            .filter(|verb| verb.has_subcommands())
        {
            let own = built.find_subcommand(group.get_name());
            compare(
                group,
                own.expect("it is the same command line"),
                &mut differ,
            );
        }
        assert_eq!(differ, [""; 0]);
    }

    #[test]
    fn every_verb_may_stand_first() {
        use clap::CommandFactory as _;
        for verb in Cli::command().get_subcommands() {
            assert!(VERBS.contains(&verb.get_name()), "{}", verb.get_name());
        }
    }

    #[test]
    fn building_needs_no_verb() {
        assert_eq!(completed(&["-t", "app", "."]), ["build", "-t", "app", "."]);
        assert_eq!(completed(&["."]), ["build", "."]);
    }

    #[test]
    fn dockers_longer_forms_are_understood() {
        let parses = |line: &str| {
            let words = completed(&line.split(' ').collect::<Vec<_>>());
            let words = std::iter::once("rbuild".to_owned()).chain(words);
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{line}: {error}");
            }
        };
        for line in [
            "image ls",
            "image list -a",
            "image build .",
            "image rm app",
            "image prune -f",
            "container ls -a",
            "container ps",
            "container run --rm app true",
            "container remove -f one",
            "container prune --filter until=24h",
            "builder prune -f",
            "builder build .",
            "buildx build --load .",
            "buildx b .",
            "buildx imagetools inspect app",
            "system df",
            "system prune -af --volumes",
        ] {
            parses(line);
        }
    }

    #[test]
    fn global_options_may_stand_before_the_verb() {
        assert_eq!(
            completed(&["--root", "/x", "images"]),
            ["--root", "/x", "images"]
        );
        assert_eq!(completed(&["--root=/x", "."]), ["--root=/x", "build", "."]);
    }

    #[test]
    fn asking_for_help_builds_nothing() {
        assert_eq!(completed(&["--help"]), ["--help"]);
        assert_eq!(completed(&[]), Vec::<String>::new());
    }
}
