//! Brings an image from its registry into the store: for `pull`, and for `run` of an image that is not here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use rbuild_image::{ImageConfig, LayerId, Platform, Reference};
use rbuild_layer::FileTimes;
use rbuild_plan::{ImageOrigin, ResolvedImage};
use rbuild_progress::{EventKind, Heard, Listener, Reporter, StatusState};
use rbuild_registry::RegistryError;
use rbuild_solve::{
    BaseLayers, Build, Cancel, CdiDevices, RemoteLayers, RemoteSources, Reuse, SolveError,
    StepNetworks,
};
use rbuild_store::{ImageOrigin as StoredOrigin, Layer, Store, StoredImage};

use crate::app::App;
use crate::failure::{Interrupted, chain};
use crate::render::{Board, Mark};

/// How often it is looked whether a layer that came is in the store.
const TICK: Duration = Duration::from_millis(50);
/// Nothing is built here; it bounds what nobody asks for.
const JOBS: NonZeroUsize = NonZeroUsize::MIN;

/// What is said of layers on their way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    waiting: &'static str,
    moving: &'static str,
    unpacking: &'static str,
    done: &'static str,
}

impl Words {
    /// From a registry.
    pub(crate) const PULL: Self = Self {
        waiting: "Pulling fs layer",
        moving: "Downloading",
        unpacking: "Extracting",
        done: "Pull complete",
    };
    /// From an archive.
    pub(crate) const LOAD: Self = Self {
        waiting: "Waiting",
        moving: "Loading layer",
        unpacking: "Loading layer",
        done: "Loaded",
    };
}

/// Pulls `reference`, and tells docker's lines but the last on `board`.
pub(crate) fn pull(
    app: &App,
    reference: &Reference,
    platform: &Platform,
    board: &mut Board,
    cancel: &Cancel,
) -> anyhow::Result<StoredImage> {
    let store = app.store()?;
    let registry = app.registry();
    let failed = |error| registry_failure(&error, cancel);
    let root = registry.resolve(reference).map_err(failed)?;
    let (descriptor, digest) = (root.descriptor.clone(), root.digest);
    store.put_blob(&root.bytes)?;
    let manifest = registry
        .select_platform(reference, root, platform)
        .map_err(failed)?;
    store.put_blob(&manifest.bytes)?;
    let (config, parsed) = registry
        .config(reference, manifest.manifest.config())
        .map_err(failed)?;
    store.put_blob(&config)?;
    let image = ResolvedImage {
        origin: ImageOrigin::Registry(reference.to_string()),
        manifest: manifest.digest,
        config: parsed,
        layers: manifest.manifest.layers().clone(),
    };
    let tag = reference.tag().filter(|_| reference.digest().is_none());
    let heading = tag.map_or_else(|| reference.to_string(), str::to_owned);
    board.say(&format!(
        "{heading}: Pulling from {}",
        reference.repository()
    ));
    let before = store.image(&stored_name(reference)?)?;
    let layers = layers(app, &image, platform, (Words::PULL, board), cancel)?;
    let origin = StoredOrigin::Registry(reference.clone());
    store.add_image(&descriptor, &origin)?;
    store.set_tag(&stored_name(reference)?, &descriptor)?;
    board.say(&format!("Digest: {digest}"));
    let known = before.is_some_and(|before| before.digest == digest);
    let status = if known && !layers.fetched {
        "Image is up to date"
    } else {
        "Downloaded newer image"
    };
    board.say(&format!("Status: {status} for {}", reference.familiar()));
    store
        .image_by_digest(&digest)?
        .context("the image was removed while it was pulled")
}

/// The name under which the store keeps what was pulled as `reference`: a digest counts, not the tag beside it.
fn stored_name(reference: &Reference) -> anyhow::Result<Reference> {
    let Some(digest) = reference.digest() else {
        return Ok(reference.clone());
    };
    let (registry, repository) = (reference.registry(), reference.repository());
    Ok(format!("{registry}/{repository}@{digest}").parse()?)
}

/// Layers of an image, in the store and pinned there.
pub(crate) struct Layers {
    /// Bottom first.
    pub(crate) layers: Vec<Arc<Layer>>,
    /// Whether any had to be fetched.
    pub(crate) fetched: bool,
}

