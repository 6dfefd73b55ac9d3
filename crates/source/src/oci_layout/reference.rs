//! How an image of a layout is named.

use std::path::PathBuf;

use rbuild_image::Digest;

use crate::SourceError;

/// Which image of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutReference {
    /// The layout's directory.
    pub path: PathBuf,
    /// The tag, or the whole name, that its index gives the image.
    pub tag: Option<String>,
    /// The digest of the manifest or index.
    pub digest: Option<Digest>,
}

impl LayoutReference {
    /// `oci-layout://<dir>[:tag][@digest]`, with or without the scheme.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let rest = text.strip_prefix("oci-layout://").unwrap_or(text);
        let bad = |reason: String| SourceError::Url {
            url: text.to_owned(),
            reason,
        };
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|error: rbuild_image::ImageError| bad(error.to_string()))?;
                (rest, Some(digest))
            }
            None => (rest, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') && !tag.is_empty() => {
                (path, Some(tag.to_owned()))
            }
            _ => (rest, None),
        };
        if path.is_empty() {
            return Err(bad("there is no directory in it".to_owned()));
        }
        Ok(Self {
            path: path.into(),
            tag,
            digest,
        })
    }
}
