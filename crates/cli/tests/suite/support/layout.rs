//! An image as an OCI layout directory.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::command::run;

/// An OCI layout with one image.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
}

impl Layout {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// `index.json`.
    pub(crate) fn index(&self) -> Value {
        read(&self.dir.join("index.json"))
    }

    /// The image's manifest.
    pub(crate) fn manifest(&self) -> Value {
        read(&self.blob(&self.index()["manifests"][0]["digest"]))
    }

    /// The image's config.
    pub(crate) fn config(&self) -> Value {
        read(&self.blob(&self.manifest()["config"]["digest"]))
    }

    /// Where a blob is.
    pub(crate) fn blob(&self, digest: &Value) -> PathBuf {
        let digest = digest.as_str().expect("a digest");
        self.dir.join("blobs").join(digest.replace(':', "/"))
    }

    /// The required fields of the OCI image specification, as others check them.
    #[track_caller]
    pub(crate) fn assert_conforms(&self) {
        let index = self.index();
        assert_eq!(index["schemaVersion"], 2);
        let manifest = self.manifest();
        assert_eq!(manifest["schemaVersion"], 2);
        assert_eq!(
            manifest["mediaType"],
            "application/vnd.oci.image.manifest.v1+json"
        );
        assert_eq!(
            manifest["config"]["mediaType"],
            "application/vnd.oci.image.config.v1+json"
        );
        let layers = manifest["layers"].as_array().expect("layers");
        let entries = std::iter::once(&index["manifests"][0])
            .chain([&manifest["config"]])
            .chain(layers);
        for descriptor in entries {
            let bytes = std::fs::read(self.blob(&descriptor["digest"])).expect("its blob");
            assert_eq!(descriptor["size"], bytes.len());
            let digest = run(
                "sha256sum",
                &[&self.blob(&descriptor["digest"]).to_string_lossy()],
            )
            .success()
            .stdout;
            assert_eq!(descriptor["digest"], format!("sha256:{}", &digest[..64]));
        }
        for layer in layers {
            let kind = layer["mediaType"].as_str().expect("a media type");
            assert!(
                kind.starts_with("application/vnd.oci.image.layer.v1.tar"),
                "{kind}"
            );
        }
        let config = self.config();
        assert_eq!(config["os"], "linux");
        assert!(config["architecture"].is_string());
        assert_eq!(config["rootfs"]["type"], "layers");
        let diff_ids = config["rootfs"]["diff_ids"].as_array().expect("diffIDs");
        assert_eq!(diff_ids.len(), layers.len());
        assert!(
            config["created"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z')),
            "{config}"
        );
        for (layer, diff_id) in layers.iter().zip(diff_ids) {
            let read = match layer["mediaType"]
                .as_str()
                .unwrap_or_default()
                .rsplit_once('+')
            {
                Some((_, "gzip")) => "gzip -dc",
                Some((_, "zstd")) => "zstd -dc",
                _ => "cat",
            };
            let blob = self.blob(&layer["digest"]);
            let digest = run(
                "sh",
                &["-c", &format!("{read} < {} | sha256sum", blob.display())],
            )
            .success()
            .stdout;
            assert_eq!(*diff_id, format!("sha256:{}", &digest[..64]), "{config}");
        }
        let history = config["history"].as_array().expect("history");
        let with_layer = history
            .iter()
            .filter(|entry| entry["empty_layer"] != true)
            .count();
        assert_eq!(with_layer, diff_ids.len());
        assert!(
            history.iter().all(|entry| entry["created"].is_string()),
            "{config}"
        );
    }
}

fn read(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).expect("JSON")
}