/// Sees to it that all layers of `image` are extracted in the store.
pub(crate) fn layers(
    app: &App,
    image: &ResolvedImage,
    platform: &Platform,
    (words, board): (Words, &mut Board),
    cancel: &Cancel,
) -> anyhow::Result<Layers> {
    let store = app.store()?;
    let mut here = Vec::with_capacity(image.layers.len());
    for diff_id in &image.config.rootfs.diff_ids {
        let id = store.layer_by_diff_id(diff_id)?;
        here.push(id.map(|id| store.layer(&id)).transpose()?.flatten());
    }
    let missing = missing_part(image, &here);
    let mut expected = announce(image, &here, words, board);
    if missing.layers.is_empty() {
        return Ok(Layers {
            layers: here.into_iter().flatten().collect(),
            fetched: false,
        });
    }
    let missing = Arc::new(missing);
    let (reporter, listener) = Reporter::heard();
    let build = build(app, reporter, cancel)?;
    let fetched = std::thread::scope(|scope| {
        let name = image.manifest.to_string();
        let missing = &missing;
        let worker = scope.spawn(move || rbuild_solve::pull(missing, &name, platform, &build));
        follow(store, &listener, &mut expected, words, board);
        worker
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let mut fetched = fetched
        .map_err(|error| solve_failure(error, cancel))?
        .into_iter();
    let all = here
        .into_iter()
        .filter_map(|layer| layer.or_else(|| fetched.next()));
    let all: Vec<_> = all.collect();
    settle(store, &mut expected, words, board)?;
    Ok(Layers {
        layers: all,
        fetched: true,
    })
}

/// The image with only those of its layers that are not here.
fn missing_part(image: &ResolvedImage, here: &[Option<Arc<Layer>>]) -> ResolvedImage {
    let mut part = ResolvedImage {
        origin: image.origin.clone(),
        manifest: image.manifest,
        config: ImageConfig::default(),
        layers: Vec::new(),
    };
    let all = image.config.rootfs.diff_ids.iter().zip(&image.layers);
    for ((diff_id, blob), here) in all.zip(here) {
        if here.is_none() {
            part.config.rootfs.diff_ids.push(*diff_id);
            part.layers.push(blob.clone());
        }
    }
    part
}

/// Layers that are on their way, by the digest of their blobs.
type Expected = HashMap<String, LayerId>;

/// A row for each layer, those that are here ended already.
fn announce(
    image: &ResolvedImage,
    here: &[Option<Arc<Layer>>],
    words: Words,
    board: &mut Board,
) -> Expected {
    let mut expected = Expected::new();
    let mut seen = BTreeSet::new();
    let all = image.config.rootfs.diff_ids.iter().zip(&image.layers);
    for ((diff_id, blob), here) in all.zip(here) {
        let digest = blob.digest().to_string();
        if !seen.insert(digest.clone()) {
            continue;
        }
        if here.is_some() {
            board.set(short(&digest), "Already exists", Mark::Last);
        } else {
            board.set(short(&digest), words.waiting, Mark::Moving);
            expected.insert(digest, LayerId::Pulled(*diff_id));
        }
    }
    expected
}

/// Draws what is heard until the fetch has ended.
fn follow(
    store: &Store,
    listener: &Listener,
    expected: &mut Expected,
    words: Words,
    board: &mut Board,
) {
    loop {
        match listener.next(TICK) {
            Heard::End => return,
            Heard::Nothing => {}
            Heard::Event(event) => match event.kind {
                EventKind::Status {
                    id,
                    current,
                    total: Some(total),
                    state: StatusState::Running,
                    ..
                } => {
                    board.progress(short(&id), words.moving, current, total);
                    continue;
                }
                EventKind::Status { id, .. } => {
                    board.set(short(&id), words.unpacking, Mark::Moving);
                }
                _ => continue,
            },
        }
        // What the store cannot tell now it tells at the end.
        let _ = settle(store, expected, words, board);
    }
}

/// Ends the rows of the layers that are in the store.
fn settle(
    store: &Store,
    expected: &mut Expected,
    words: Words,
    board: &mut Board,
) -> anyhow::Result<()> {
    let mut arrived = Vec::new();
    for (digest, id) in expected.iter() {
        if store.layer_created(id)?.is_some() {
            arrived.push(digest.clone());
        }
    }
    for digest in arrived {
        board.set(short(&digest), words.done, Mark::Last);
        expected.remove(&digest);
    }
    Ok(())
}

/// The twelve digits that people know a layer by.
pub(crate) fn short(digest: &str) -> &str {
    let digits = digest.split_once(':').map_or(digest, |(_, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}

/// What the solver needs to fetch layers.
fn build(app: &App, reporter: Reporter, cancel: &Cancel) -> anyhow::Result<Build> {
    Ok(Build {
        store: app.store()?.clone(),
        scope: String::new(),
        registry: app.registry().clone(),
        git: app.git(None)?,
        http: app.http()?,
        contexts: HashMap::new(),
        secrets: BTreeMap::new(),
        ssh: BTreeMap::new(),
        devices: Arc::new(CdiDevices::default()),
        network: StepNetworks::default(),
        users: rbuild_plan::StepUsers::default(),
        base_layers: BaseLayers::Always,
        imports: Arc::default(),
        mounts: Arc::default(),
        publisher: None,
        on_layer: None,
        packer: None,
        remote_layers: RemoteLayers::Always,
        jobs: JOBS,
        now: app.environment.now(),
        file_times: vec![FileTimes::Own],
        reuse: Reuse::default(),
        sources: RemoteSources::default(),
        reporter,
        cancel: cancel.clone(),
        pins: Mutex::default(),
    })
}

/// An interrupted fetch may fail by what it was just doing.
fn solve_failure(error: SolveError, cancel: &Cancel) -> anyhow::Error {
    match error {
        SolveError::Step { error, .. } if !cancel.is_cancelled() => {
            anyhow::anyhow!("failed to {}", chain(&*error))
        }
        SolveError::Step { .. } | SolveError::Cancelled => Interrupted.into(),
    }
}

/// A registry's failure with what can be done about it.
pub(crate) fn registry_failure(error: &RegistryError, cancel: &Cancel) -> anyhow::Error {
    if cancel.is_cancelled() {
        return Interrupted.into();
    }
    let hint = error
        .hint()
        .map_or_else(String::new, |hint| format!(" ({hint})"));
    anyhow::anyhow!("failed to {}{hint}", chain(error))
}
