//! Finds the image that a user means: by name, familiar or complete, or by the beginning of its ID.

use anyhow::{Context as _, bail};
use rbuild_image::Reference;
use rbuild_store::{Store, StoreError, StoredImage};

/// The shortest beginning of an ID that is taken for one, in digits.
const MIN_ID_DIGITS: usize = 3;

/// An image, and how it was named.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The image.
    pub(crate) image: StoredImage,
    /// The name it was found by; none if it was by ID.
    pub(crate) name: Option<Reference>,
}

/// There is no such image.
#[derive(Debug, thiserror::Error)]
#[error("No such image: {text}{hint}")]
pub(crate) struct NoSuchImage {
    text: String,
    hint: String,
}

/// The image that `text` means.
///
/// Fails with [`NoSuchImage`], which suggests what was perhaps meant.
pub(crate) fn image(store: &Store, text: &str) -> anyhow::Result<Found> {
    match find(store, text)? {
        Some(found) => Ok(found),
        None => Err(missing(store, text)?.into()),
    }
}

/// The image that `text` means, if it is here.
pub(crate) fn find(store: &Store, text: &str) -> anyhow::Result<Option<Found>> {
    let name = text.parse::<Reference>();
    if let Ok(name) = &name
        && let Some(found) = by_name(store, name)?
    {
        return Ok(Some(found));
    }
    if is_id(text)
        && let Some(image) = by_id(store, text)?
    {
        return Ok(Some(Found { image, name: None }));
    }
    match name {
        Ok(_) => Ok(None),
        Err(_) if is_id(text) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("invalid reference {text:?}")),
    }
}

fn by_name(store: &Store, name: &Reference) -> anyhow::Result<Option<Found>> {
    if let Some(image) = store.image(name)? {
        let name = Some(name.clone());
        return Ok(Some(Found { image, name }));
    }
    // `app:tag@sha256:…` and `app@sha256:…` mean an image of that digest with a name in that repository.
    let Some(digest) = name.digest() else {
        return Ok(None);
    };
    let Some(image) = store.image_by_digest(&digest)? else {
        return Ok(None);
    };
    let same = |other: &Reference| {
        other.registry() == name.registry() && other.repository() == name.repository()
    };
    let known = image.names.iter().any(same);
    let name = Some(name.clone());
    Ok(known.then_some(Found { image, name }))
}

fn by_id(store: &Store, text: &str) -> anyhow::Result<Option<StoredImage>> {
    match store.image_by_prefix(text) {
        Err(StoreError::Ambiguous { matches, .. }) => {
            bail!("{text} begins several image IDs: {}", matches.join(", "))
        }
        other => Ok(other?),
    }
}

fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let fits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (MIN_ID_DIGITS..=64).contains(&digits.len()) && digits.bytes().all(fits)
}

/// What to say of an image that is not here.
pub(crate) fn missing(store: &Store, text: &str) -> anyhow::Result<NoSuchImage> {
    let names: Vec<Reference> = store
        .images()?
        .into_iter()
        .flat_map(|image| image.names)
        .collect();
    let name = text.parse::<Reference>().ok();
    let said = name.as_ref().filter(|_| !text.starts_with("sha256:"));
    Ok(NoSuchImage {
        text: said.map_or_else(|| text.to_owned(), Reference::familiar),
        hint: name.map_or_else(String::new, |name| hint(&name, &names)),
    })
}

/// Other tags of the same repository, else the most similar name.
fn hint(name: &Reference, names: &[Reference]) -> String {
    let same = |other: &&Reference| {
        other.registry() == name.registry() && other.repository() == name.repository()
    };
    let siblings: Vec<String> = names.iter().filter(same).map(Reference::familiar).collect();
    if !siblings.is_empty() {
        return format!(" (there is {})", siblings.join(", "));
    }
    let familiar: Vec<String> = names.iter().map(Reference::familiar).collect();
    let candidates = familiar.iter().map(String::as_str);
    rbuild_dockerfile::suggest(&name.familiar(), candidates)
        .map_or_else(String::new, |near| format!(" (did you mean {near}?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<Reference> {
        let parsed = all.iter().map(|name| name.parse());
        parsed.collect::<Result<_, _>>().expect("names")
    }

    #[test]
    fn a_near_miss_is_suggested() {
        let known = names(&["debian:bookworm", "app:v1", "app:v2"]);
        let hint = |text: &str| hint(&text.parse().expect("a name"), &known);
        assert_eq!(hint("app"), " (there is app:v1, app:v2)");
        assert_eq!(hint("debain:bookworm"), " (did you mean debian:bookworm?)");
        assert_eq!(hint("postgres"), "");
    }

    #[test]
    fn ids_are_told_from_names_by_their_digits() {
        assert!(is_id("3f4ca61aafcd"));
        assert!(is_id(&format!("sha256:{}", "0".repeat(64))));
        assert!(!is_id("app"));
        assert!(!is_id("ab"));
    }
}
