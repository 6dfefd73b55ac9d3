//! Stores, layers and images to test with.

use std::error::Error;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rbuild_image::{
    Descriptor, DiffId, Digest, ImageConfig, ImageManifest, LayerId, MediaType, Platform,
    Reference, canonical_json,
};
use rbuild_layer::{FileTimes, OverlayFlavor, index_upper};
use rbuild_store::{
    CacheMountSpec, CacheSharing, Clock, Layer, Limits, NewContainer, NewRecord, Pruned,
    RootAttributes, StepKey, Store,
};

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// A store in a directory that goes with it.
pub(crate) struct Room {
    pub(crate) store: Store,
    pub(crate) directory: tempfile::TempDir,
}

pub(crate) fn room() -> Result<Room> {
    let directory = tempfile::tempdir()?;
    let store = Store::open(directory.path())?;
    Ok(Room { store, directory })
}

impl Room {
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Another handle, as another process would have.
    pub(crate) fn again(&self) -> Result<Store> {
        Ok(Store::open(self.root())?)
    }

    /// The database, for what only a crash could do to it.
    pub(crate) fn sql(&self, text: &str) -> Result {
        let db = rusqlite::Connection::open(self.root().join("rbuild.db"))?;
        db.busy_timeout(Duration::from_secs(10))?;
        db.execute_batch(text)?;
        Ok(())
    }

    /// The number in the first column of the first row.
    pub(crate) fn count(&self, sql: &str) -> Result<i64> {
        let db = rusqlite::Connection::open(self.root().join("rbuild.db"))?;
        Ok(db.query_row(sql, [], |row| row.get(0))?)
    }

    pub(crate) fn entries(&self, directory: &str) -> Result<usize> {
        Ok(fs::read_dir(self.root().join(directory))?.count())
    }
}

/// A clock that tests turn forward.
#[derive(Clone)]
pub(crate) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(crate) fn new() -> Self {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("after 1970");
        Self(Arc::new(AtomicU64::new(now.as_millis() as u64)))
    }

    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let hands = self.clone();
        Arc::new(move || hands.now())
    }
}

/// Commits a layer with one file, `name`.
pub(crate) fn layer(store: &Store, name: &str, content: &[u8]) -> Result<Arc<Layer>> {
    let draft = store.draft(&RootAttributes::default())?;
    fs::write(draft.diff_path().join(name), content)?;
    let index = index_upper(draft.open_diff()?.as_fd(), OverlayFlavor::current())?;
    let id = LayerId::Made(index.content_id());
    Ok(store.commit_layer(draft, index, id)?)
}

pub(crate) fn key(number: u64) -> StepKey {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    StepKey(bytes)
}

pub(crate) fn record(store: &Store, number: u64, layers: &[LayerId]) -> Result {
    store.put_record(&NewRecord {
        key: &key(number),
        scope: "project",
        name: "RUN make",
        layers,
        outcome: b"",
        preimage: b"preimage",
        run_time: Duration::from_secs(3),
    })?;
    Ok(())
}

/// A manifest and a config over `layers`, whose diffIDs are made up, as blobs.
pub(crate) fn image(store: &Store, layers: &[&Layer], label: &str) -> Result<Descriptor> {
    dated_image(store, layers, FileTimes::Own, label)
}

/// [`image`], its files dated so.
pub(crate) fn dated_image(
    store: &Store,
    layers: &[&Layer],
    times: FileTimes,
    label: &str,
) -> Result<Descriptor> {
    let mut config = ImageConfig {
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        author: label.to_owned(),
        ..ImageConfig::default()
    };
    let mut descriptors = Vec::new();
    for layer in layers {
        let diff_id = DiffId(Digest::sha256_of(layer.id().to_string().as_bytes()));
        store.set_diff_id(&layer.id(), times, &diff_id, 1024)?;
        config.rootfs.diff_ids.push(diff_id);
        descriptors.push(Descriptor::new(MediaType::ImageLayer, 1024, diff_id.0));
    }
    manifest(store, &config, &descriptors)
}

/// Stores a config and a manifest over the given layer blobs.
pub(crate) fn manifest(
    store: &Store,
    config: &ImageConfig,
    layers: &[Descriptor],
) -> Result<Descriptor> {
    let config = canonical_json(config)?;
    let id = store.put_blob(&config)?;
    let text = serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": Descriptor::new(MediaType::ImageConfig, config.len() as u64, id),
        "layers": layers,
    }))?;
    let digest = store.put_blob(&text)?;
    Ok(Descriptor::new(
        MediaType::ImageManifest,
        text.len() as u64,
        digest,
    ))
}

pub(crate) fn container(store: &Store, id: &str, name: &str, layers: &[LayerId]) -> Result {
    store.create_container(&NewContainer {
        id,
        name,
        image: None,
        image_name: "app",
        config: "{}",
        layers,
    })?;
    Ok(())
}

