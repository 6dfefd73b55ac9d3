//! A store, two directories, and plans made by hand.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rbuild_image::{ImageConfig, LayerId, Platform};
use rbuild_layer::FileTimes;
use rbuild_plan::{
    CacheUse, ContextSource, CopyAction, Exec, ExecMount, FileAction, FileOperation, ImageOutput,
    Input, Mode, NetworkMode, Operation, Owner, Parents, Plan, SecurityMode, Unpack, Vertex,
    VertexId, Wildcard,
};
use rbuild_progress::Reporter;
use rbuild_registry::{Anonymous, Client, RegistryConfig};
use rbuild_solve::{
    BaseLayers, Build, Cancel, CdiDevices, RemoteLayers, RemoteSources, Reuse, Secret, Solution,
    SolveError, StepNetworks, solve,
};
use rbuild_source::{
    Context, GitClient, GitOptions, GitProtocols, HttpClient, IgnoreRules, WebOptions,
};
use rbuild_store::Store;

pub(crate) use crate::harness::Result;

/// The directories `main` and `base`, and a store.
pub(crate) struct Lab {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) file_times: Vec<FileTimes>,
}

impl Lab {
    pub(crate) fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        for name in ["main", "base"] {
            fs::create_dir(directory.path().join(name))?;
        }
        Ok(Self {
            store: Store::open(&directory.path().join("store"))?,
            directory,
            secrets: BTreeMap::new(),
            file_times: vec![FileTimes::Own],
        })
    }

    /// `base` with a shell.
    pub(crate) fn with_shell() -> Result<Self> {
        let lab = Self::new()?;
        fs::create_dir(lab.base("bin"))?;
        fs::copy(crate::harness::BUSYBOX, lab.base("bin/busybox"))?;
        for applet in ["sh", "cat", "stat", "ln", "sleep", "touch", "mkdir", "ls"] {
            symlink("busybox", lab.base("bin").join(applet))?;
        }
        Ok(lab)
    }

    /// The same directories through another handle of the store.
    pub(crate) fn again(&self) -> Result<Other<'_>> {
        let store = Store::open(self.store.root())?;
        Ok(Other { lab: self, store })
    }

    pub(crate) fn main(&self, path: &str) -> PathBuf {
        self.directory.path().join("main").join(path)
    }

    pub(crate) fn base(&self, path: &str) -> PathBuf {
        self.directory.path().join("base").join(path)
    }

    /// A file and its parents.
    pub(crate) fn write(path: &Path, text: &str) -> Result {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(fs::write(path, text)?)
    }

    pub(crate) fn mode(path: &Path, mode: u32) -> Result {
        fs::create_dir_all(path)?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
    }

    pub(crate) fn solve(&self, steps: &Steps) -> Result<std::result::Result<Solution, SolveError>> {
        let build = self.build(&self.store)?;
        Ok(solve(&steps.plan, &build))
    }

    /// The directory of the topmost layer of the first output.
    pub(crate) fn top(&self, solution: &Solution) -> Result<PathBuf> {
        let top = solution.outputs[0].last().ok_or("an output has layers")?;
        self.layer(top)
    }

    pub(crate) fn layer(&self, id: &LayerId) -> Result<PathBuf> {
        let layer = self.store.layer(id)?.ok_or("a layer is in the store")?;
        Ok(layer.diff_path())
    }

    fn build(&self, store: &Store) -> Result<Build> {
        let open = |name: &str| {
            let path = self.directory.path().join(name);
            Context::open(&path, IgnoreRules::none())
        };
        Ok(Build {
            store: store.clone(),
            scope: "tests".to_owned(),
            registry: Arc::new(Client::new(RegistryConfig::default(), Arc::new(Anonymous))),
            git: GitClient::new(GitOptions {
                program: "git".into(),
                cache: self.directory.path().join("git"),
                environment: Vec::new(),
                ssh_agent: None,
                ssh_keys: Vec::new(),
                known_hosts: Vec::new(),
                protocols: GitProtocols::Network,
            }),
            http: HttpClient::new(self.directory.path().join("http"), WebOptions::default()),
            contexts: HashMap::from([
                (ContextSource::Main, open("main")?),
                (ContextSource::Named("base".to_owned()), open("base")?),
            ]),
            secrets: self.secrets.clone(),
            ssh: BTreeMap::new(),
            devices: Arc::new(CdiDevices::default()),
            network: StepNetworks::default(),
            users: rbuild_plan::StepUsers::default(),
            base_layers: BaseLayers::WhenNeeded,
            imports: Arc::default(),
            mounts: Arc::default(),
            publisher: None,
            on_layer: None,
            packer: None,
            remote_layers: RemoteLayers::Always,
            jobs: NonZeroUsize::new(4).ok_or("not zero")?,
            now: SystemTime::now(),
            file_times: self.file_times.clone(),
            reuse: Reuse::default(),
            sources: RemoteSources::default(),
            reporter: Reporter::silent(),
            cancel: Cancel::new(),
            pins: Mutex::default(),
        })
    }
}

