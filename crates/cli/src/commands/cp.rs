//! `rbuild cp`: files from a container, or into one; `-` stands for an archive on standard output or input.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use rbuild_container::{Direction, Links, Owner};
use rbuild_source::{SourceError, StreamedContext};
use rbuild_store::{Container, RootAttributes, Store};

use super::several::{one, worded};
use crate::app::App;
use crate::failure::chain;

// What was typed after `rbuild cp`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "rbuild cp [OPTIONS] CONTAINER:SOURCE TARGET|-\n       rbuild cp [OPTIONS] SOURCE|- CONTAINER:TARGET"
)]
pub(crate) struct Args {
    /// What is copied; - is a tar on standard input, to be unpacked
    source: String,
    /// Where to; - writes a tar to standard output
    target: String,
    /// Keep users and groups
    #[arg(short, long)]
    archive: bool,
    /// Copy what a link leads to instead of the link
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Say nothing (nothing is said anyway)
    #[arg(short, long)]
    quiet: bool,
}

/// Copies.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let (source, target) = (Side::parse(&args.source), Side::parse(&args.target));
    let (name, direction, paths) = match (&source, &target) {
        (Side::Container(name, source), Side::Host(target)) => {
            (name, Direction::Out, (source, target))
        }
        (Side::Host(source), Side::Container(name, target)) => {
            (name, Direction::In, (source, target))
        }
        (Side::Container(..), Side::Container(..)) => {
            bail!("copying between containers is not supported")
        }
        (Side::Host(_), Side::Host(_)) => {
            bail!("must specify at least one container source: it is CONTAINER:PATH")
        }
    };
    let store = app.store()?;
    let container = one(store, name)?;
    let links = if args.follow_link {
        Links::Followed
    } else {
        Links::Copied
    };
    match direction {
        Direction::Out if is_stream(paths.1) => {
            write_archive(store, &container, paths.0, links)?;
            return Ok(ExitCode::SUCCESS);
        }
        Direction::In if is_stream(paths.0) => {
            unpack_archive(store, &container, paths.1)?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    // Ours on the host, root's in the container.
    let owner = if args.archive {
        Owner::Kept
    } else {
        Owner::Given {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        }
    };
    rbuild_container::copy(
        store,
        &container,
        direction,
        (paths.0, paths.1),
        links,
        owner,
    )
    .map_err(worded)?;
    Ok(ExitCode::SUCCESS)
}

fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

fn write_archive(
    store: &Store,
    container: &Container,
    source: &Path,
    links: Links,
) -> anyhow::Result<()> {
    let stdout = std::io::stdout();
    if stdout.is_terminal() {
        bail!("cowardly refusing to write an archive to a terminal: redirect it");
    }
    rbuild_container::copy_out_as_tar(store, container, source, links, stdout.lock())
        .map_err(worded)
}

/// Unpacks beside the container first: what is wrong with an archive leaves the container as it was.
fn unpack_archive(store: &Store, container: &Container, target: &Path) -> anyhow::Result<()> {
    const NAME: &str = "standard input";
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        bail!("there is nothing to copy: standard input is a terminal");
    }
    let draft = store.draft(&RootAttributes::default())?;
    let failed = |error: SourceError| anyhow::anyhow!("failed to {}", chain(&error));
    let StreamedContext::Archive(archive) = StreamedContext::read(stdin, NAME).map_err(failed)?
    else {
        bail!("what is on standard input is no archive");
    };
    archive.unpack(&draft.diff_path()).map_err(failed)?;
    rbuild_container::copy_tree_in(store, container, &draft.diff_path(), target).map_err(worded)
}

/// One of the two paths.
#[derive(Debug, PartialEq, Eq)]
enum Side {
    Host(PathBuf),
    Container(String, PathBuf),
}

impl Side {
    /// `name:path` is a container's, unless a slash or a dot before the colon says that it is a file.
    fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((name, path)) if !name.is_empty() && !name.contains('/') && name != "." => {
                Self::Container(name.to_owned(), PathBuf::from(path))
            }
            _ => Self::Host(PathBuf::from(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_tells_containers_from_files() {
        let container = Side::Container("web".into(), "/etc".into());
        assert_eq!(Side::parse("web:/etc"), container);
        for text in ["file", "./a:b", "/a:b"] {
            assert_eq!(Side::parse(text), Side::Host(text.into()));
        }
    }
}
