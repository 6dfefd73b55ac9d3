//! The files of the user's that a build reads: the Dockerfile, ignore files, and what of its contexts is copied or mounted.
//!
//! They are called as the user called them: what a context given as `.` has is `src/main.rs`, of `../app` it is
//! `../app/src/main.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rbuild_plan::{ContextSource, Plan, parse_git_context};
use rbuild_solve::{ContextPath, ContextReads};
use rbuild_source::{Context, IgnoreRules, SourceError};
use rbuild_store::Store;

use super::contexts::is_directory_context;
use super::dockerfile_file::{candidates, is_web};
use super::request::Request;
use crate::failure::chain;

/// Where the files are that a build may read.
pub(super) struct LocalFiles {
    /// Where the Dockerfile is looked for, if it is a file of the user's: the first that exists counts.
    dockerfiles: Vec<PathBuf>,
    contexts: BTreeMap<ContextSource, LocalContext>,
}

/// A directory of the user's.
struct LocalContext {
    /// As it was typed.
    directory: PathBuf,
    /// The Dockerfile, beside which an ignore file may be for it.
    dockerfile: Option<PathBuf>,
}

/// What a build reads of its contexts, or why it cannot.
pub(super) type Looked = Result<ContextReads, String>;

impl LocalFiles {
    pub(super) fn of(request: &Request) -> anyhow::Result<Self> {
        let text = request.context.as_str();
        let is_local = text != "-" && !is_web(text) && parse_git_context(text)?.is_none();
        let main = is_local.then(|| plain(Path::new(text)));
        let dockerfile = match request.file.as_deref() {
            Some("-") => None,
            Some(named) if is_web(named) => None,
            Some(named) => main.as_ref().map(|_| plain(Path::new(named))),
            None => main.as_ref().map(|main| main.join("Dockerfile")),
        };
        let dockerfiles = dockerfile.as_deref().map(candidates).unwrap_or_default();
        let mut contexts = BTreeMap::new();
        if let Some(directory) = main {
            let main = LocalContext {
                directory,
                dockerfile,
            };
            contexts.insert(ContextSource::Main, main);
        }
        for (name, value) in &request.build_contexts {
            if is_directory_context(value)? {
                let named = LocalContext {
                    directory: plain(Path::new(value)),
                    dockerfile: None,
                };
                contexts.insert(ContextSource::Named(name.clone()), named);
            }
        }
        Ok(Self {
            dockerfiles,
            contexts,
        })
    }

    /// Whether the main context is a directory, and its Dockerfile a file.
    pub(super) fn are_complete(&self) -> bool {
        self.contexts.contains_key(&ContextSource::Main) && !self.dockerfiles.is_empty()
    }

    /// The Dockerfile, if it is a file of the user's.
    pub(super) fn dockerfile(&self) -> Option<&Path> {
        let existing = self.dockerfiles.iter().find(|path| path.is_file());
        existing.map(PathBuf::as_path)
    }

    /// The Dockerfile and the ignore files, each of which may or may not be there.
    pub(super) fn instructions(&self) -> Vec<PathBuf> {
        let mut files = self.dockerfiles.clone();
        for context in self.contexts.values() {
            files.extend(context.ignore_files());
        }
        files
    }

    /// Those of [`Self::instructions`] that count now.
    fn instructions_used(&self) -> Vec<PathBuf> {
        let first = |files: Vec<PathBuf>| files.into_iter().find(|file| file.is_file());
        let mut used: Vec<_> = first(self.dockerfiles.clone()).into_iter().collect();
        for context in self.contexts.values() {
            used.extend(first(context.ignore_files()));
        }
        used
    }

    /// What a build read, each file once: the Dockerfile first. What the build wrote is left out, and links that lead to no file.
    pub(super) fn read(&self, reads: &ContextReads, written: &mut Written) -> Vec<PathBuf> {
        let mut files = self.instructions_used();
        let known: BTreeSet<PathBuf> = files.iter().cloned().collect();
        let paths = reads.files().filter_map(|place| self.path(place));
        files.extend(
            paths.filter(|path| !known.contains(path) && path.is_file() && !written.has(path)),
        );
        files
    }

    /// What the user calls a path of a context.
    pub(super) fn path(&self, place: &ContextPath) -> Option<PathBuf> {
        let context = self.contexts.get(&place.source)?;
        Some(context.directory.join(OsStr::from_bytes(&place.path)))
    }

