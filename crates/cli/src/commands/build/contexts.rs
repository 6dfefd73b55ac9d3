//! The Dockerfile and the contexts: where they are, brought here if they are elsewhere.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, bail};
use rbuild_dockerfile::Source;
use rbuild_plan::{
    CONTEXT_FILE, ContextSource, HttpSource, MainContext, NamedContext, parse_git_url,
};
use rbuild_source::{
    Authorization, Context, GitUrl, HttpFile, HttpRequest, IgnoreRules, StreamedContext,
};
use rbuild_store::{LayerDraft, RootAttributes};

use super::internal::InternalSteps;
use super::request::Request;
use crate::app::App;

/// The Dockerfile's name where none is given.
const DOCKERFILE: &str = "Dockerfile";
/// What is tried when there is no [`DOCKERFILE`].
const LOWER_CASE_DOCKERFILE: &str = "dockerfile";
/// A larger Dockerfile is refused, in bytes: it is read into memory.
const MAX_DOCKERFILE_BYTES: u64 = 64 << 20;

/// Everything that a build reads, but images.
pub(super) struct Inputs {
    /// The Dockerfile.
    pub(super) source: Source,
    /// What the main context is, for the plan.
    pub(super) main: MainContext,
    /// The named contexts, for the plan.
    pub(super) named: std::collections::BTreeMap<String, NamedContext>,
    /// Which project this is.
    pub(super) scope: String,
    contexts: Mutex<HashMap<ContextSource, Context>>,
    /// Holds contexts that were unpacked, until the build is over.
    _unpacked: Vec<LayerDraft>,
}

/// The main context, before the Dockerfile is read.
enum Main {
    /// A directory of the user's.
    Directory(PathBuf),
    /// One that we filled.
    Unpacked(LayerDraft),
    /// None, and the Dockerfile that came instead.
    DockerfileOnly(Vec<u8>),
}

impl Inputs {
    pub(super) fn read(
        app: &App,
        request: &Request,
        steps: &InternalSteps,
    ) -> anyhow::Result<Self> {
        let main = main_context(app, request, steps)?;
        let named = named_contexts(request)?;
        let mut contexts = HashMap::new();
        for (name, directory) in named.directories {
            let context = Context::open(&directory, IgnoreRules::load(&directory, None)?)
                .with_context(|| format!("failed to use --build-context {name}"))?;
            contexts.insert(ContextSource::Named(name), context);
        }
        let mut unpacked = Vec::new();
        let scope = scope(&main, request);
        let (source, main) = match main {
            Main::DockerfileOnly(text) => (source("Dockerfile", text)?, MainContext::Absent),
            Main::Directory(directory) => {
                request.policies.local("dockerfile")?;
                let file = steps.run("[internal] load build definition from Dockerfile", |_| {
                    DockerfileFile::find(app, request, &directory, Relative::ToCaller)
                })?;
                let ignore = IgnoreRules::load(&directory, file.path.as_deref())?;
                contexts.insert(ContextSource::Main, Context::open(&directory, ignore)?);
                (file.source, MainContext::Directory)
            }
            Main::Unpacked(draft) => {
                let directory = draft.diff_path();
                let file = DockerfileFile::find(app, request, &directory, Relative::ToContext)?;
                let context = Context::open(&directory, IgnoreRules::none())?;
                contexts.insert(ContextSource::Main, context);
                unpacked.push(draft);
                (file.source, MainContext::Directory)
            }
        };
        Ok(Self {
            source,
            main,
            named: named.plan,
            scope,
            contexts: Mutex::new(contexts),
            _unpacked: unpacked,
        })
    }

    /// The directories, for the solver: they can be taken once.
    pub(super) fn take_contexts(&self) -> HashMap<ContextSource, Context> {
        let mut contexts = self
            .contexts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::take(&mut *contexts)
    }

    /// Whether `.dockerignore` leaves a path of the main context out.
    pub(super) fn ignore_rules(&self) -> Option<IgnoreRules> {
        let contexts = self
            .contexts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        contexts
            .get(&ContextSource::Main)
            .map(|context| context.ignore().clone())
    }
}

/// A name for the project, so that a step is compared with its own past.
fn scope(main: &Main, request: &Request) -> String {
    let place = match main {
        Main::Directory(directory) => directory.to_string_lossy().into_owned(),
        Main::Unpacked(_) | Main::DockerfileOnly(_) => request.context.clone(),
    };
    scope_of(&place, request.file.as_deref())
}

