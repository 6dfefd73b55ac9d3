//! In-toto statements (in-toto attestation framework, "Statement" 1): a predicate, and what it is said of.

use rbuild_image::{Digest, Platform, Reference};
use serde_json::{Map, Value, json};

use crate::purl::image_purl;

/// The media type of a statement.
pub const IN_TOTO_MEDIA_TYPE: &str = "application/vnd.in-toto+json";
/// The annotation of a descriptor that tells a statement's predicate type.
pub const PREDICATE_TYPE_ANNOTATION: &str = "in-toto.io/predicate-type";
/// The type of the statements that are written.
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// What is called nothing in particular.
const UNNAMED: &str = "_";

/// Something that is said of an image, whose digest need not be known yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Attestation {
    /// The file that it is where attestations are files: `provenance.json`.
    pub file_name: String,
    /// What kind of thing is said.
    pub predicate_type: String,
    /// What is said.
    pub predicate: Value,
    /// What it is said of, where that is not the image itself.
    pub subjects: Vec<Subject>,
}

/// What a statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    name: String,
    /// Algorithms and hexadecimal digits.
    digests: Vec<(String, String)>,
}

impl Subject {
    /// An image for `platform`, by its name.
    pub fn image(name: &Reference, platform: &Platform, manifest: &Digest) -> Self {
        Self::named(image_purl("docker", name, Some(platform)), manifest)
    }

    /// An image without a name.
    pub fn unnamed(manifest: &Digest) -> Self {
        Self::named(UNNAMED.to_owned(), manifest)
    }

    /// A file.
    pub fn file(path: &str, contents: &Digest) -> Self {
        Self::named(path.to_owned(), contents)
    }

    fn named(name: String, digest: &Digest) -> Self {
        Self {
            name,
            digests: vec![("sha256".to_owned(), digest.hex())],
        }
    }

    /// The same, if it is what a statement calls a subject.
    pub fn from_json(value: &Value) -> Option<Self> {
        let digests = value["digest"].as_object()?.iter();
        let digests = digests.map(|(algorithm, digits)| {
            let digits = digits.as_str()?;
            Some((algorithm.clone(), digits.to_owned()))
        });
        Some(Self {
            name: value["name"].as_str().unwrap_or(UNNAMED).to_owned(),
            digests: digests.collect::<Option<_>>()?,
        })
    }

    fn json(&self) -> Value {
        let digests = self.digests.iter();
        let digests: Map<_, _> = digests
            .map(|(algorithm, digits)| (algorithm.clone(), json!(digits)))
            .collect();
        json!({ "name": self.name, "digest": digests })
    }
}

impl Attestation {
    /// The statement about `image`, unless the attestation has subjects of its own.
    pub fn statement(&self, image: &[Subject]) -> Value {
        let subjects = match self.subjects.as_slice() {
            [] => image,
            own => own,
        };
        let subjects: Vec<Value> = subjects.iter().map(Subject::json).collect();
        json!({
            "_type": STATEMENT_TYPE,
            "predicateType": self.predicate_type,
            "subject": subjects,
            "predicate": self.predicate,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_the_image_by_its_url_and_digest() {
        let digest = Digest::sha256_of(b"manifest");
        let platform: Platform = "linux/arm64".parse().expect("a platform");
        let name = "localhost:5000/team/app:1".parse().expect("a name");
        let said = Attestation {
            file_name: "x.json".to_owned(),
            predicate_type: "https://example.com/x".to_owned(),
            predicate: json!({ "a": 1 }),
            subjects: Vec::new(),
        };
        let subject = Subject::image(&name, &platform, &digest);
        let statement = said.statement(std::slice::from_ref(&subject));
        assert_eq!(
            statement["subject"][0]["name"],
            "pkg:docker/localhost:5000/team/app@1?platform=linux%2Farm64"
        );
        assert_eq!(statement["subject"][0]["digest"]["sha256"], digest.hex());
        assert_eq!(statement["predicate"]["a"], 1);
        assert_eq!(
            Subject::from_json(&statement["subject"][0]),
            Some(subject),
            "a subject is read as it was written"
        );
        let own = Attestation {
            subjects: vec![Subject::unnamed(&Digest::sha256_of(b"other"))],
            ..said
        };
        assert_eq!(own.statement(&[])["subject"][0]["name"], "_");
    }
}
