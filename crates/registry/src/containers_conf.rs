//! `registries.conf`, as podman, buildah and skopeo read it (containers-registries.conf(5)).
//!
//! ```toml
//! [[registry]]
//! prefix = "docker.io/library"            # the longest that fits a name counts; "*.example.com" fits a domain's hosts
//! location = "registry.example.com/hub"   # where it is pulled from; without one, where its name says
//! insecure = false
//! blocked = false
//! [[registry.mirror]]
//! location = "127.0.0.1:5000/hub"
//! insecure = true
//! pull-from-mirror = "all"                # digest-only, tag-only
//! ```
//!
//! Short names are no matter of this file here: in a Dockerfile `debian` is `docker.io/library/debian` on every machine.
//! So `unqualified-search-registries`, `short-name-mode` and `[aliases]` are passed over.

use serde::Deserialize;

use crate::RegistryError;

/// What `registries.conf` and the files of `registries.conf.d` say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainersRegistries {
    rules: Vec<PrefixRule>,
}

/// What holds for names that begin alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PrefixRule {
    prefix: String,
    /// Where it is pulled from, if that is elsewhere.
    pub(crate) location: Option<String>,
    pub(crate) insecure: bool,
    pub(crate) access: Access,
    pub(crate) mirrors: Vec<PrefixMirror>,
}

/// Whether a name may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Open,
    Blocked,
}

/// A place that is asked before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PrefixMirror {
    pub(crate) location: String,
    pub(crate) insecure: bool,
    pub(crate) serves: Serves,
}