fn scope_of(place: &str, file: Option<&str>) -> String {
    format!("{place}\n{}", file.unwrap_or(DOCKERFILE))
}

/// The name under which the steps of a context and a Dockerfile are recorded.
pub(crate) fn project_scope(context: &str, file: Option<&str>) -> anyhow::Result<String> {
    let directory = std::path::absolute(context)?;
    match directory.canonicalize() {
        Ok(directory) => Ok(scope_of(&directory.to_string_lossy(), file)),
        Err(_) => Ok(scope_of(context, file)),
    }
}

fn main_context(app: &App, request: &Request, steps: &InternalSteps) -> anyhow::Result<Main> {
    let text = request.context.as_str();
    if text == "-" {
        return from_stream(app, std::io::stdin(), "standard input");
    }
    if let Some(url) = GitUrl::parse(text)? {
        let url = policed_git(url, request)?;
        return steps.run(
            &format!("[internal] load git source {}", url.display_remote()),
            |_| {
                let draft = app.store()?.draft(&RootAttributes::default())?;
                let client = app.git()?;
                let commit = client.resolve(&url, &Authorization::None)?;
                client.checkout(&url, &commit, &draft.diff_path(), &Authorization::None)?;
                anyhow::Ok(Main::Unpacked(draft))
            },
        );
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return steps.run(
            &format!("[internal] load remote build context {text}"),
            |_| {
                let file = fetch(app, request, text)?;
                unpack(app, StreamedContext::from_http(&file)?)
            },
        );
    }
    let directory = std::path::absolute(text)?;
    match std::fs::metadata(&directory) {
        Ok(found) if found.is_dir() => Ok(Main::Directory(directory.canonicalize()?)),
        Ok(_) => bail!("the build context {text:?} is not a directory"),
        Err(error) => bail!("the build context {text:?} cannot be used: {error}"),
    }
}

fn from_stream(app: &App, stream: impl std::io::Read + Send, name: &str) -> anyhow::Result<Main> {
    unpack(app, StreamedContext::read(stream, name)?)
}

fn unpack(app: &App, streamed: StreamedContext<'_>) -> anyhow::Result<Main> {
    match streamed {
        StreamedContext::Dockerfile(text) => Ok(Main::DockerfileOnly(text)),
        StreamedContext::Archive(archive) => {
            let draft = app.store()?.draft(&RootAttributes::default())?;
            archive.unpack(&draft.diff_path())?;
            Ok(Main::Unpacked(draft))
        }
    }
}

/// What a relative `-f` is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relative {
    /// The working directory.
    ToCaller,
    /// The context.
    ToContext,
}

/// A Dockerfile that was found.
struct DockerfileFile {
    source: Source,
    /// Where it is; none for one that was piped in or fetched.
    path: Option<PathBuf>,
}

impl DockerfileFile {
    fn find(
        app: &App,
        request: &Request,
        context: &Path,
        relative: Relative,
    ) -> anyhow::Result<Self> {
        let named = match request.file.as_deref() {
            None => return Self::default_in(context),
            Some("-") => {
                let mut text = Vec::new();
                std::io::stdin()
                    .take(MAX_DOCKERFILE_BYTES)
                    .read_to_end(&mut text)?;
                return Ok(Self {
                    source: source("-", text)?,
                    path: None,
                });
            }
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
                let file = fetch(app, request, url)?;
                let mut text = Vec::new();
                file.file()
                    .take(MAX_DOCKERFILE_BYTES)
                    .read_to_end(&mut text)?;
                return Ok(Self {
                    source: source(&file.name(), text)?,
                    path: None,
                });
            }
            Some(named) => named,
        };
        let path = match relative {
            Relative::ToCaller => std::path::absolute(named)?,
            Relative::ToContext => inside(context, named)?,
        };
        let text = read(&path).with_context(|| format!("failed to read dockerfile: {named}"))?;
        Ok(Self {
            source: source(named, text)?,
            path: Some(path),
        })
    }

    fn default_in(context: &Path) -> anyhow::Result<Self> {
        for name in [DOCKERFILE, LOWER_CASE_DOCKERFILE] {
            let path = context.join(name);
            match read(&path) {
                Ok(text) => {
                    return Ok(Self {
                        source: source(name, text)?,
                        path: Some(path),
                    });
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("failed to read dockerfile: {name}"));
                }
            }
        }
        bail!(
            "failed to read dockerfile: open Dockerfile: no such file or directory (there is none in {}; name another with -f)",
            context.display()
        )
    }
}

