//! A root directory of rbuild's, and builds in it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rbuild_dockerfile::{Source, parse};
use rbuild_export::{Dating, TimesNote, assemble};
use rbuild_image::{LayerId, Platform, canonical_json};
use rbuild_layer::FileTimes;
use rbuild_plan::{
    ContextSource, ImageOutput, Images, NamedContext, NoCache, Operation, Plan, PlanOptions,
    VertexId, plan,
};
use rbuild_progress::Reporter;
use rbuild_registry::{Anonymous, Client, RegistryConfig};
use rbuild_remote::Imports;
use rbuild_solve::{
    BaseLayers, Build, Cancel, CdiDevices, RemoteLayers, RemoteSources, Reuse, Solution,
    StepNetworks, solve,
};
use rbuild_source::{
    Context, GitClient, GitOptions, GitProtocols, HttpClient, IgnoreRules, WebOptions,
};
use rbuild_store::Store;

use crate::dump::dump;
use crate::harness::Result;
use crate::render::Rendered;
use crate::world::World;

/// What every new file is dated at in one of the two images that are compared.
const EPOCH: i64 = 1_600_000_000;

/// Contexts and a Dockerfile.
pub(crate) struct Project<'a> {
    pub(crate) main: &'a Path,
    pub(crate) extra: &'a Path,
    pub(crate) world: &'a World,
    pub(crate) rendered: &'a Rendered,
    pub(crate) no_cache: NoCache,
}

impl Project<'_> {
    /// The plan, with an output for every vertex that has layers behind that of the image.
    pub(crate) fn plan(&self, images: &dyn Images) -> Result<Plan> {
        let source = Source::new("Dockerfile", self.rendered.text.clone());
        let parsed = parse(&source);
        let dockerfile = parsed
            .dockerfile
            .ok_or_else(|| format!("{:?}", parsed.diagnostics))?;
        let given = self.world.build_args.iter();
        let options = PlanOptions {
            build_args: given
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            no_cache: self.no_cache.clone(),
            contexts: BTreeMap::from([("extra".to_owned(), NamedContext::Local)]),
            build_platform: Platform::host(),
            ..PlanOptions::default()
        };
        let mut plan = plan(&source, &dockerfile, &options, images)?.plan;
        let stacks: Vec<VertexId> = stacks(&plan).collect();
        plan.outputs
            .extend(stacks.into_iter().map(|root| ImageOutput {
                platform: Platform::host(),
                root: Some(root),
                config: rbuild_image::ImageConfig::default(),
                base_history: 0,
            }));
        Ok(plan)
    }
}

/// The vertices that have layers, in the order of the outputs behind the first.
fn stacks(plan: &Plan) -> impl Iterator<Item = VertexId> {
    plan.vertices()
        .filter(|id| !matches!(plan.vertex(*id).operation, Operation::Context(_)))
}

/// A new directory in memory, if there is room and the memory's file system keeps extended attributes.
pub(crate) fn directory() -> Result<tempfile::TempDir> {
    const MEMORY: &str = "/dev/shm";
    /// Two machines for each of four tests.
    const ROOM_BYTES: u64 = 512 << 20;
    if rustix::fs::statvfs(MEMORY).is_ok_and(|found| found.f_bavail * found.f_frsize > ROOM_BYTES)
        && let Ok(directory) = tempfile::tempdir_in(MEMORY)
    {
        let flags = rustix::fs::XattrFlags::empty();
        if rustix::fs::setxattr(directory.path(), "user.model", b"x", flags).is_ok() {
            return Ok(directory);
        }
    }
    Ok(tempfile::tempdir()?)
}

/// A store.
pub(crate) struct Machine {
    directory: tempfile::TempDir,
    pub(crate) store: Store,
    jobs: NonZeroUsize,
}

/// What a build gave.
pub(crate) struct Built {
    /// Which vertices ran.
    pub(crate) executed: Vec<VertexId>,
    pub(crate) stacks: HashMap<VertexId, Vec<LayerId>>,
    /// The contents of each layer that was made.
    pub(crate) layers: BTreeMap<LayerId, String>,
    /// The image's config as it is with `SOURCE_DATE_EPOCH`.
    pub(crate) dated: String,
    /// And without.
    pub(crate) own: String,
}