/// Another user of a lab's store.
pub(crate) struct Other<'a> {
    lab: &'a Lab,
    store: Store,
}

impl Other<'_> {
    pub(crate) fn solve(&self, steps: &Steps) -> Result<std::result::Result<Solution, SolveError>> {
        Ok(solve(&steps.plan, &self.lab.build(&self.store)?))
    }
}

/// A plan as it grows.
#[derive(Default)]
pub(crate) struct Steps {
    pub(crate) plan: Plan,
}

impl Steps {
    pub(crate) fn add(&mut self, operation: Operation, inputs: &[VertexId]) -> VertexId {
        let name = format!("step {}", self.plan.vertices().count());
        let vertex = Vertex {
            operation,
            platform: Platform::host().into(),
            name,
            origin: None,
            stage: "".into(),
            cache_use: CacheUse::Allowed,
        };
        self.plan.add(vertex, inputs)
    }

    pub(crate) fn main(&mut self) -> VertexId {
        self.add(Operation::Context(ContextSource::Main), &[])
    }

    /// The directory `base` as a layer.
    pub(crate) fn base(&mut self) -> VertexId {
        let source = ContextSource::Named("base".to_owned());
        let directory = self.add(Operation::Context(source), &[]);
        self.copy(None, directory, "/", "/", |_| {})
    }

    pub(crate) fn copy(
        &mut self,
        base: Option<VertexId>,
        from: VertexId,
        source: &str,
        destination: &str,
        change: impl FnOnce(&mut CopyAction),
    ) -> VertexId {
        let mut copy = CopyAction {
            from: Input(u32::from(base.is_some())),
            source: source.to_owned(),
            destination: destination.to_owned(),
            owner: Owner::Source,
            mode: Mode::Source,
            parents: Parents::Dropped,
            excludes: Vec::new(),
            unpack: Unpack::Never,
            wildcard: if source.contains(['*', '?', '[']) {
                Wildcard::Pattern
            } else {
                Wildcard::Literal
            },
        };
        change(&mut copy);
        let operation = Operation::File(FileOperation {
            base: base.map(|_| Input(0)),
            actions: vec![FileAction::Copy(copy)],
        });
        let inputs: Vec<VertexId> = base.into_iter().chain([from]).collect();
        self.add(operation, &inputs)
    }

    /// `RUN script`; the first input is what it runs on.
    pub(crate) fn run(
        &mut self,
        script: &str,
        mounts: Vec<ExecMount>,
        inputs: &[VertexId],
    ) -> VertexId {
        let exec = Exec {
            args: ["/bin/sh", "-ec", script].map(Into::into).to_vec(),
            env: std::iter::once("PATH=/bin").collect(),
            proxy_env: Vec::new(),
            cwd: "/".into(),
            user: "".into(),
            mounts,
            network: NetworkMode::None,
            security: SecurityMode::Sandbox,
            hostname: "tests".into(),
            extra_hosts: Vec::new(),
            shm_size: None,
            devices: Vec::new(),
            ulimits: Vec::new(),
        };
        self.add(Operation::Exec(Box::new(exec)), inputs)
    }

    pub(crate) fn output(mut self, root: VertexId) -> Self {
        self.plan.outputs.push(ImageOutput {
            platform: Platform::host(),
            root: Some(root),
            config: ImageConfig::default(),
            base_history: 0,
        });
        self
    }
}