/// A file of the web that is a context or a Dockerfile, if the source policies allow it.
fn fetch(app: &App, request: &Request, url: &str) -> anyhow::Result<HttpFile> {
    let source = request.policies.http(&web_context(url))?;
    let wanted = HttpRequest {
        url: &source.url,
        checksum: source.checksum,
        authorization: Authorization::None,
    };
    Ok(app.http()?.fetch(&wanted, &|_, _| {})?)
}

fn web_context(url: &str) -> HttpSource {
    HttpSource {
        url: url.to_owned(),
        checksum: None,
        file_name: CONTEXT_FILE.to_owned(),
    }
}

/// The repository that the source policies let stand for `url`.
fn policed_git(url: GitUrl, request: &Request) -> anyhow::Result<GitUrl> {
    let Some(asked) = parse_git_url(&request.context)? else {
        return Ok(url);
    };
    let found = request.policies.git(&asked.source)?;
    if found == asked.source {
        return Ok(url);
    }
    Ok(GitUrl {
        remote: found.url,
        reference: found.reference,
        subdirectory: found.subdirectory,
        checksum: found.checksum,
        ..url
    })
}

/// A path of an unpacked context, which must not lead out of it.
fn inside(context: &Path, named: &str) -> anyhow::Result<PathBuf> {
    let path = context.join(named.trim_start_matches('/'));
    let real = path
        .canonicalize()
        .with_context(|| format!("failed to read dockerfile: {named}"))?;
    if !real.starts_with(context.canonicalize()?) {
        bail!("failed to read dockerfile: {named} leads out of the context");
    }
    Ok(real)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let size = std::fs::metadata(path)?.len();
    if size > MAX_DOCKERFILE_BYTES {
        let message = format!("it has {size} bytes, more than a Dockerfile may have");
        return Err(std::io::Error::other(message));
    }
    let mut text = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_DOCKERFILE_BYTES)
        .read_to_end(&mut text)?;
    Ok(text)
}

fn source(name: &str, text: Vec<u8>) -> anyhow::Result<Source> {
    let text = String::from_utf8(text).map_err(|error| {
        anyhow::anyhow!(
            "{name}: it is not UTF-8 (byte {})",
            error.utf8_error().valid_up_to()
        )
    })?;
    let text = text
        .strip_prefix('\u{feff}')
        .map_or(text.clone(), str::to_owned);
    Ok(Source {
        name: name.to_owned(),
        text,
    })
}

/// `--build-context`, taken apart.
struct Named {
    plan: std::collections::BTreeMap<String, NamedContext>,
    directories: Vec<(String, PathBuf)>,
}

fn named_contexts(request: &Request) -> anyhow::Result<Named> {
    let mut named = Named {
        plan: std::collections::BTreeMap::new(),
        directories: Vec::new(),
    };
    for (name, value) in &request.build_contexts {
        let context = if let Some(reference) = value.strip_prefix("docker-image://") {
            NamedContext::Image(reference.to_owned())
        } else if let Some(layout) = value.strip_prefix("oci-layout://") {
            NamedContext::OciLayout(absolute_layout(layout)?)
        } else if let Some(stage) = value.strip_prefix("target:") {
            NamedContext::Target(stage.to_owned())
        } else if let Some(git) = parse_git_url(value)? {
            NamedContext::Git(git.source)
        } else if value.starts_with("http://") || value.starts_with("https://") {
            NamedContext::Http(web_context(value))
        } else {
            let directory = std::path::absolute(value)?;
            if !directory.is_dir() {
                bail!("--build-context {name}={value}: {value} is not a directory");
            }
            named.directories.push((name.clone(), directory));
            NamedContext::Local
        };
        named.plan.insert(name.clone(), context);
    }
    Ok(named)
}

fn absolute_layout(layout: &str) -> anyhow::Result<String> {
    Ok(std::path::absolute(layout)?.to_string_lossy().into_owned())
}