/// What a host is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Serves {
    /// Images by any name.
    #[default]
    #[serde(rename = "all")]
    Pulls,
    /// Images by their digest.
    #[serde(rename = "digest-only")]
    PullsByDigest,
    /// Images by a tag.
    #[serde(rename = "tag-only")]
    PullsByTag,
    /// It is only sent to.
    #[serde(skip)]
    Pushes,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    registry: Vec<RegistryTable>,
    /// The first version's tables.
    #[serde(default)]
    registries: Option<FirstVersion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RegistryTable {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<MirrorTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MirrorTable {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: Serves,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FirstVersion {
    insecure: FirstVersionList,
    block: FirstVersionList,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FirstVersionList {
    registries: Vec<String>,
}

impl ContainersRegistries {
    /// Reads the text of such a file.
    pub fn from_toml(text: &str) -> Result<Self, RegistryError> {
        let document: Document = toml::from_str(text).map_err(|error| RegistryError::Config {
            reason: error.to_string().trim_end().to_owned(),
        })?;
        let mut read = Self::default();
        for table in document.registry {
            read.add(PrefixRule::new(table)?);
        }
        if let Some(first) = document.registries {
            for prefix in first.insecure.registries {
                let insecure = true;
                read.add(PrefixRule {
                    insecure,
                    ..PrefixRule::plain(&prefix)
                });
            }
            for prefix in first.block.registries {
                let access = Access::Blocked;
                read.add(PrefixRule {
                    access,
                    ..PrefixRule::plain(&prefix)
                });
            }
        }
        Ok(read)
    }

    /// Adds what a later file says; of two rules for one prefix the later counts.
    pub fn extend(&mut self, later: Self) {
        for rule in later.rules {
            self.add(rule);
        }
    }

    fn add(&mut self, rule: PrefixRule) {
        self.rules.retain(|known| known.prefix != rule.prefix);
        self.rules.push(rule);
    }

    /// The number of the rule for `registry/repository`.
    pub(crate) fn position(&self, registry: &str, repository: Option<&str>) -> Option<usize> {
        let fitting = self.rules.iter().enumerate().filter_map(|(at, rule)| {
            let length = rule.fits(registry, repository)?;
            Some((length, at))
        });
        fitting.max().map(|(_, at)| at)
    }

    /// A rule by its number.
    pub(crate) fn rule(&self, position: usize) -> &PrefixRule {
        &self.rules[position]
    }
}

impl PrefixRule {
    fn new(table: RegistryTable) -> Result<Self, RegistryError> {
        let given = |text: Option<String>| text.map(|text| location(&text)).transpose();
        let (prefix, location) = (given(table.prefix)?, given(table.location)?);
        let Some(prefix) = prefix.or_else(|| location.clone()) else {
            return Err(malformed("a [[registry]] has neither prefix nor location"));
        };
        let mirrors = table.mirror.into_iter().map(|mirror| {
            Ok(PrefixMirror {
                location: self::location(&mirror.location)?,
                insecure: mirror.insecure,
                serves: if table.mirror_by_digest_only {
                    Serves::PullsByDigest
                } else {
                    mirror.pull_from_mirror
                },
            })
        });
        Ok(Self {
            location: location.filter(|location| *location != prefix),
            insecure: table.insecure,
            access: if table.blocked {
                Access::Blocked
            } else {
                Access::Open
            },
            mirrors: mirrors.collect::<Result<_, RegistryError>>()?,
            prefix,
        })
    }

    fn plain(prefix: &str) -> Self {
        Self {
            prefix: prefix.trim_end_matches('/').to_owned(),
            location: None,
            insecure: false,
            access: Access::Open,
            mirrors: Vec::new(),
        }
    }

    /// The part of the repository's path that a location takes the place of.
    pub(crate) fn path(&self) -> &str {
        self.prefix.split_once('/').map_or("", |(_, path)| path)
    }

    /// How much of the name it fits, if it does.
    fn fits(&self, registry: &str, repository: Option<&str>) -> Option<usize> {
        let prefix = self.prefix.as_str();
        if let Some(domain) = prefix.strip_prefix('*') {
            let host = registry.split(':').next().unwrap_or(registry);
            let is_below = host.len() > domain.len() && host.ends_with(domain);
            return is_below.then_some(prefix.len());
        }
        let (host, path) = prefix.split_once('/').unwrap_or((prefix, ""));
        let rest = repository.unwrap_or_default().strip_prefix(path)?;
        let whole_names = path.is_empty() || rest.is_empty() || rest.starts_with('/');
        (host == registry && whole_names).then_some(prefix.len())
    }
}

/// `host[:port][/path]`, without a scheme.
fn location(text: &str) -> Result<String, RegistryError> {
    if text.contains("://") {
        return Err(malformed(&format!(
            "the location {text:?} has a scheme: leave it away, and set insecure = true for plain HTTP"
        )));
    }
    let trimmed = text.trim_end_matches('/');
    if trimmed.is_empty() {
        return Err(malformed("a location or prefix is empty"));
    }
    Ok(trimmed.to_owned())
}

fn malformed(reason: &str) -> RegistryError {
    RegistryError::Config {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ContainersRegistries {
        ContainersRegistries::from_toml(text).expect("a configuration")
    }

    fn prefix<'a>(read: &'a ContainersRegistries, name: &str) -> Option<&'a str> {
        let (registry, repository) = name.split_once('/').expect("a name");
        let position = read.position(registry, Some(repository))?;
        Some(read.rule(position).prefix.as_str())
    }

    #[test]
    fn the_longest_prefix_counts() {
        let conf = read(
            r#"
            unqualified-search-registries = ["quay.io"]
            short-name-mode = "enforcing"
            [[registry]]
            location = "docker.io"
            [[registry]]
            prefix = "docker.io/library/app"
            location = "a.io/app"
            [[registry]]
            prefix = "*.example.com"
            blocked = true
            [aliases]
            "fedora" = "registry.fedoraproject.org/fedora"
            "#,
        );
        assert_eq!(
            prefix(&conf, "docker.io/library/app"),
            Some("docker.io/library/app")
        );
        assert_eq!(
            prefix(&conf, "docker.io/library/app/x"),
            Some("docker.io/library/app")
        );
        assert_eq!(
            prefix(&conf, "docker.io/library/application"),
            Some("docker.io")
        );
        assert_eq!(prefix(&conf, "docker.io:5000/a"), None);
        assert_eq!(prefix(&conf, "r.example.com:5000/a"), Some("*.example.com"));
        assert_eq!(prefix(&conf, "example.com/a"), None);
    }

    #[test]
    fn a_later_file_replaces_rules_for_the_same_prefix() {
        let mut conf = read("[[registry]]\nlocation = \"a.io\"\ninsecure = true\n");
        conf.extend(read("[[registry]]\nlocation = \"a.io/\"\nblocked = true\n"));
        let rule = conf.rule(conf.position("a.io", None).expect("a rule"));
        assert_eq!((rule.insecure, rule.access), (false, Access::Blocked));
        assert_eq!(rule.location, None);
    }

    #[test]
    fn the_first_versions_lists_are_understood() {
        let conf = read(
            "[registries.insecure]\nregistries = [\"a.io\"]\n[registries.block]\nregistries = [\"b.io\"]\n[registries.search]\nregistries = [\"c.io\"]\n",
        );
        let rule = |registry| conf.position(registry, None).map(|at| conf.rule(at));
        assert!(rule("a.io").is_some_and(|rule| rule.insecure));
        assert!(rule("b.io").is_some_and(|rule| rule.access == Access::Blocked));
        assert!(rule("c.io").is_none());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "[[registry]]\ninsecure = true\n",
            "[[registry]]\nlocation = \"https://a.io\"\n",
            "[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\nlocation = \"b.io\"\npull-from-mirror = \"never\"\n",
        ] {
            assert!(ContainersRegistries::from_toml(text).is_err(), "{text}");
        }
    }
}
