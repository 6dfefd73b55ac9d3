//! What is not as it should be, in words.

use std::fmt;

use rbuild_image::{DiffId, Digest, LayerId, Reference};

use crate::record::StepKey;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// The database itself, in its own words. Nothing here can mend that.
    Database(String),
    /// A layer whose files are not what its index says, or are gone.
    Layer(LayerId),
    /// A blob whose bytes do not have its digest, or are gone.
    Blob(Digest),
    /// A record of a layer that is not there.
    Record(StepKey),
    /// An image that needs something that is not to be had.
    Image {
        /// Its digest.
        digest: Digest,
        /// Its names.
        names: Vec<Reference>,
        /// What it needs.
        needs: Needed,
    },
    /// A cache mount whose description cannot be read, so that no step finds it.
    CacheMount(String),
    /// A container that lacks its directory or a layer.
    Container {
        /// Its ID.
        id: String,
        /// Its name.
        name: String,
        /// The layer that it lacks; `None`: its directory.
        layer: Option<LayerId>,
    },
    /// `index.json` is not there, or is no list of images.
    Index,
}

/// What an image needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// A manifest or a config.
    Document(Digest),
    /// A layer's files.
    Layer(DiffId),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(words) => write!(f, "database: {words}"),
            Self::Layer(id) => write!(f, "layer {id}: its files are not what its index says"),
            Self::Blob(digest) => write!(f, "blob {digest}: its bytes do not have this digest"),
            Self::Record(key) => write!(f, "cache record {key}: a layer of it is missing"),
            Self::Image {
                digest,
                names,
                needs,
            } => {
                let names: Vec<String> = names.iter().map(Reference::familiar).collect();
                let names = if names.is_empty() {
                    "<none>".to_owned()
                } else {
                    names.join(", ")
                };
                match needs {
                    Needed::Document(missing) => {
                        write!(
                            f,
                            "image {names} ({digest}): its document {missing} is missing"
                        )
                    }
                    Needed::Layer(missing) => {
                        write!(
                            f,
                            "image {names} ({digest}): its layer {} is missing",
                            missing.0
                        )
                    }
                }
            }
            Self::CacheMount(key) => write!(f, "cache mount {key}: its description cannot be read"),
            Self::Container { id, name, layer } => match layer {
                Some(layer) => write!(f, "container {name} ({id}): its layer {layer} is missing"),
                None => write!(f, "container {name} ({id}): its directory is missing"),
            },
            Self::Index => f.write_str("index.json: it is no list of images"),
        }
    }
}
