//! What repositories are known to have: blobs that this process has seen, sent or mounted there.
//!
//! A registry may lose a blob that no manifest names. It says so when it gets the manifest; then [`PresentBlobs::forget`].

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rbuild_image::{Digest, Reference};

/// Blobs by repository.
#[derive(Debug, Default)]
pub struct PresentBlobs(Mutex<HashSet<(String, Digest)>>);

impl PresentBlobs {
    /// Whether `reference`'s repository has the blob for all that is known.
    pub fn contain(&self, reference: &Reference, digest: &Digest) -> bool {
        self.lock().contains(&(place(reference), *digest))
    }

    /// `reference`'s repository has the blob.
    pub fn add(&self, reference: &Reference, digest: &Digest) {
        self.lock().insert((place(reference), *digest));
    }

    /// Whatever was known of `reference`'s repository is to be asked for again.
    pub fn forget(&self, reference: &Reference) {
        let place = place(reference);
        self.lock().retain(|(known, _)| *known != place);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(String, Digest)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(reference: &Reference) -> String {
    format!("{}/{}", reference.registry(), reference.repository())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_known_by_itself_whatever_its_tag() {
        let name = |text: &str| text.parse::<Reference>().expect("a name");
        let digest = Digest::sha256_of(b"blob");
        let present = PresentBlobs::default();
        present.add(&name("r.example/a:1"), &digest);
        assert!(present.contain(&name("r.example/a:2"), &digest));
        assert!(!present.contain(&name("r.example/b:1"), &digest));
        present.forget(&name("r.example/a"));
        assert!(!present.contain(&name("r.example/a:1"), &digest));
    }
}