    /// What `plan` reads of the directories as they are now, with the ignore files that they have now.
    pub(super) fn look(&self, plan: &Plan, request: &Request, store: &Store) -> Looked {
        let contexts = self.open(request).map_err(|error| chain(&error))?;
        look(plan, &contexts, store)
    }

    /// The directories in which something has to happen before a build of `plan` could find anything else.
    pub(super) fn directories(&self, plan: Option<&Plan>, request: &Request) -> Vec<PathBuf> {
        let mut directories: Vec<PathBuf> = Vec::new();
        for file in self.instructions() {
            let real = file.canonicalize().ok();
            for file in [Some(file), real].into_iter().flatten() {
                directories.extend(file.parent().map(current_if_empty));
            }
        }
        let contexts = self.contexts.values();
        directories.extend(contexts.map(|context| current_if_empty(&context.directory)));
        let visited = plan.and_then(|plan| {
            let contexts = self.open(request).ok()?;
            ContextReads::directories(plan, &contexts).ok()
        });
        // One that cannot be read now is told by the look that follows.
        for place in visited.unwrap_or_default() {
            directories.extend(self.path(&place).as_deref().map(current_if_empty));
        }
        directories.sort();
        directories.dedup();
        directories
    }

    fn open(&self, request: &Request) -> Result<HashMap<ContextSource, Context>, SourceError> {
        let open = |(source, local): (&ContextSource, &LocalContext)| {
            let directory = current_if_empty(&local.directory);
            let directory = directory.canonicalize().unwrap_or(directory);
            let ignore = IgnoreRules::load(&directory, local.dockerfile.as_deref())?;
            let context = Context::open(&directory, ignore)?;
            Ok((source.clone(), context.with_modes(request.context_modes)))
        };
        self.contexts.iter().map(open).collect()
    }
}

impl LocalContext {
    fn ignore_files(&self) -> Vec<PathBuf> {
        IgnoreRules::candidates(&self.directory, self.dockerfile.as_deref())
    }
}

/// What `plan` reads of `contexts`.
pub(super) fn look(
    plan: &Plan,
    contexts: &HashMap<ContextSource, Context>,
    store: &Store,
) -> Looked {
    let cache = |directory: &Path| store.context_cache_path(directory);
    ContextReads::look(plan, contexts, &cache).map_err(|error| chain(&error))
}

/// What a build writes, which may lie in its own context.
pub(super) struct Written {
    paths: Vec<PathBuf>,
    /// What the directories are really called that were asked about.
    real: HashMap<PathBuf, Option<PathBuf>>,
}

impl Written {
    pub(super) fn by(request: &Request) -> anyhow::Result<Self> {
        let mut paths = Self::files(request);
        paths.extend(request.outputs.directories());
        paths.extend(request.caches.directories());
        paths.extend(request.depfile.clone());
        if let Some(lock) = &request.lock {
            let dockerfiles = LocalFiles::of(request)?.dockerfiles;
            paths.extend(lock.place(dockerfiles.first().map(PathBuf::as_path)));
        }
        let mut written = Self {
            paths: Vec::new(),
            real: HashMap::new(),
        };
        let paths = paths.iter().filter_map(|path| written.real(path));
        written.paths = paths.collect();
        Ok(written)
    }

    /// The files that are a build's results.
    pub(super) fn files(request: &Request) -> Vec<PathBuf> {
        let results = [
            &request.iidfile,
            &request.digest_file,
            &request.metadata_file,
        ];
        let archives = request.outputs.archives().into_iter();
        archives
            .chain(results.into_iter().flatten().cloned())
            .collect()
    }

    /// Whether `path` is of it.
    pub(super) fn has(&mut self, path: &Path) -> bool {
        let Some(path) = self.real(path).filter(|_| !self.paths.is_empty()) else {
            return false;
        };
        self.paths.iter().any(|written| path.starts_with(written))
    }

    /// The path with no links in it but perhaps the last part.
    fn real(&mut self, path: &Path) -> Option<PathBuf> {
        let parent = current_if_empty(path.parent()?);
        let real = self
            .real
            .entry(parent)
            .or_insert_with_key(|parent| parent.canonicalize().ok());
        Some(real.as_ref()?.join(path.file_name()?))
    }
}

/// Without `.`, doubled slashes and a slash at the end.
fn plain(path: &Path) -> PathBuf {
    let parts = path.components();
    parts.filter(|part| *part != Component::CurDir).collect()
}

fn current_if_empty(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        path.to_owned()
    }
}
