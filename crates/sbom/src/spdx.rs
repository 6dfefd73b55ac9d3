//! SPDX 2.3 in JSON. The same packages give the same bytes.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{Inventory, Package};

/// The in-toto predicate type of such a document.
pub const SPDX_PREDICATE: &str = "https://spdx.dev/Document";

/// The document's own identifier.
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
/// The identifier of what the packages are in.
const ROOT: &str = "SPDXRef-DocumentRoot";
/// Where nothing is claimed.
const UNKNOWN: &str = "NOASSERTION";

/// What the document is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its name: an image's, or a stage's.
    pub name: &'a str,
    /// Who wrote the document: `rbuild-0.1.0`.
    pub tool: &'a str,
    /// When it was written, in RFC 3339 and UTC.
    pub created: &'a str,
}

/// The packages of `inventory` as a document.
pub fn document(subject: &Subject<'_>, inventory: &Inventory) -> Value {
    let packages: Vec<Value> = inventory.packages.iter().map(package).collect();
    let mut hasher = Sha256::new();
    for part in [subject.name, "\0", subject.created, "\0"] {
        hasher.update(part.as_bytes());
    }
    for one in &packages {
        hasher.update(one.to_string().as_bytes());
    }
    let namespace = hex::encode(hasher.finalize());
    let mut relationships = vec![related(DOCUMENT, "DESCRIBES", ROOT)];
    for one in &packages {
        let id = one["SPDXID"].as_str().unwrap_or_default();
        relationships.push(related(ROOT, "CONTAINS", id));
    }
    let root = json!({
        "name": subject.name,
        "SPDXID": ROOT,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
        "primaryPackagePurpose": "CONTAINER",
    });
    let packages = [vec![root], packages].concat();
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": subject.name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/rbuild-{namespace}"),
        "creationInfo": {
            "created": subject.created,
            "creators": [format!("Tool: {}", subject.tool)],
        },
        "packages": packages,
        "relationships": relationships,
    })
}

fn related(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

fn package(package: &Package) -> Value {
    let mut value = json!({
        "name": package.name,
        "SPDXID": identifier(package),
        "versionInfo": package.version,
        "supplier": UNKNOWN,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "sourceInfo": format!("from /{}", package.found_in),
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": package.purl(),
        }],
    });
    if let Some(supplier) = &package.supplier {
        value["supplier"] = supplied_by(supplier).into();
    }
    if let Some(license) = &package.license {
        // Packages' own words are seldom a licence expression of SPDX.
        value["licenseComments"] = format!("declared as: {license}").into();
    }
    value
}

/// `Debian Bash <bash@debian.org>` → `Organization: Debian Bash (bash@debian.org)`
fn supplied_by(supplier: &str) -> String {
    let line = supplier.replace(['\r', '\n'], " ");
    match line.split_once(" <") {
        Some((name, address)) => {
            format!("Organization: {name} ({})", address.trim_end_matches('>'))
        }
        None => format!("Organization: {line}"),
    }
}

/// `SPDXRef-Package-deb-bash-…`: letters, digits, dots and dashes, and a digest of all there is.
fn identifier(package: &Package) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let name: String = package
        .name
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    let mut hasher = Sha256::new();
    hasher.update(package.purl().as_bytes());
    hasher.update([0]);
    hasher.update(package.found_in.as_bytes());
    let digest = hex::encode(hasher.finalize());
    let kind = package.ecosystem.purl_type();
    format!("SPDXRef-Package-{kind}-{name}-{}", &digest[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ecosystem, Package};

    fn sample() -> Value {
        let mut bash = Package::new(Ecosystem::Deb, "bash", "5.2", "var/lib/dpkg/status");
        bash.supplier = Some("Bash <b@debian.org>".to_owned());
        bash.license = Some("GPL".to_owned());
        let inventory = Inventory {
            packages: vec![
                bash,
                Package::new(Ecosystem::Npm, "@a/b", "1", "app/yarn.lock"),
            ],
            ..Inventory::default()
        };
        let subject = Subject {
            name: "app",
            tool: "rbuild-0",
            created: "1970-01-01T00:00:00Z",
        };
        document(&subject, &inventory)
    }

    #[test]
    fn a_document_describes_one_thing_that_contains_all_packages() {
        let document = sample();
        assert_eq!(document["spdxVersion"], "SPDX-2.3");
        let relationships = document["relationships"].as_array().expect("a list");
        assert_eq!(relationships[0]["relationshipType"], "DESCRIBES");
        let contained: Vec<&Value> = relationships[1..]
            .iter()
            .map(|one| &one["relatedSpdxElement"])
            .collect();
        let packages = document["packages"].as_array().expect("a list");
        let ids: Vec<&Value> = packages[1..].iter().map(|one| &one["SPDXID"]).collect();
        assert_eq!(contained, ids);
        assert_eq!(packages[1]["supplier"], "Organization: Bash (b@debian.org)");
        assert_eq!(
            packages[2]["externalRefs"][0]["referenceLocator"],
            "pkg:npm/%40a/b@1"
        );
    }

    #[test]
    fn identifiers_have_only_the_letters_that_spdx_allows() {
        let document = sample();
        for package in document["packages"].as_array().expect("a list") {
            let id = package["SPDXID"].as_str().expect("text");
            let rest = id.strip_prefix("SPDXRef-").expect("the prefix");
            assert!(
                rest.chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-'),
                "{id}"
            );
        }
    }

    #[test]
    fn the_same_packages_give_the_same_document() {
        assert_eq!(sample().to_string(), sample().to_string());
    }
}
