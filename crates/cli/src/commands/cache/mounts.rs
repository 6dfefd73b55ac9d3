//! `rbuild cache mounts`: the directories of `RUN --mount=type=cache`, to look at, to remove, to take elsewhere.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use rbuild_image::Compression;
use rbuild_layer::{CompressionLevel, compress, decompress};
use rbuild_store::{CacheMount, CacheMountSpec, CacheSharing, Store};
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::documents;
use crate::commands::format::Format;
use crate::render::{self, Table, ago, bytes_decimal};

/// Digits of a key that are shown, and that a key is known by.
const KEY_DIGITS: usize = 12;

// What was typed after `rbuild cache mounts`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
enum Command {
    /// List cache mounts
    #[command(visible_alias = "list")]
    Ls(List),
    /// Remove cache mounts and what they hold
    Rm(Remove),
    /// Write what a cache mount holds as a tar
    Export(Export),
    /// Let a cache mount hold what is in a tar, and nothing else
    Import(Import),
}

#[derive(Debug, clap::Args)]
struct List {
    /// json, or a template such as '{{.ID}} {{.Size}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only ids
    #[arg(short, long, conflicts_with = "format")]
    quiet: bool,
}

#[derive(Debug, clap::Args)]
struct Remove {
    /// The ids or keys of cache mounts
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<String>,
    /// All cache mounts that no build uses
    #[arg(short, long, conflicts_with = "ids")]
    all: bool,
}

#[derive(Debug, clap::Args)]
struct Export {
    /// The id or key of a cache mount
    id: String,
    /// The tar; .zst and .gz are compressed [default: standard output]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Import {
    /// The id of a cache mount, which is made if it is not there, or the key of one
    id: String,
    /// The tar, compressed or not [default: standard input]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Does what was asked.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    match &args.command {
        Command::Ls(args) => list(store, args, app.environment.now())?,
        Command::Rm(args) => {
            remove(store, args)?;
            app.maintain_store();
        }
        Command::Export(args) => export(store, args)?,
        Command::Import(args) => {
            import(store, args)?;
            app.maintain_store();
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(store: &Store, args: &List, now: SystemTime) -> anyhow::Result<()> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let mounts = store.cache_mounts()?;
    let text = match format {
        Some(format) => {
            let rows = mounts.iter().map(|mount| row(store, mount));
            format.render(&rows.collect::<anyhow::Result<Vec<_>>>()?)?
        }
        None if args.quiet => mounts.iter().flat_map(|mount| [&mount.id, "\n"]).collect(),
        None => {
            let header = ["ID", "KEY", "SIZE", "LAST USED", "SHARING", "IN USE"];
            let mut table = Table::new(&header);
            for mount in &mounts {
                table.row([
                    mount.id.clone(),
                    mount.key[..KEY_DIGITS].to_owned(),
                    bytes_decimal(store.cache_mount_bytes(mount)?),
                    ago(documents::age(now, mount.last_used)),
                    sharing(mount).to_owned(),
                    if mount.in_use { "yes" } else { "no" }.to_owned(),
                ]);
            }
            table.render()
        }
    };
    Ok(render::out(&text)?)
}

fn row(store: &Store, mount: &CacheMount) -> anyhow::Result<Value> {
    let bytes = store.cache_mount_bytes(mount)?;
    Ok(json!({
        "ID": mount.id,
        "Key": mount.key,
        "Size": bytes_decimal(bytes),
        "Bytes": bytes,
        "LastUsed": documents::rfc3339(mount.last_used),
        "Sharing": sharing(mount),
        "InUse": mount.in_use,
        "Directories": mount.directories,
    }))
}

fn sharing(mount: &CacheMount) -> &'static str {
    match mount.sharing {
        Some(CacheSharing::Shared) => "shared",
        Some(CacheSharing::Private) => "private",
        Some(CacheSharing::Locked) => "locked",
        None => "",
    }
}

/// The mounts that `name` means: all of an id, or the one of a key. A slash at either end of an id does not count.
fn called<'m>(mounts: &'m [CacheMount], name: &str) -> Vec<&'m CacheMount> {
    let id = name.trim_matches('/');
    let is_meant = |mount: &&CacheMount| {
        mount.id.trim_matches('/') == id
            || (name.len() >= KEY_DIGITS && mount.key.starts_with(name))
    };
    mounts.iter().filter(is_meant).collect()
}

fn missing(name: &str) -> String {
    format!("there is no cache mount {name:?} (rbuild cache mounts ls)")
}

