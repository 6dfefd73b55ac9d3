//! A package, and its name among all packages (package-url specification).

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Distribution;

/// What stands for itself in a package URL.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// Whose package it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ecosystem {
    /// Debian and its descendants.
    Deb,
    /// Alpine.
    Apk,
    /// Red Hat, SUSE and their descendants.
    Rpm,
    /// Python.
    PyPi,
    /// JavaScript.
    Npm,
    /// Rust.
    Cargo,
    /// Ruby.
    Gem,
    /// PHP.
    Composer,
    /// Go.
    Go,
}

impl Ecosystem {
    /// The type in a package URL.
    pub fn purl_type(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Apk => "apk",
            Self::Rpm => "rpm",
            Self::PyPi => "pypi",
            Self::Npm => "npm",
            Self::Cargo => "cargo",
            Self::Gem => "gem",
            Self::Composer => "composer",
            Self::Go => "golang",
        }
    }

    /// The namespace where the system does not say which distribution it is.
    fn distribution(self) -> Option<&'static str> {
        match self {
            Self::Deb => Some("debian"),
            Self::Apk => Some("alpine"),
            Self::Rpm => Some("redhat"),
            _ => None,
        }
    }
}

/// A package that is installed, or that a lock file names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Whose it is.
    pub ecosystem: Ecosystem,
    /// `libc6`; `@babel/core`; `github.com/a/b`.
    pub name: String,
    /// As its manager writes it, with epoch and revision.
    pub version: String,
    /// `amd64`, for packages that have one.
    pub architecture: Option<String>,
    /// The source package that it was built from, where that has another name.
    pub source: Option<String>,
    /// The licence in the words of the package.
    pub license: Option<String>,
    /// Who maintains it.
    pub supplier: Option<String>,
    /// The distribution that it was made for.
    pub distribution: Option<Distribution>,
    /// The file that tells of it.
    pub found_in: String,
}

impl Package {
    /// A package of which no more is known.
    pub(crate) fn new(ecosystem: Ecosystem, name: &str, version: &str, found_in: &str) -> Self {
        Self {
            ecosystem,
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: None,
            source: None,
            license: None,
            supplier: None,
            distribution: None,
            found_in: found_in.to_owned(),
        }
    }

    /// Its package URL: `pkg:deb/debian/bash@5.2?arch=amd64&distro=debian-12`.
    pub fn purl(&self) -> String {
        let mut url = format!("pkg:{}", self.ecosystem.purl_type());
        let system = self.distribution.as_ref().map(|system| system.id.as_str());
        if let Some(default) = self.ecosystem.distribution() {
            url.push('/');
            url.push_str(&encoded(system.unwrap_or(default)));
        }
        for part in self.purl_name().split('/') {
            url.push('/');
            url.push_str(&encoded(part));
        }
        let (epoch, version) = self.epoch_and_version();
        if !version.is_empty() {
            url.push('@');
            url.push_str(&encoded(version));
        }
        let system = self.distribution.as_ref().map(Distribution::qualifier);
        let qualifiers = [
            ("arch", self.architecture.clone()),
            ("distro", system),
            ("epoch", epoch.map(str::to_owned)),
            ("upstream", self.source.clone()),
        ];
        let mut separator = '?';
        for (name, value) in qualifiers {
            let Some(value) = value.filter(|value| !value.is_empty()) else {
                continue;
            };
            url.push(separator);
            let _ = write!(url, "{name}={}", encoded(&value));
            separator = '&';
        }
        url
    }

    /// The URL of an RPM has the epoch beside the version.
    fn epoch_and_version(&self) -> (Option<&str>, &str) {
        match (self.ecosystem, self.version.split_once(':')) {
            (Ecosystem::Rpm, Some((epoch, version))) => (Some(epoch), version),
            _ => (None, &self.version),
        }
    }

    fn purl_name(&self) -> String {
        match self.ecosystem {
            Ecosystem::PyPi => self.name.to_lowercase().replace('_', "-"),
            Ecosystem::Composer | Ecosystem::Deb | Ecosystem::Apk => self.name.to_lowercase(),
            _ => self.name.clone(),
        }
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_the_url_that_vulnerability_databases_know_it_by() {
        let mut deb = Package::new(Ecosystem::Deb, "libstdc++6", "1:12.2.0-14+deb12u1", "x");
        deb.architecture = Some("amd64".to_owned());
        deb.source = Some("gcc-12".to_owned());
        deb.distribution = Some(Distribution {
            id: "debian".to_owned(),
            version: "12".to_owned(),
        });
        assert_eq!(
            deb.purl(),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12&upstream=gcc-12"
        );
        let purl = |ecosystem, name| Package::new(ecosystem, name, "1", "x").purl();
        assert_eq!(
            purl(Ecosystem::Npm, "@babel/core"),
            "pkg:npm/%40babel/core@1"
        );
        assert_eq!(purl(Ecosystem::PyPi, "Foo_Bar"), "pkg:pypi/foo-bar@1");
        assert_eq!(
            purl(Ecosystem::Go, "github.com/a/b"),
            "pkg:golang/github.com/a/b@1"
        );
        assert_eq!(purl(Ecosystem::Apk, "musl"), "pkg:apk/alpine/musl@1");
        let rpm = Package::new(Ecosystem::Rpm, "dbus", "1:1.14-2.fc40", "x");
        assert_eq!(rpm.purl(), "pkg:rpm/redhat/dbus@1.14-2.fc40?epoch=1");
    }
}
