//! Images as package URLs (package-url specification, types `docker` and `oci`).

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rbuild_image::{Platform, Reference};

/// What stands for itself in a qualifier's value.
const QUALIFIER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~');
/// The same in a name, whose parts are between slashes.
const NAME: &AsciiSet = &QUALIFIER.remove(b':').remove(b'/');

/// `pkg:docker/debian@bookworm?platform=linux%2Famd64`
pub(crate) fn image_purl(kind: &str, name: &Reference, platform: Option<&Platform>) -> String {
    let repository = name.familiar_repository();
    let mut url = format!("pkg:{kind}/{}", utf8_percent_encode(&repository, NAME));
    if let Some(tag) = name.tag() {
        url.push('@');
        url.push_str(&utf8_percent_encode(tag, NAME).to_string());
    }
    let digest = name.digest().map(|digest| digest.to_string());
    let platform = platform.map(ToString::to_string);
    let mut separator = '?';
    for (key, value) in [("digest", digest), ("platform", platform)] {
        if let Some(value) = value {
            let value = utf8_percent_encode(&value, QUALIFIER);
            let _ = write!(url, "{separator}{key}={value}");
            separator = '&';
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_repository_tag_digest_and_platform() {
        let platform: Platform = "linux/arm/v7".parse().expect("a platform");
        let purl = |name: &str| {
            let name = name.parse().expect("a name");
            image_purl("docker", &name, Some(&platform))
        };
        assert_eq!(
            purl("debian"),
            "pkg:docker/debian@latest?platform=linux%2Farm%2Fv7"
        );
        let digest = "a".repeat(64);
        assert_eq!(
            purl(&format!("ghcr.io/a/b:1.0@sha256:{digest}")),
            format!(
                "pkg:docker/ghcr.io/a/b@1.0?digest=sha256%3A{digest}&platform=linux%2Farm%2Fv7"
            )
        );
    }
}