/// All that were named, or none: the busy ones are told before anything is removed.
fn remove(store: &Store, args: &Remove) -> anyhow::Result<()> {
    let mounts = store.cache_mounts()?;
    let mut chosen: Vec<&CacheMount> = Vec::new();
    if args.all {
        chosen.extend(mounts.iter().filter(|mount| !mount.in_use));
    }
    for name in &args.ids {
        let found = called(&mounts, name);
        if found.is_empty() {
            bail!(missing(name));
        }
        if found.iter().any(|mount| mount.in_use) {
            bail!("cache mount {name:?} is in use by a build; nothing was removed");
        }
        chosen.extend(found);
    }
    for mount in chosen {
        store.remove_cache_mount(&mount.key)?;
        let left = store.cache_mounts()?;
        if left.iter().any(|one| one.key == mount.key && one.in_use) && !args.all {
            bail!("cache mount {:?} is in use by a build", mount.id);
        }
        render::out(&format!("{}\n", mount.id))?;
    }
    Ok(())
}

/// The one mount that `name` means.
fn only<'m>(mounts: &'m [CacheMount], name: &str) -> anyhow::Result<Option<&'m CacheMount>> {
    match called(mounts, name).as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        several => {
            let keys: Vec<&str> = several.iter().map(|one| &one.key[..KEY_DIGITS]).collect();
            bail!(
                "there are {} cache mounts {name:?}, with different owners, modes or seeds; name one by its key: {}",
                several.len(),
                keys.join(", ")
            )
        }
    }
}

fn export(store: &Store, args: &Export) -> anyhow::Result<()> {
    let mounts = store.cache_mounts()?;
    let mount = only(&mounts, &args.id)?.with_context(|| missing(&args.id))?;
    match args.file.as_deref().filter(|file| *file != Path::new("-")) {
        Some(file) => write_file(store, mount, file)
            .with_context(|| format!("failed to write {}", file.display())),
        None if io::stdout().is_terminal() => {
            bail!("a tar is not for a terminal: name a file, or send it to one (> mount.tar)")
        }
        None => Ok(store.export_cache_mount(mount, BufWriter::new(io::stdout().lock()))?),
    }
}

/// Writes beside the file first: what is there stays unless all went well.
fn write_file(store: &Store, mount: &CacheMount, file: &Path) -> anyhow::Result<()> {
    let directory = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let mut draft = tempfile_in(directory.unwrap_or(Path::new(".")), file)?;
    let compression = match file.extension().and_then(|suffix| suffix.to_str()) {
        Some("zst" | "zstd") => Compression::Zstd,
        Some("gz" | "tgz") => Compression::Gzip,
        _ => Compression::None,
    };
    let written = pack(store, mount, &mut draft.file, compression);
    if let Err(error) = written.and_then(|()| Ok(std::fs::rename(&draft.path, file)?)) {
        // What matters is the first error.
        let _ = std::fs::remove_file(&draft.path);
        return Err(error);
    }
    Ok(())
}

/// A file that is not yet called what it will be.
struct Draft {
    path: PathBuf,
    file: File,
}

fn tempfile_in(directory: &Path, file: &Path) -> anyhow::Result<Draft> {
    let name = file.file_name().context("it is no file's name")?;
    let mut draft = name.to_owned();
    draft.push(format!(".{}", std::process::id()));
    let path = directory.join(draft);
    let file = File::create(&path)?;
    Ok(Draft { path, file })
}

fn pack(
    store: &Store,
    mount: &CacheMount,
    file: &mut File,
    compression: Compression,
) -> anyhow::Result<()> {
    let sink = BufWriter::new(file);
    let mut compressor = compress(sink, compression, CompressionLevel::Default)?;
    store.export_cache_mount(mount, &mut compressor)?;
    Ok(compressor.finish()?.flush()?)
}

fn import(store: &Store, args: &Import) -> anyhow::Result<()> {
    let mounts = store.cache_mounts()?;
    let known = only(&mounts, &args.id)?;
    let spec = CacheMountSpec {
        seed: known.map_or("", |mount| &mount.seed),
        sharing: known
            .and_then(|mount| mount.sharing)
            .unwrap_or(CacheSharing::Shared),
        ..CacheMountSpec::plain(known.map_or(&args.id, |mount| &mount.id))
    };
    let (source, name): (Box<dyn Read + Send>, String) =
        match args.file.as_deref().filter(|file| *file != Path::new("-")) {
            Some(file) => {
                let opened = File::open(file)
                    .with_context(|| format!("failed to read {}", file.display()))?;
                (Box::new(opened), file.display().to_string())
            }
            None => (Box::new(io::stdin()), "standard input".to_owned()),
        };
    let tar = decompress(source).with_context(|| format!("failed to read {name}"))?;
    store
        .import_cache_mount(&spec, tar)
        .with_context(|| format!("failed to unpack {name}"))
}
