//! The Dockerfile: which file it is, and its text.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rbuild_dockerfile::Source;

use super::contexts::Fetch;

/// The Dockerfile's name where none is given.
pub(super) const DOCKERFILE: &str = "Dockerfile";
/// What is tried where there is no [`DOCKERFILE`].
const LOWER_CASE_DOCKERFILE: &str = "dockerfile";
/// A larger Dockerfile is refused, in bytes: it is read into memory.
const MAX_DOCKERFILE_BYTES: u64 = 16 << 20;

/// What a relative `-f` is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relative {
    /// The working directory.
    ToCaller,
    /// The context, which it must not leave.
    ToContext,
}

/// A Dockerfile that was found.
pub(super) struct DockerfileFile {
    pub(super) source: Source,
    /// Where it was looked for first; its ignore file stands beside. None for one that was piped in or fetched.
    pub(super) requested: Option<PathBuf>,
    /// The file that it was read from, likewise.
    pub(super) read: Option<PathBuf>,
}

impl DockerfileFile {
    pub(super) fn find(
        fetch: &Fetch<'_>,
        context: &Path,
        relative: Relative,
    ) -> anyhow::Result<Self> {
        match fetch.request.file.as_deref() {
            Some("-") => Ok(Self {
                source: source("-", read_limited(std::io::stdin())?)?,
                requested: None,
                read: None,
            }),
            Some(url) if is_web(url) => {
                let file = fetch.http(url)?;
                Ok(Self {
                    source: source(&file.name(), read_limited(file.file())?)?,
                    requested: None,
                    read: None,
                })
            }
            Some(named) => {
                let path = match relative {
                    Relative::ToCaller => std::path::absolute(named)?,
                    Relative::ToContext => context.join(named.trim_start_matches('/')),
                };
                Self::at(named, path, context, relative)
            }
            None => Self::at(DOCKERFILE, context.join(DOCKERFILE), context, relative),
        }
    }

    fn at(
        named: &str,
        requested: PathBuf,
        context: &Path,
        relative: Relative,
    ) -> anyhow::Result<Self> {
        let places = candidates(&requested);
        let path = places.iter().find(|place| place.exists());
        let path = path.unwrap_or(&requested);
        let shown = if *path == requested {
            named.to_owned()
        } else {
            let shown = Path::new(named).with_file_name(LOWER_CASE_DOCKERFILE);
            shown.to_string_lossy().into_owned()
        };
        if relative == Relative::ToContext {
            stay_inside(context, path, named)?;
        }
        let text = match std::fs::File::open(path) {
            Ok(file) => {
                read_limited(file).with_context(|| format!("failed to read dockerfile: {named}"))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
                "failed to read dockerfile: open {named}: no such file or directory (looked for {}; name another with -f)",
                requested.display()
            ),
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read dockerfile: {named}"));
            }
        };
        Ok(Self {
            source: source(&shown, text)?,
            read: Some(path.clone()),
            requested: Some(requested),
        })
    }
}

/// Where a Dockerfile that was asked for is looked for: the first that exists counts.
pub(super) fn candidates(requested: &Path) -> Vec<PathBuf> {
    let lower_case = (requested.file_name() == Some(DOCKERFILE.as_ref()))
        .then(|| requested.with_file_name(LOWER_CASE_DOCKERFILE));
    std::iter::once(requested.to_owned())
        .chain(lower_case)
        .collect()
}

/// An unpacked context may hold links that lead out of it.
fn stay_inside(context: &Path, path: &Path, named: &str) -> anyhow::Result<()> {
    let Ok(real) = path.canonicalize() else {
        // It is not there: who reads it says so.
        return Ok(());
    };
    if !real.starts_with(context.canonicalize()?) {
        bail!("failed to read dockerfile: {named} leads out of the context");
    }
    Ok(())
}

fn read_limited(from: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(MAX_DOCKERFILE_BYTES + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// The text of a Dockerfile. Whatever it is called, `Dockerfile` is what the limit is told of.
pub(super) fn source(name: &str, text: Vec<u8>) -> anyhow::Result<Source> {
    if text.len() as u64 > MAX_DOCKERFILE_BYTES {
        bail!("{name}: Dockerfile exceeds maximum allowed size of {MAX_DOCKERFILE_BYTES} bytes");
    }
    let text = String::from_utf8(text).map_err(|error| {
        anyhow::anyhow!(
            "{name}: it is not UTF-8 (byte {})",
            error.utf8_error().valid_up_to()
        )
    })?;
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    Ok(Source {
        name: name.to_owned(),
        text,
    })
}

/// Whether `text` is an address of the web.
pub(super) fn is_web(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}
