//! Named contexts: which name they are found by.

use rbuild_image::{Platform, Reference};

use crate::{NamedContext, PlanOptions};

/// The base without layers.
pub(crate) const SCRATCH: &str = "scratch";

/// Names that no stage should have and no named context replaces.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.eq_ignore_ascii_case(SCRATCH) || name.eq_ignore_ascii_case("context")
}

/// The named context that stands for `name`, an image or a stage: `name::platform` goes before `name`.
pub(crate) fn named(
    options: &PlanOptions,
    name: &str,
    platform: &Platform,
) -> Option<(String, NamedContext)> {
    if options.contexts.is_empty() || is_reserved(name) {
        return None;
    }
    let wanted = short(name);
    let wanted_here = format!("{wanted}::{}", platform.normalized());
    let find = |key: &str| {
        let mut contexts = options.contexts.iter();
        contexts.find(|(name, _)| canonical(name) == key)
    };
    let (name, kind) = find(&wanted_here).or_else(|| find(&wanted))?;
    Some((name.clone(), kind.clone()))
}

/// The option's name as lookups write it.
fn canonical(name: &str) -> String {
    match name.split_once("::") {
        Some((name, platform)) => {
            let platform = platform.parse::<Platform>().map_or_else(
                |_| platform.to_owned(),
                |platform| platform.normalized().to_string(),
            );
            format!("{}::{platform}", short(name))
        }
        None => short(name),
    }
}

/// As people write it, without `:latest`: `docker.io/library/alpine:latest` is `alpine`.
fn short(name: &str) -> String {
    let familiar = name
        .parse::<Reference>()
        .map_or_else(|_| name.to_owned(), |reference| reference.familiar());
    familiar
        .strip_suffix(":latest")
        .map_or_else(|| familiar.clone(), str::to_owned)
}
