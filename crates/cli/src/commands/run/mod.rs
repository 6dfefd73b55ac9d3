//! `rbuild run`: a command in a new container.

mod image;
mod limits;
mod networks;
mod options;
mod request;
mod unsupported;

use std::os::fd::AsFd as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rbuild_container::{
    Attachment, Bond, ContainerError, ContainerId, DetachKeys, HostFiles, Options, Outcome, Proxy,
    Seed, Streams, Typing, run_detached,
};

use self::image::Ready;
pub(in crate::commands) use self::limits::LimitArgs;
pub(crate) use self::options::ContainerArgs;
use crate::app::App;
use crate::failure::{Interrupted, WithStatus, chain};
use crate::identity::Need;
use crate::render::{self, Board, Voice};

/// The status of a `run` that did not come to run anything.
const STATUS_FAILED: u8 = 125;

// What was typed after `rbuild run`.
#[derive(Debug, clap::Args)]
#[command(override_usage = "rbuild run [OPTIONS] IMAGE [COMMAND] [ARG]...")]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Do not wait for the container: print its ID and leave it to itself
    #[arg(short, long)]
    detach: bool,
    /// Connect only to these: stdin, stdout, stderr
    #[arg(
        short,
        long = "attach",
        value_name = "STREAM",
        value_enum,
        ignore_case = true
    )]
    attach: Vec<Attached>,
    /// Keys that leave the container without ending it
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    detach_keys: String,
    /// Whether signals go to the container
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "true", default_missing_value = "true")]
    #[arg(action = clap::ArgAction::Set)]
    sig_proxy: bool,
    #[command(flatten)]
    container: ContainerArgs,
}

/// A stream of the container's that is connected to the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Attached {
    /// What it reads.
    Stdin,
    /// What it writes.
    Stdout,
    /// Its messages.
    Stderr,
}

impl Args {
    /// What it may come to need of networks.
    pub(crate) fn need(&self) -> Need {
        let container = &self.container;
        let insists = container.publish_all
            || !container.publish.is_empty()
            || container
                .sysctls
                .iter()
                .any(|text| text.starts_with("net."));
        if insists {
            return Need::Networks;
        }
        Need::of_networks(&container.networks)
    }

    fn attaches(&self, stream: Attached) -> bool {
        self.attach.is_empty() || self.attach.contains(&stream)
    }
}

/// Runs a container and ends as it ended.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    with_status(contained(app, args))
}

/// Any failure of ours is told as docker tells it: by a status that no container has.
pub(crate) fn with_status(outcome: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    match outcome {
        Err(error) if !error.is::<Interrupted>() && !error.is::<WithStatus>() => Err(WithStatus {
            status: STATUS_FAILED,
            message: chain(error.as_ref()),
        }
        .into()),
        other => other,
    }
}

fn contained(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    args.container.check()?;
    let keys = DetachKeys::parse(&args.detach_keys).map_err(|error| failure(&error))?;
    if args.detach && !args.attach.is_empty() {
        bail!("conflicting options: --attach and --detach");
    }
    let asked = Asked::new(app, &args.container)?;
    let image = asked.image.as_image(args.container.image());
    let store = app.store()?;
    if args.detach {
        let started = run_detached(store, image, &asked.options, asked.seed, &asked.files);
        let container = started.map_err(|error| failure(&error))?;
        render::out(&format!("{}\n", container.id))?;
        return Ok(ExitCode::SUCCESS);
    }
    let nowhere = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .context("failed to open /dev/null")?;
    let mut streams = own_streams();
    if !args.attaches(Attached::Stdout) {
        streams.stdout = nowhere.as_fd();
    }
    if !args.attaches(Attached::Stderr) {
        streams.stderr = nowhere.as_fd();
    }
    if !args.attaches(Attached::Stdout) && !args.attaches(Attached::Stderr) {
        // So that somebody can ask for its log.
        render::out(&format!("{}\n", ContainerId::from_seed(asked.seed)))?;
    }
    let attachment = Attachment {
        streams,
        input: if args.attaches(Attached::Stdin) {
            Typing::Passed
        } else {
            Typing::Kept
        },
        signals: if args.sig_proxy {
            Proxy::Passed
        } else {
            Proxy::Kept
        },
        keys: &keys,
        tie: Bond::Firm,
    };
    let outcome = rbuild_container::run(
        store,
        image,
        &asked.options,
        asked.seed,
        &asked.files,
        attachment,
    );
    ended(outcome)
}

/// The streams of this command.
pub(crate) fn own_streams() -> Streams<'static> {
    Streams {
        stdin: rustix::stdio::stdin(),
        stdout: rustix::stdio::stdout(),
        stderr: rustix::stdio::stderr(),
    }
}

/// The exit status of a command that was connected to a container.
pub(crate) fn ended(outcome: Result<Outcome, ContainerError>) -> anyhow::Result<ExitCode> {
    match outcome.map_err(|error| failure(&error))? {
        Outcome::Exited(code) => Ok(ExitCode::from(code as u8)),
        Outcome::Left => {
            Board::new(Voice::Stderr).say("read escape sequence");
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A container that was asked for, with all that it takes to make it.
pub(crate) struct Asked {
    pub(crate) options: Options,
    pub(crate) image: Ready,
    pub(crate) files: HostFiles,
    pub(crate) seed: Seed,
}

impl Asked {
    /// Reads the options, and gets the image.
    pub(crate) fn new(app: &App, args: &ContainerArgs) -> anyhow::Result<Self> {
        let options = request::read(app, args)?;
        let image = Ready::new(app, args)?;
        let seed = seed()?;
        if let Some(path) = &args.cidfile {
            write_id(path, &ContainerId::from_seed(seed))?;
        }
        Ok(Self {
            options,
            image,
            files: app.environment.host_files(),
            seed,
        })
    }
}

/// Random bytes for the container's ID and name.
pub(crate) fn seed() -> anyhow::Result<Seed> {
    let mut bytes = [0; 32];
    let drawn = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if drawn != bytes.len() {
        bail!("failed to draw random bytes for the container's ID");
    }
    Ok(Seed(bytes))
}

/// A name that nobody has: 64 digits, as docker's anonymous volumes have.
pub(crate) fn random_name() -> anyhow::Result<String> {
    Ok(ContainerId::from_seed(seed()?).as_str().to_owned())
}

/// Writes `--cidfile`, which must not be there: it may name a container that is still in use.
fn write_id(path: &std::path::Path, id: &ContainerId) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create_new(path)
        .with_context(|| format!("failed to create --cidfile {}", path.display()))?;
    file.write_all(id.as_str().as_bytes())
        .with_context(|| format!("failed to write --cidfile {}", path.display()))
}

/// An error of the container's, with its exit status.
pub(crate) fn failure(error: &ContainerError) -> anyhow::Error {
    let words = chain(error);
    let message = if words.starts_with("failed to") {
        words
    } else {
        format!("failed to {words}")
    };
    WithStatus {
        status: error.exit_code(),
        message,
    }
    .into()
}