pub(crate) fn name(text: &str) -> Reference {
    text.parse().expect("a test's names are well-formed")
}

/// Runs the test `role` of this binary in a process of its own, on `root`.
pub(crate) fn spawn(role: &str, root: &Path, argument: &str) -> Result<Child> {
    Ok(Command::new(std::env::current_exe()?)
        .args([role, "--exact", "--ignored", "--nocapture"])
        .env("STORE_TEST_ROOT", root)
        .env("STORE_TEST_ARGUMENT", argument)
        .stdout(Stdio::null())
        .spawn()?)
}

/// In a test that [`spawn`] runs: the root and the argument.
pub(crate) fn role() -> Option<(std::path::PathBuf, String)> {
    let root = std::env::var_os("STORE_TEST_ROOT")?;
    Some((
        root.into(),
        std::env::var("STORE_TEST_ARGUMENT").unwrap_or_default(),
    ))
}

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn record_of(
    store: &Store,
    number: u64,
    scope: &str,
    seconds: u64,
    layers: &[LayerId],
) -> Result {
    store.put_record(&NewRecord {
        key: &key(number),
        scope,
        name: &format!("RUN step {number}"),
        layers,
        outcome: b"",
        preimage: b"",
        run_time: Duration::from_secs(seconds),
    })?;
    Ok(())
}

/// A record of a layer of its own.
pub(crate) fn step(store: &Store, number: u64, seconds: u64, bytes: usize) -> Result<LayerId> {
    let id = layer(store, &format!("file-{number}"), &vec![number as u8; bytes])?.id();
    record_of(store, number, "project", seconds, &[id])?;
    Ok(id)
}

pub(crate) fn mount(store: &Store, id: &str, bytes: usize) -> Result {
    let spec = CacheMountSpec {
        id,
        seed: "",
        sharing: CacheSharing::Shared,
        mode: 0o755,
        uid: 0,
        gid: 0,
        place: None,
    };
    let mount = store.cache_mount(&spec, &|| false)?;
    fs::write(mount.path().join("file"), vec![0; bytes])?;
    Ok(())
}

pub(crate) fn at_most(bytes: u64) -> Limits {
    Limits {
        max_used: Some(bytes),
        ..Limits::default()
    }
}

/// A store whose clock a test turns; whatever it was opened for before is done.
pub(crate) struct Later {
    pub(crate) room: Room,
    pub(crate) hands: Hands,
}

impl Later {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            room: room()?,
            hands: Hands::new(),
        })
    }

    pub(crate) fn store(&self) -> Result<Store> {
        self.hands.advance(Duration::from_millis(5));
        Ok(Store::open_with_clock(
            self.room.root(),
            self.hands.clock(),
        )?)
    }
}

/// A base that a build pulled, with one layer.
pub(crate) fn base(store: &Store, number: u8, bytes: usize) -> Result<LayerId> {
    let diff_id = DiffId(Digest::sha256_of(&[number]));
    let id = pulled_layer(store, diff_id, bytes)?;
    let config = over(diff_id);
    let descriptor = manifest(store, &config, &[])?;
    store.set_resolution(&base_name(number), &Platform::host(), &descriptor)?;
    Ok(id)
}

pub(crate) fn base_name(number: u8) -> Reference {
    name(&format!("base-{number}"))
}

pub(crate) fn pulled_layer(store: &Store, diff_id: DiffId, bytes: usize) -> Result<LayerId> {
    let draft = store.draft(&RootAttributes::default())?;
    fs::write(draft.diff_path().join("file"), vec![0; bytes])?;
    let index = index_upper(draft.open_diff()?.as_fd(), OverlayFlavor::current())?;
    let id = LayerId::Pulled(diff_id);
    Ok(store.commit_layer(draft, index, id)?.id())
}

/// Whether the documents of the base are here, as a build whose registry is gone needs them.
pub(crate) fn is_known(store: &Store, number: u8) -> Result<bool> {
    let Some(known) = store.resolution(&base_name(number), &Platform::host())? else {
        return Ok(false);
    };
    let manifest = store.read_blob(&Digest::try_from(known.descriptor.digest())?)?;
    let Some(manifest) = manifest else {
        return Ok(false);
    };
    let manifest: ImageManifest = serde_json::from_slice(&manifest)?;
    let config = Digest::try_from(manifest.config().digest())?;
    Ok(store.read_blob(&config)?.is_some())
}

/// The config of an image of one layer.
pub(crate) fn over(diff_id: DiffId) -> ImageConfig {
    let mut config = ImageConfig::default();
    config.rootfs.diff_ids.push(diff_id);
    config
}

/// The keys of the records that went.
pub(crate) fn keys(pruned: &Pruned) -> Vec<StepKey> {
    let ids = pruned.records.iter().map(|record| &record.id);
    ids.map(|id| id.parse().expect("a key")).collect()
}
