//! What is attested of an image: in-toto statements, and the provenance that tells from a plan what it was built from.
//!
//! ```text
//! Plan, what its sources turned out to be ─ Provenance ─→ predicate ─┐
//!                                     an SBOM, a scanner's findings ─┴→ Attestation ─ statement(subjects) ─→ in-toto
//! ```
//!
//! Pure: times, names and identities are the caller's to give. Values of secrets never come here.
#![forbid(unsafe_code)]

mod attestation;
mod materials;
mod provenance;
mod purl;
mod steps;

pub use attestation::{Attestation, IN_TOTO_MEDIA_TYPE, PREDICATE_TYPE_ANNOTATION, Subject};
pub use materials::SourceIdentity;
pub use provenance::{
    ConfigSource, Detail, Invocation, Provenance, Reproducibility, SlsaVersion, excerpt,
};
