//! Puts images together and hands them on: to the local store, a registry, an archive, a directory, a Docker engine.
//!
//! It builds nothing and fetches no layers but those that an output needs to carry along.
//!
//! ```text
//! Solution ─ assemble ─→ BuiltImages ┬─ StoreImage                        type=image
//!                                    ├─ push                              type=registry, after PushAhead
//!                                    ├─ write_archive, write_directory    type=oci, type=docker
//!                                    ├─ write_files, write_files_tar      type=local, type=tar
//!                                    └─ load                              --load
//! ```
//!
//! [`write_saved`] writes images of the store as they are.
#![forbid(unsafe_code)]

mod annotations;
mod assemble;
mod attestations;
mod blobs;
mod engine;
mod error;
mod files;
mod growth;
mod history;
mod images;
mod inline;
mod inventory;
mod layout;
mod local_store;
mod media_types;
mod pack;
mod pack_ahead;
mod push;
mod push_ahead;
mod saved;
mod send;
mod squash;
mod statement_files;

pub use annotations::{Annotation, AnnotationPlace, Annotations};
pub use assemble::{BuiltImage, BuiltLayer, Dating, Document, TimesNote, assemble};
pub use attestations::{
    ATTESTATION_ARTIFACT_TYPE, AttestationForm, AttestationPlace, AttestationStyle,
};
pub use blobs::{BaseForm, Blobs, LayerForm};
pub use engine::load;
pub use error::ExportError;
pub use files::{InFolder, write_files, write_files_tar};
pub use images::{BuiltImages, Exported};
pub use inventory::{files_in, inventory};
pub use layout::{ArchiveKind, Labels, write_archive, write_directory};
pub use local_store::StoreImage;
pub use media_types::MediaTypes;
pub use push::{PushBy, PushProgress, push};
pub use push_ahead::{AheadBuild, AheadTarget, PushAhead};
pub use saved::{SavedImage, write_saved};
pub use squash::{Layering, Squashed, squashed};
pub use statement_files::{StatementFiles, write_statements};
