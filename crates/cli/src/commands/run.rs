//! `rbuild run`: a command in a new container, in the foreground.

mod request;
mod unsupported;

use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rbuild_container::{ContainerError, ContainerId, Host, HostFiles, Image, Seed, Streams};
use rbuild_image::Platform;
use rbuild_plan::ResolvedImage;
use rbuild_solve::Cancel;
use rbuild_store::StoredImage;

use self::request::{PullPolicy, Request};
use self::unsupported::Unsupported;
use super::{documents, fetch, lookup, pull};
use crate::app::App;
use crate::failure::{Interrupted, WithStatus, chain};
use crate::render::{Board, Voice};

/// The status of a `run` that did not come to run anything.
const STATUS_FAILED: u8 = 125;

/// What was typed after `rbuild run`.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools)] // flags, as they are typed
#[command(override_usage = "rbuild run [OPTIONS] IMAGE [COMMAND] [ARG]...")]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Let the container read standard input
    #[arg(short, long)]
    interactive: bool,
    /// Give the container a terminal
    #[arg(short, long)]
    tty: bool,
    /// Remove the container when it has ended
    #[arg(long)]
    rm: bool,
    /// The container's name
    #[arg(long)]
    name: Option<String>,
    /// Environment variable: NAME=VALUE, or NAME to pass one on
    #[arg(short, long = "env", value_name = "VARIABLE")]
    env: Vec<String>,
    /// File of environment variables
    #[arg(long = "env-file", value_name = "FILE")]
    env_files: Vec<PathBuf>,
    /// Mount: /HOST:/CONTAINER[:ro]
    #[arg(short, long = "volume", value_name = "VOLUME")]
    volumes: Vec<String>,
    /// File system in memory: /CONTAINER[:size=64m,mode=1777]
    #[arg(long, value_name = "TMPFS")]
    tmpfs: Vec<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// User: NAME|UID[:GROUP|GID]
    #[arg(short, long)]
    user: Option<String>,
    /// What runs instead of the image's ENTRYPOINT
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Host name in the container
    #[arg(long = "hostname", short = 'h', value_name = "NAME")]
    hostname: Option<String>,
    /// Network: host (the default for now) or none
    #[arg(long, alias = "net", value_name = "MODE", default_value = "default")]
    network: String,
    /// Nothing of the image can be changed
    #[arg(long)]
    read_only: bool,
    /// Line for /etc/hosts: NAME:ADDRESS
    #[arg(long = "add-host", value_name = "HOST")]
    add_hosts: Vec<String>,
    /// Name server
    #[arg(long = "dns", value_name = "ADDRESS")]
    dns: Vec<String>,
    /// Domain in which short names are looked up
    #[arg(long = "dns-search", value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// Option for /etc/resolv.conf
    #[arg(long = "dns-option", alias = "dns-opt", value_name = "OPTION")]
    dns_options: Vec<String>,
    /// Platform of the image, as linux/arm64
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// When to pull the image
    #[arg(long, value_enum, default_value_t = PullPolicy::Missing)]
    pull: PullPolicy,
    /// No lines about pulling
    #[arg(short, long)]
    quiet: bool,
    /// All capabilities, nothing masked, no system call filter
    #[arg(long)]
    privileged: bool,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES")]
    shm_size: Option<String>,
    /// Resource limit: NAME=SOFT[:HARD]
    #[arg(long = "ulimit", value_name = "LIMIT")]
    ulimits: Vec<String>,
    /// Label of the container: NAME[=VALUE]
    #[arg(short, long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// Signal that asks the container to end
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// File that the container's ID is written to
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,
    /// The image, by name or ID, and what runs instead of its CMD
    // One list: the options after the image are not ours, whatever they look like.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "IMAGE [COMMAND] [ARG]")]
    words: Vec<String>,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    unsupported: Unsupported,
}

impl Args {
    /// The image, as it was named.
    fn image(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// What stands after it.
    fn command(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// Refuses what we do not know, which was taken for the image.
    fn check(&self) -> anyhow::Result<()> {
        if self.image().starts_with('-') {
            bail!("unknown flag: {} (see rbuild run --help)", self.image());
        }
        self.unsupported.check()
    }
}

/// Runs a container and ends as it ended.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    match contained(app, args) {
        Ok(code) => Ok(ExitCode::from(code as u8)),
        Err(error) if error.is::<Interrupted>() || error.is::<WithStatus>() => Err(error),
        Err(error) => Err(WithStatus {
            status: STATUS_FAILED,
            message: chain(error.as_ref()),
        }
        .into()),
    }
}

