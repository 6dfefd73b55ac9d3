//! `rbuild cp`: files from a container, or into one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use rbuild_container::{Direction, Links, Owner};

use super::several::{one, worded};
use crate::app::App;

/// What was typed after `rbuild cp`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "rbuild cp [OPTIONS] CONTAINER:SOURCE TARGET\n       rbuild cp [OPTIONS] SOURCE CONTAINER:TARGET"
)]
pub(crate) struct Args {
    /// What is copied
    source: String,
    /// Where to
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
    if [paths.0, paths.1]
        .iter()
        .any(|path| *path == Path::new("-"))
    {
        bail!("archives are not copied: see rbuild export");
    }
    let store = app.store()?;
    let container = one(store, name)?;
    let links = if args.follow_link {
        Links::Followed
    } else {
        Links::Copied
    };
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
