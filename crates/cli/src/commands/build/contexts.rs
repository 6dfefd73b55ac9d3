//! The Dockerfile and the contexts: where they are, brought here if they are elsewhere.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context as _, bail};
use rbuild_attest::SourceIdentity;
use rbuild_dockerfile::Source;
use rbuild_layer::ContentIndex;
use rbuild_plan::{
    CONTEXT_FILE, ContextSource, GitDirectory, GitSource, HttpSource, MainContext, NamedContext,
    parse_git_context, parse_git_url, without_credentials,
};
use rbuild_solve::{Cancel, SshKeys, git_authorization, git_url, http_authorization};
use rbuild_source::{Context, HttpFile, HttpRequest, IgnoreRules, StreamedContext};
use rbuild_store::{LayerDraft, RootAttributes};

use super::dockerfile_file::{DOCKERFILE, DockerfileFile, Relative, is_web, source};
use super::internal::InternalSteps;
use super::lock::Lock;
use super::request::Request;
use crate::app::App;

/// The build argument that keeps `.git` in a git context.
const KEEP_GIT_DIR: &str = "BUILDKIT_CONTEXT_KEEP_GIT_DIR";

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
    /// The remote context that the Dockerfile is from, and what that turned out to be.
    pub(super) remote: Option<(String, SourceIdentity)>,
    /// The lock file, if one is wanted.
    pub(super) lock: Option<Lock>,
    contexts: Mutex<HashMap<ContextSource, Context>>,
    /// Holds contexts that were unpacked, until the build is over.
    _unpacked: Vec<LayerDraft>,
}

/// The main context, before the Dockerfile is read.
enum Main {
    /// A directory of the user's.
    Directory(PathBuf),
    /// One that we filled, with whom its files belong to where an archive told it.
    Unpacked(LayerDraft, Option<ContentIndex>),
    /// None, and the Dockerfile that came instead.
    DockerfileOnly(Vec<u8>),
}

