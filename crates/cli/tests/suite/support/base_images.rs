//! The images that Dockerfiles of tests start from, made once for all runs on this machine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the images are kept, else `target/test-images`.
const VARIABLE: &str = "RBUILD_TEST_IMAGES";

/// An image of `testdata/base-images`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BaseImage {
    /// One small layer; made in a second.
    Busybox,
    /// One layer with a working apt; half a minute.
    Debian,
}

impl BaseImage {
    /// What a Dockerfile calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Busybox => "busybox",
            Self::Debian => "debian:bookworm",
        }
    }

    /// Its name in full.
    pub(crate) fn full_name(self) -> &'static str {
        match self {
            Self::Busybox => "busybox:latest",
            Self::Debian => self.name(),
        }
    }

    /// The tag of its layout.
    pub(crate) fn tag(self) -> &'static str {
        self.full_name().split_once(':').expect("a tag").1
    }

    /// The folder of its layout.
    pub(crate) fn folder(self) -> String {
        self.full_name().replace(':', "-")
    }

    /// Its layout, made if it is not there yet.
    pub(crate) fn layout(self) -> PathBuf {
        let images = images();
        let layout = images.join(self.folder());
        if layout.join("index.json").exists() {
            return layout;
        }
        std::fs::create_dir_all(&images).expect("a folder for images");
        // Tests of several processes wait for the first.
        let lock = File::create(images.join(".lock")).expect("a lock file");
        lock.lock().expect("a lock");
        if !layout.join("index.json").exists() {
            make(self, &images);
        }
        layout
    }
}

/// Where the images are.
pub(crate) fn images() -> PathBuf {
    match std::env::var_os(VARIABLE) {
        Some(path) => path.into(),
        None => repository().join("target/test-images"),
    }
}

/// The top of the source tree.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the source tree")
}

fn make(image: BaseImage, images: &Path) {
    let script = repository().join("testdata/base-images/make-base-images.sh");
    // Files in a layer belong to root: unshare lets a normal user write them so.
    let mut command = if super::caller::am_root() {
        Command::new(&script)
    } else {
        let mut command = Command::new("unshare");
        command.arg("--map-root-user").arg(&script);
        command
    };
    let output = command
        .arg("--out")
        .arg(images)
        .arg(image.full_name())
        .output()
        .expect("the script starts");
    assert!(
        output.status.success(),
        "{} cannot be made: {}",
        image.full_name(),
        String::from_utf8_lossy(&output.stderr)
    );
}