fn contained(app: &App, args: &Args) -> anyhow::Result<i32> {
    args.check()?;
    let request = Request::new(app, args)?;
    let platform = pull::platform(app, args.platform.as_deref())?;
    let image = obtain(app, args, &platform)?;
    let resolved = documents_of(app, args, &image, &platform)?;
    let cancel = Cancel::new();
    let mut board = Board::new(Voice::Stderr);
    let layers = match layers_here(app, &resolved)? {
        Some(layers) => layers,
        None => fetch::layers(app, &resolved, &platform, &mut board, &cancel)?.layers,
    };
    let ids: Vec<_> = layers.iter().map(|layer| layer.id()).collect();
    let directories: Vec<PathBuf> = layers.iter().map(|layer| layer.diff_path()).collect();
    let made_from = Image {
        name: args.image(),
        manifest: Some(&image.digest),
        config: &resolved.config.config,
        layers: &ids,
        directories: &directories,
    };
    let seed = seed()?;
    if let Some(path) = &args.cidfile {
        write_id(path, &ContainerId::from_seed(seed))?;
    }
    let files = HostFiles {
        hosts: std::fs::read_to_string("/etc/hosts").ok(),
        resolv_conf: Some(request.resolv_conf),
    };
    let environment = app.environment;
    let host = Host {
        files: &files,
        clock: &|| environment.now(),
    };
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let streams = Streams {
        stdin: stdin.as_fd(),
        stdout: stdout.as_fd(),
        stderr: stderr.as_fd(),
    };
    rbuild_container::run(
        app.store()?,
        made_from,
        &request.options,
        seed,
        host,
        streams,
    )
    .map_err(|error| failure(&error))
}

/// The image, pulled if it has to be.
fn obtain(app: &App, args: &Args, platform: &Platform) -> anyhow::Result<StoredImage> {
    let store = app.store()?;
    let known = match args.pull {
        PullPolicy::Always => None,
        PullPolicy::Missing | PullPolicy::Never => lookup::find(store, args.image())?,
    };
    match (known, args.pull) {
        (Some(found), _) => Ok(found.image),
        (None, PullPolicy::Never) => Err(lookup::missing(store, args.image())?.into()),
        (None, policy) => {
            let reference = pull::parse_name(args.image())?;
            let mut board = board(args);
            if policy == PullPolicy::Missing {
                let name = reference.familiar();
                board.say(&format!("Unable to find image '{name}' locally"));
            }
            fetch::pull(app, &reference, platform, &mut board, &Cancel::new())
        }
    }
}

/// The documents of the image for the platform; fetched where only those of other platforms are here.
fn documents_of(
    app: &App,
    args: &Args,
    image: &StoredImage,
    platform: &Platform,
) -> anyhow::Result<std::sync::Arc<ResolvedImage>> {
    let mut found = documents::for_platform(app, image, platform)?;
    if found.is_none()
        && args.pull != PullPolicy::Never
        && let rbuild_store::ImageOrigin::Registry(origin) = &image.origin
    {
        fetch::pull(app, origin, platform, &mut board(args), &Cancel::new())?;
        found = documents::for_platform(app, image, platform)?;
    }
    let Some(found) = found else {
        bail!("image {} is not here for {platform}", args.image());
    };
    let is = found.config.platform();
    if args.platform.is_some() && is.distance_to(platform).is_none() {
        bail!(
            "image {} was found, but its platform is {is}, not {platform}",
            args.image()
        );
    }
    Ok(found)
}

fn board(args: &Args) -> Board {
    Board::new(if args.quiet {
        Voice::Silent
    } else {
        Voice::Stderr
    })
}

/// All layers, if all are extracted here: the way that costs nothing.
fn layers_here(
    app: &App,
    image: &ResolvedImage,
) -> anyhow::Result<Option<Vec<std::sync::Arc<rbuild_store::Layer>>>> {
    let store = app.store()?;
    let mut layers = Vec::with_capacity(image.layers.len());
    for diff_id in &image.config.rootfs.diff_ids {
        let id = store.layer_by_diff_id(diff_id)?;
        match id.map(|id| store.layer(&id)).transpose()?.flatten() {
            Some(layer) => layers.push(layer),
            None => return Ok(None),
        }
    }
    Ok(Some(layers))
}

/// Random bytes for the container's ID and name.
fn seed() -> anyhow::Result<Seed> {
    let mut bytes = [0; 32];
    let drawn = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if drawn != bytes.len() {
        bail!("failed to draw random bytes for the container's ID");
    }
    Ok(Seed(bytes))
}

/// Writes `--cidfile`, which must not be there: it may name a container that is still in use.
fn write_id(path: &std::path::Path, id: &ContainerId) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create_new(path)
        .with_context(|| format!("failed to create --cidfile {}", path.display()))?;
    file.write_all(id.as_str().as_bytes())
        .with_context(|| format!("failed to write --cidfile {}", path.display()))
}

fn failure(error: &ContainerError) -> anyhow::Error {
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
