//! What the solver works with: everything of one build that is not in the plan.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rbuild_image::{Compression, LayerId};
use rbuild_layer::FileTimes;
use rbuild_plan::{ContextSource, StepUsers};
use rbuild_progress::Reporter;
use rbuild_registry::Client;
use rbuild_remote::{Imports, MountExchange, Publisher};
use rbuild_source::{Context, GitClient, HttpClient};
use rbuild_store::{Layer, Store};

use crate::{Cancel, CdiDevices, RemoteSources, SshKeys, StepNetworks};

/// The surroundings of one build.
pub struct Build {
    /// Where layers and records are kept.
    pub store: Store,
    /// Which project this is: records of the same project are compared to explain misses.
    pub scope: String,
    /// Where the layers of base images come from.
    pub registry: Arc<Client>,
    /// Fetches git repositories.
    pub git: GitClient,
    /// Fetches files from the web.
    pub http: HttpClient,
    /// The local directories that the plan names.
    pub contexts: HashMap<ContextSource, Context>,
    /// `--secret`, by id.
    pub secrets: Secrets,
    /// `--ssh`, by id.
    pub ssh: BTreeMap<String, SshKeys>,
    /// What RUN --device can name.
    pub devices: Arc<CdiDevices>,
    /// The networks of the steps.
    pub network: StepNetworks,
    /// Whose users the steps have.
    pub users: StepUsers,
    /// When the layers of base images are brought here.
    pub base_layers: BaseLayers,
    /// The remote caches that are looked into.
    pub imports: Arc<Imports>,
    /// Where finished steps are sent.
    pub publisher: Option<Arc<Publisher>>,
    /// Who is told of the outputs' layers while the build goes on.
    pub on_layer: Option<LayerHook>,
    /// Who may digest an output's layer on the way of packing it.
    pub packer: Option<LayerPacker>,
    /// When layers that a remote cache knows are brought here.
    pub remote_layers: RemoteLayers,
    /// How many steps run at once.
    pub jobs: NonZeroUsize,
    /// The time that new files without a time of their own get.
    pub now: SystemTime,
    /// How the outputs date the files of new layers: the layers' diffIDs are computed for each of these. No step's key
    /// and no layer depends on it.
    pub file_times: Vec<FileTimes>,
    /// What the user says of results that are there already.
    pub reuse: Reuse,
    /// Where new cache mounts come from, and which were used.
    pub mounts: Arc<MountExchange>,
    /// What sources elsewhere are pinned to, and what they are.
    pub sources: RemoteSources,
    /// Where events go.
    pub reporter: Reporter,
    /// How it is stopped.
    pub cancel: Cancel,
    /// Layers in use: pinned until the build is over.
    pub pins: Mutex<Vec<Arc<Layer>>>,
}

impl Build {
    /// Keeps `layers` in the store until the build is over, whatever others remove meanwhile.
    pub fn pin(&self, layers: impl IntoIterator<Item = Arc<Layer>>) {
        self.pins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(layers);
    }
}

/// Told of a layer that an output will hold, once; of one that was made here as soon as its diffIDs are known, of a base's when
/// something was built on it. May be called from any thread, and should not take long.
pub type LayerHook = Arc<dyn Fn(&LayerId) + Send + Sync>;

/// Packs a layer whose tar nobody has digested yet, and notes its diffID in the store, so that its files are read once for both;
/// or leaves it alone, and nothing is noted. Called for one layer after the other.
pub type LayerPacker = Arc<dyn Fn(&Layer) + Send + Sync>;

/// What the user says of results that are there already.
#[derive(Debug, Clone, Default)]
pub struct Reuse {
    /// `--cache-ttl`
    pub ttl: Option<CacheTtl>,
    /// `--cache-mount`: the user's directories that cache mounts are to be, by id; see [`Reuse::place`].
    pub mount_places: BTreeMap<String, PathBuf>,
}

impl Reuse {
    /// Where the cache mount `id` is to be. A slash at either end of an id does not count.
    pub fn place(&self, id: &str) -> Option<&Path> {
        let id = id.trim_matches('/');
        let mut places = self.mount_places.iter();
        places
            .find(|(known, _)| known.trim_matches('/') == id)
            .map(|(_, place)| place.as_path())
    }
}

/// How old the result of a RUN may be to be used again.
#[derive(Debug, Clone)]
pub struct CacheTtl {
    /// The age.
    pub age: Duration,
    /// As it was written, for messages.
    pub text: String,
}

/// When the layers of an output's base image are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseLayers {
    /// When a step reads them; an output that is only pushed need not have them here.
    WhenNeeded,
    /// Always: the result is to be run here.
    Always,
}

/// When the layers of an output are fetched that only a remote cache has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteLayers {
    /// When a step reads them.
    WhenNeeded,
    /// When a step reads them, and where the cache does not have them in one of these compressions: an output that is only
    /// pushed can be pushed from there.
    WhenNotMoved(Vec<Compression>),
    /// Always.
    Always,
}

/// The secrets of a build, by id.
pub type Secrets = BTreeMap<String, Secret>;

/// A secret's bytes, read when the build begins. Shown nowhere.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// These bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, for a header.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}
