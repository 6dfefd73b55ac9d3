//! Debian's database (dpkg-query(1), deb-control(5)): paragraphs of `Name: value`.

use crate::{Ecosystem, Package};

/// Whether `path` is a database: `status`, or a file for each package as distroless images have it.
pub(crate) fn is_database(path: &str) -> bool {
    let part = path.strip_prefix("var/lib/dpkg/status.d/");
    path == "var/lib/dpkg/status" || part.is_some_and(|name| !name.ends_with(".md5sums"))
}

/// The installed packages.
pub(crate) fn packages(text: &str, path: &str) -> Vec<Package> {
    let paragraphs = text.split("\n\n");
    paragraphs.filter_map(|one| package(one, path)).collect()
}

fn package(paragraph: &str, path: &str) -> Option<Package> {
    let field = |name: &str| {
        let mut values = paragraph
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values
            .next()
            .map(str::trim)
            .filter(|value| !value.is_empty())
    };
    // Files of single packages have no status.
    if !field("Status").is_none_or(|status| status.ends_with(" installed")) {
        return None;
    }
    let name = field("Package")?;
    let source = field("Source").map(|text| text.split(' ').next().unwrap_or(text));
    Some(Package {
        architecture: field("Architecture").map(str::to_owned),
        source: source.filter(|source| *source != name).map(str::to_owned),
        supplier: field("Maintainer").map(str::to_owned),
        ..Package::new(Ecosystem::Deb, name, field("Version")?, path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_are_listed_and_removed_ones_are_not() {
        let status = "Package: libc6\nStatus: install ok installed\nMaintainer: GNU <a@b>\nArchitecture: amd64\nSource: glibc (2.36-9)\nVersion: 2.36-9\nDescription: C\n more: of it\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n";
        let found = packages(status, "var/lib/dpkg/status");
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].name.as_str(), found[0].version.as_str()),
            ("libc6", "2.36-9")
        );
        assert_eq!(found[0].source.as_deref(), Some("glibc"));
        assert_eq!(found[0].supplier.as_deref(), Some("GNU <a@b>"));
    }

    #[test]
    fn distroless_images_have_a_file_for_each_package() {
        assert!(is_database("var/lib/dpkg/status.d/base"));
        assert!(!is_database("var/lib/dpkg/status.d/base.md5sums"));
        assert!(!is_database("var/lib/dpkg/status-old"));
        assert_eq!(packages("Package: base\nVersion: 1\n", "x").len(), 1);
    }
}
