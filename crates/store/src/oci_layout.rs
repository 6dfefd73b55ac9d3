//! The root as an OCI image layout (image-spec, image-layout.md), for tools that know nothing of us.
//!
//! `index.json` lists every image under every name that it has:
//!
//! ```text
//! org.opencontainers.image.ref.name   app:latest                      for skopeo: oci:ROOT:app:latest
//! io.containerd.image.name            docker.io/library/app:latest    the complete reference
//! ```
//!
//! The database is what counts. The file is replaced by renaming, under a lock, right after each change; should a process
//! die in between, the next change or sweep sets it right.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use serde_json::{Value, json};

use crate::Store;
use crate::error::{Result, StoreError};
use crate::image::StoredImage;
use crate::lease::Lease;
use crate::paths::Paths;

const MARKER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// Makes the layout of a store without images. `lease` is where its files are written first.
pub(crate) fn create(paths: &Paths, lease: &Lease) -> Result<()> {
    put_first(lease, &paths.oci_layout(), MARKER)?;
    put_first(lease, &paths.oci_index(), &render(&[]))
}

/// Writes a file that is not there; another process may have made it, and used it, at any instant.
fn put_first(lease: &Lease, target: &Path, text: &str) -> Result<()> {
    if target.exists() {
        return Ok(());
    }
    let draft = draft(lease, text)?;
    match rustix::fs::renameat_with(CWD, &draft, CWD, target, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => crate::blob::remove_file(&draft),
        outcome => outcome.map_err(StoreError::io("rename", draft)),
    }
}

fn draft(lease: &Lease, text: &str) -> Result<PathBuf> {
    let draft = lease.fresh("index");
    fs::write(&draft, text).map_err(StoreError::io("write", &draft))?;
    Ok(draft)
}

/// Whether `index.json` is the list of some images, be it the present ones or those before a change that was cut off.
pub(crate) fn is_whole(store: &Store) -> Result<bool> {
    let _lock = store.lock("index.json", &|| false)?;
    let Ok(bytes) = fs::read(store.paths().oci_index()) else {
        return Ok(false);
    };
    Ok(rbuild_image::read_index(&bytes).is_ok())
}

/// Writes `index.json` as the images are now.
pub(crate) fn write(store: &Store) -> Result<()> {
    let _lock = store.lock("index.json", &|| false)?;
    let text = render(&store.images()?);
    let target = store.paths().oci_index();
    if fs::read(&target).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(());
    }
    let draft = draft(&*store.lease()?, &text)?;
    fs::rename(&draft, &target).map_err(StoreError::io("rename", &draft))
}

fn render(images: &[StoredImage]) -> String {
    let mut manifests: Vec<(String, Value)> = Vec::new();
    for image in images {
        if image.names.is_empty() {
            manifests.push((String::new(), entry(image, &[])));
        }
        for name in &image.names {
            let annotations = [
                ("io.containerd.image.name", name.to_string()),
                ("org.opencontainers.image.ref.name", name.familiar()),
            ];
            manifests.push((name.to_string(), entry(image, &annotations)));
        }
    }
    manifests.sort_by(|one, other| one.0.cmp(&other.0));
    let manifests: Vec<Value> = manifests.into_iter().map(|(_, entry)| entry).collect();
    json!({
        "schemaVersion": 2,
        "mediaType": rbuild_image::media_type::OCI_INDEX,
        "manifests": manifests,
    })
    .to_string()
}

/// The image's descriptor, with the annotations added to those that it has, sorted.
fn entry(image: &StoredImage, added: &[(&str, String)]) -> Value {
    let mut value = serde_json::to_value(&image.descriptor).expect("a descriptor is plain JSON");
    let mut annotations: BTreeMap<String, String> = image
        .descriptor
        .annotations()
        .iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, text) in added {
        annotations.insert((*key).to_owned(), text.clone());
    }
    if !annotations.is_empty() {
        value["annotations"] = json!(annotations);
    }
    value
}