impl Inputs {
    pub(super) fn read(
        app: &App,
        request: &Request,
        steps: &InternalSteps,
        cancel: &Cancel,
    ) -> anyhow::Result<Self> {
        let fetch = Fetch {
            app,
            request,
            cancel,
            remote: RefCell::default(),
        };
        let main = fetch.main_context(steps)?;
        let named = named_contexts(request)?;
        let mut contexts = HashMap::new();
        for (name, directory) in named.directories {
            let context = Context::open(&directory, IgnoreRules::load(&directory, None)?)
                .with_context(|| format!("failed to use --build-context {name}"))?;
            contexts.insert(ContextSource::Named(name), context);
        }
        let mut unpacked = Vec::new();
        let mut dockerfile = None;
        let scope = scope(&main, request);
        let (source, main) = match main {
            Main::DockerfileOnly(text) => {
                // With an address, `-f` may be anything: the file itself is what there is.
                if request.context == "-" && request.file.is_some() {
                    bail!(
                        "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles"
                    );
                }
                (source("Dockerfile", text)?, MainContext::Absent)
            }
            Main::Directory(directory) => {
                request.policies.local("dockerfile")?;
                let file = steps.run("[internal] load build definition from Dockerfile", |_| {
                    DockerfileFile::find(&fetch, &directory, Relative::ToCaller)
                })?;
                let ignore = IgnoreRules::load(&directory, file.requested.as_deref())?;
                contexts.insert(ContextSource::Main, Context::open(&directory, ignore)?);
                dockerfile = file.read;
                (file.source, MainContext::Directory)
            }
            Main::Unpacked(draft, owners) => {
                let directory = draft.diff_path();
                let file = DockerfileFile::find(&fetch, &directory, Relative::ToContext)?;
                let context = Context::open(&directory, IgnoreRules::none())?;
                let (context, main) = match owners {
                    Some(owners) => (context.owned_as(owners), MainContext::Archive),
                    None => (context, MainContext::Directory),
                };
                contexts.insert(ContextSource::Main, context);
                unpacked.push(draft);
                (file.source, main)
            }
        };
        let lock = request.lock.as_ref();
        let lock = lock.map(|lock| Lock::open(lock, dockerfile.as_deref()));
        let lock = lock.transpose()?;
        let contexts = contexts
            .into_iter()
            .map(|(source, context)| (source, context.with_modes(request.context_modes)));
        Ok(Self {
            source,
            main,
            named: named.plan,
            scope,
            remote: fetch.remote.into_inner(),
            lock,
            contexts: Mutex::new(contexts.collect()),
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
        Main::Unpacked(..) | Main::DockerfileOnly(_) => request.context.clone(),
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

/// What fetching needs.
pub(super) struct Fetch<'a> {
    app: &'a App,
    pub(super) request: &'a Request,
    cancel: &'a Cancel,
    /// What the main context turned out to be, if it is elsewhere.
    remote: RefCell<Option<(String, SourceIdentity)>>,
}

impl Fetch<'_> {
    fn main_context(&self, steps: &InternalSteps) -> anyhow::Result<Main> {
        let text = self.request.context.as_str();
        if text == "-" {
            if self.request.file.as_deref() == Some("-") {
                bail!("invalid argument: can't use stdin for both build context and dockerfile");
            }
            return from_stream(self.app, std::io::stdin(), "standard input");
        }
        if let Some(git) = parse_git_context(text)? {
            let name = format!(
                "[internal] load git source {}",
                git_url(&git.source).display_remote()
            );
            let keeps = git.keep_git_dir == Some(true) || self.keeps_git_directory();
            return steps.run(&name, |_| self.git(git.source, keeps));
        }
        if is_web(text) {
            return steps.run(
                &format!("[internal] load remote build context {text}"),
                |_| {
                    let file = self.http(text)?;
                    let identity = SourceIdentity::File(file.digest());
                    self.remote
                        .replace(Some((without_credentials(text), identity)));
                    unpack(self.app, StreamedContext::from_http(&file)?)
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

    fn keeps_git_directory(&self) -> bool {
        let arguments = self.request.build_args.iter().rev();
        let value = arguments
            .filter(|(name, _)| name == KEEP_GIT_DIR)
            .map(|(_, value)| value.as_str())
            .next();
        matches!(value, Some("1" | "t" | "T" | "true" | "True" | "TRUE"))
    }

    fn git(&self, mut source: GitSource, keeps_directory: bool) -> anyhow::Result<Main> {
        if keeps_directory {
            source.git_directory = GitDirectory::Kept;
        }
        let source = self.request.policies.git(&source)?;
        let draft = self.app.store()?.draft(&RootAttributes::default())?;
        // Who asks for a context by SSH means the agent to be used; a Dockerfile may use it only with --ssh.
        let agent = self.request.ssh.get("default").cloned();
        let agent = agent.or_else(|| {
            let socket = self.app.environment.get("SSH_AUTH_SOCK")?;
            Some(SshKeys::Agent(PathBuf::from(socket)))
        });
        let client = self.app.git(agent)?;
        let stop = client.clone();
        let _stopped = self.cancel.on_cancel(move || stop.stop());
        let authorization = git_authorization(&self.request.secrets, &source.url);
        let url = git_url(&source);
        let commit = match client.held(&url) {
            Some(commit) => commit,
            None => client.resolve(&url, &authorization)?,
        };
        client.checkout(&url, &commit, &draft.diff_path(), &authorization)?;
        let identity = SourceIdentity::Commit(commit.sha.clone());
        let address = without_credentials(&self.request.context);
        self.remote.replace(Some((address, identity)));
        Ok(Main::Unpacked(draft, None))
    }

    /// The file at an address, if the source policies allow it.
    pub(super) fn http(&self, url: &str) -> anyhow::Result<HttpFile> {
        let source = self.request.policies.http(&web_context(url))?;
        let request = HttpRequest {
            url: &source.url,
            checksum: source.checksum,
            authorization: http_authorization(&self.request.secrets, &source.url),
        };
        let go_on = |_, _| {
            if self.cancel.is_cancelled() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        Ok(self.app.http()?.fetch(&request, &go_on)?)
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
            let owners = archive.unpack(&draft.diff_path())?.into_index();
            Ok(Main::Unpacked(draft, Some(owners)))
        }
    }
}

fn web_context(url: &str) -> HttpSource {
    HttpSource {
        url: url.to_owned(),
        checksum: None,
        file_name: CONTEXT_FILE.to_owned(),
    }
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
            NamedContext::Git(kept(git))
        } else if is_web(value) {
            // As it is: archives are for ADD --unpack.
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

/// Whether a `--build-context` is a directory of the user's.
pub(super) fn is_directory_context(value: &str) -> anyhow::Result<bool> {
    let is_named = ["docker-image://", "oci-layout://", "target:"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    Ok(!is_named && !is_web(value) && parse_git_url(value)?.is_none())
}

fn absolute_layout(layout: &str) -> anyhow::Result<String> {
    Ok(std::path::absolute(layout)?.to_string_lossy().into_owned())
}

/// A git context as its URL wants it.
fn kept(git: rbuild_plan::GitUrl) -> GitSource {
    GitSource {
        git_directory: match git.keep_git_dir {
            Some(true) => GitDirectory::Kept,
            _ => GitDirectory::Dropped,
        },
        ..git.source
    }
}
