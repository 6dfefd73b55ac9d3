//! What the tests of the client share.

use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rbuild_image::{Descriptor, Digest, Reference, descriptor, media_type};
use rbuild_registry::{
    Anonymous, BlobUpload, Client, ClientOptions, Credential, Credentials, RegistryConfig,
    RegistryError, RetryPolicy,
};
use rbuild_testkit::{FaultProxy, ImageLayout, ImageMaker, Registry};

/// Options that keep tests short.
pub(crate) fn impatient() -> ClientOptions {
    ClientOptions {
        retry: RetryPolicy {
            attempts: 5,
            first_wait: Duration::from_millis(5),
            longest_wait: Duration::from_millis(20),
            longest_asked_wait: Duration::from_secs(3),
        },
        stall_timeout: Duration::from_millis(1500),
        ..ClientOptions::default()
    }
}

/// A client for registries on this machine.
pub(crate) fn client() -> Client {
    client_with(RegistryConfig::default(), Arc::new(Anonymous))
}

pub(crate) fn client_with(config: RegistryConfig, credentials: Arc<dyn Credentials>) -> Client {
    Client::with_options(config, credentials, impatient())
}

pub(crate) fn config(text: &str) -> RegistryConfig {
    RegistryConfig::from_toml(text).expect("a configuration")
}

/// The same credential for everyone.
pub(crate) struct Always(pub(crate) Credential);

impl Credentials for Always {
    fn get(
        &self,
        _registry: &str,
        _repository: Option<&str>,
    ) -> Result<Option<Credential>, RegistryError> {
        Ok(Some(self.0.clone()))
    }
}

pub(crate) fn password(username: &str, password: &str) -> Arc<Always> {
    Arc::new(Always(Credential::Password {
        username: username.to_owned(),
        password: password.to_owned(),
    }))
}

pub(crate) fn reference(host: &str, name: &str) -> Reference {
    format!("{host}/{name}").parse().expect("a name")
}

/// Bytes that look random and are the same each time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A two-layer image; its second layer has `length` bytes that do not compress.
pub(crate) fn image(dir: &Path, length: usize) -> ImageLayout {
    ImageMaker::new()
        .layer(&[("etc/greeting", b"hello")])
        .layer(&[("data/noise", &noise(length))])
        .write(dir, "latest")
        .expect("an OCI layout")
}

/// A registry that holds the image `library/test:latest`, and a proxy before it.
pub(crate) struct Scene {
    pub(crate) registry: Registry,
    pub(crate) proxy: FaultProxy,
    pub(crate) layout: ImageLayout,
    _dir: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn start(length: usize) -> Option<Self> {
        let registry = Registry::start()?;
        if !rbuild_testkit::require("skopeo", "a test with a pushed image") {
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let layout = image(&dir.path().join("image"), length);
        registry
            .push(&layout, "library/test:latest")
            .expect("a push");
        let proxy = FaultProxy::in_front_of(&registry.host()).expect("a proxy");
        Some(Self {
            registry,
            proxy,
            layout,
            _dir: dir,
        })
    }

    /// The image's name, through the proxy.
    pub(crate) fn name(&self) -> Reference {
        reference(&self.proxy.host(), "library/test:latest")
    }

    /// The descriptor of the big layer.
    pub(crate) fn layer(&self) -> Descriptor {
        let digest = self.layout.layers[1];
        let size = self.layout.blob(&digest).expect("a blob").len();
        descriptor(media_type::OCI_LAYER_GZIP, digest, size as u64)
    }
}

/// Uploads `bytes`.
pub(crate) fn push_bytes(
    client: &Client,
    to: &Reference,
    bytes: &[u8],
) -> Result<Digest, RegistryError> {
    let digest = Digest::sha256_of(bytes);
    let shared: Arc<[u8]> = bytes.into();
    let open =
        || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(Cursor::new(Arc::clone(&shared)))) };
    let upload = BlobUpload {
        descriptor: &descriptor("application/octet-stream", digest, bytes.len() as u64),
        open: &open,
        progress: &|_| {},
    };
    client.push_blob(to, &upload)?;
    Ok(digest)
}

/// Downloads a blob.
pub(crate) fn pull_bytes(
    client: &Client,
    from: &Reference,
    what: &Descriptor,
) -> Result<Vec<u8>, RegistryError> {
    client.blob(from, what)?.read_all()
}
