//! Alpine's database: paragraphs of `X:value`, one letter each.

use crate::{Ecosystem, Package};

/// Whether `path` is the database; newer systems have it below `usr`.
pub(crate) fn is_database(path: &str) -> bool {
    matches!(path, "lib/apk/db/installed" | "usr/lib/apk/db/installed")
}

/// The installed packages.
pub(crate) fn packages(text: &str, path: &str) -> Vec<Package> {
    let paragraphs = text.split("\n\n");
    paragraphs.filter_map(|one| package(one, path)).collect()
}

fn package(paragraph: &str, path: &str) -> Option<Package> {
    let field = |letter: &str| {
        let mut values = paragraph
            .lines()
            .filter_map(|line| line.strip_prefix(letter)?.strip_prefix(':'));
        values
            .next()
            .map(str::trim)
            .filter(|value| !value.is_empty())
    };
    let name = field("P")?;
    Some(Package {
        architecture: field("A").map(str::to_owned),
        source: field("o")
            .filter(|origin| *origin != name)
            .map(str::to_owned),
        license: field("L").map(str::to_owned),
        supplier: field("m").map(str::to_owned),
        ..Package::new(Ecosystem::Apk, name, field("V")?, path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpines_packages_are_listed_with_origin_and_licence() {
        let text = "C:Q1xyz=\nP:libcrypto3\nV:3.1.4-r5\nA:x86_64\nL:Apache-2.0\no:openssl\nm:Ariadne <a@b>\nF:lib\nR:libcrypto.so.3\n\nP:musl\nV:1.2.4-r2\no:musl\n\n";
        let found = packages(text, "lib/apk/db/installed");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].source.as_deref(), Some("openssl"));
        assert_eq!(found[0].license.as_deref(), Some("Apache-2.0"));
        assert_eq!(found[1].source, None);
    }
}