impl Machine {
    pub(crate) fn new(jobs: usize) -> Result<Self> {
        let directory = directory()?;
        Ok(Self {
            store: Store::open(&directory.path().join("root"))?,
            directory,
            jobs: NonZeroUsize::new(jobs).ok_or("no jobs")?,
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Builds; the inner error is the build's own.
    pub(crate) fn build(
        &self,
        plan: &Plan,
        project: &Project<'_>,
    ) -> Result<std::result::Result<Built, String>> {
        let surroundings = self.surroundings(project)?;
        let solution = match solve(plan, &surroundings) {
            Ok(solution) => solution,
            Err(error) => return Ok(Err(rbuild_solve::with_causes(&error))),
        };
        let built = Built {
            executed: solution.misses.iter().map(|miss| miss.vertex).collect(),
            stacks: stacks(plan)
                .zip(solution.outputs.iter().skip(1).cloned())
                .collect(),
            layers: self.layers(&solution)?,
            dated: self.config(plan, &solution, FileTimes::Fixed(EPOCH), Some(EPOCH))?,
            own: self.config(plan, &solution, FileTimes::Own, None)?,
        };
        Ok(Ok(built))
    }

    fn config(
        &self,
        plan: &Plan,
        solution: &Solution,
        files: FileTimes,
        epoch: Option<i64>,
    ) -> Result<String> {
        let dating = Dating {
            created: epoch,
            latest: epoch,
            files,
            note: TimesNote::None,
        };
        let image = assemble(
            &self.store,
            &Imports::default(),
            plan,
            &plan.outputs[0],
            &solution.outputs[0],
            dating,
        )?;
        Ok(String::from_utf8(canonical_json(&image.config)?)?)
    }

    fn layers(&self, solution: &Solution) -> Result<BTreeMap<LayerId, String>> {
        let mut layers = BTreeMap::new();
        for id in solution.outputs.iter().flatten() {
            if matches!(id, LayerId::Made(_)) && !layers.contains_key(id) {
                let layer = self.store.layer(id)?.ok_or("a layer is lost")?;
                layers.insert(*id, dump(&layer.diff_path())?);
            }
        }
        Ok(layers)
    }

    fn surroundings(&self, project: &Project<'_>) -> Result<Build> {
        let open = |path: &Path| -> Result<Context> {
            Ok(Context::open(path, IgnoreRules::load(path, None)?)?)
        };
        Ok(Build {
            store: self.store.clone(),
            scope: "model".to_owned(),
            registry: Arc::new(Client::new(RegistryConfig::default(), Arc::new(Anonymous))),
            git: GitClient::new(GitOptions {
                program: "git".into(),
                cache: self.path().join("git"),
                environment: Vec::new(),
                ssh_agent: None,
                ssh_keys: Vec::new(),
                known_hosts: Vec::new(),
                protocols: GitProtocols::Network,
            }),
            http: HttpClient::new(self.path().join("http"), WebOptions::default()),
            contexts: HashMap::from([
                (ContextSource::Main, open(project.main)?),
                (
                    ContextSource::Named("extra".to_owned()),
                    open(project.extra)?,
                ),
            ]),
            secrets: BTreeMap::new(),
            ssh: BTreeMap::new(),
            devices: Arc::new(CdiDevices::default()),
            network: StepNetworks::default(),
            users: rbuild_plan::StepUsers::default(),
            base_layers: BaseLayers::WhenNeeded,
            jobs: self.jobs,
            now: SystemTime::now(),
            file_times: vec![FileTimes::Fixed(EPOCH), FileTimes::Own],
            reuse: Reuse::default(),
            sources: RemoteSources::default(),
            imports: Arc::default(),
            mounts: Arc::default(),
            publisher: None,
            on_layer: None,
            packer: None,
            remote_layers: RemoteLayers::Always,
            reporter: Reporter::silent(),
            cancel: Cancel::new(),
            pins: Mutex::default(),
        })
    }
}

/// `.dockerignore` as the world has it.
pub(crate) fn write_ignore(main: &Path, world: &World) -> std::io::Result<()> {
    let path = main.join(".dockerignore");
    let mut text = world.ignore.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    fs::write(path, text)
}
