//! What a step ran on: no part of its key, but what is needed to say in words why a later one missed.

use std::time::{Duration, SystemTime};

use rbuild_image::LayerId;
use serde::{Deserialize, Serialize};

use crate::{Earlier, EarlierPlace, Explanation, Reason};

/// The version of the encoding. Records of a version that is not known are explained without it.
const VERSION: u32 = 2;
/// The oldest version that is understood: it has no arguments.
const OLDEST_VERSION: u32 = 1;

/// What a step ran on; kept with its record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    version: u32,
    /// The base image at the bottom, as `name@digest`.
    pub image: Option<String>,
    /// The layers below the step's own, bottom first.
    pub base: Vec<LayerId>,
    /// What a COPY or ADD copied.
    pub copies: Vec<Copied>,
    /// Whether it was to look for an earlier result.
    pub lookup: Lookup,
    /// Which of its variables are ARGs.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Why it ran, where only a remote cache knew what it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
}

/// An explanation that was given, to be given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The earlier step's key, in hexadecimal.
    key: String,
    /// When that ran, in milliseconds since 1970.
    created: u64,
    reasons: Vec<Reason>,
}

impl Told {
    /// To be kept of `explanation`: only what cannot be found out again.
    pub fn of(explanation: &Explanation) -> Option<Self> {
        let earlier = explanation.earlier.as_ref()?;
        if earlier.place == EarlierPlace::Here {
            return None;
        }
        let created = earlier
            .created
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()?;
        Some(Self {
            key: earlier.key.to_string(),
            created: created.as_millis() as u64,
            reasons: explanation.reasons.clone(),
        })
    }

    pub(crate) fn explanation(&self) -> Option<Explanation> {
        let key = self.key.parse().ok()?;
        Some(Explanation {
            earlier: Some(Earlier {
                key,
                created: SystemTime::UNIX_EPOCH + Duration::from_millis(self.created),
                place: EarlierPlace::Elsewhere,
            }),
            reasons: self.reasons.clone(),
        })
    }
}

/// Whether a step was to look for an earlier result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lookup {
    /// As usual.
    #[default]
    Asked,
    /// `--no-cache`.
    NotAsked,
    /// There was one, older than `--cache-ttl` says.
    Expired(String),
}

/// A source of a copy and where it went, as the Dockerfile has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// `src`
    pub source: String,
    /// `/app/`
    pub destination: String,
}

impl Circumstances {
    /// These.
    pub fn new(
        image: Option<String>,
        base: Vec<LayerId>,
        copies: Vec<Copied>,
        lookup: Lookup,
    ) -> Self {
        Self {
            version: VERSION,
            image,
            base,
            copies,
            lookup,
            arguments: Vec::new(),
            told: None,
        }
    }

    /// These, of a step that has `arguments` among its variables.
    #[must_use]
    pub fn with_arguments(self, arguments: Vec<String>) -> Self {
        Self { arguments, ..self }
    }

    /// As a record keeps them.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and digests are JSON")
    }

    /// Of a record; `None` where it has none that are understood.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let decoded: Self = serde_json::from_slice(bytes).ok()?;
        (OLDEST_VERSION..=VERSION)
            .contains(&decoded.version)
            .then_some(decoded)
    }

    /// What the file at `path` in the step's layer was called where it came from: `app/main.rs` → `src/main.rs`. With
    /// several sources it cannot be told, and the path in the image is given.
    pub(crate) fn name_at_source(&self, path: &[u8]) -> String {
        let path = String::from_utf8_lossy(path);
        let [copied] = self.copies.as_slice() else {
            return format!("/{path}");
        };
        let source = copied.source.trim_start_matches('/').trim_end_matches('/');
        let destination = copied.destination.trim_matches('/');
        let inside = match path.strip_prefix(destination) {
            Some("") => return source.to_owned(),
            Some(rest) if destination.is_empty() => rest,
            Some(rest) => match rest.strip_prefix('/') {
                Some(rest) => rest,
                None => return format!("/{path}"),
            },
            None => return format!("/{path}"),
        };
        let is_pattern = source.contains(['*', '?', '[']);
        let is_file = source.rsplit('/').next() == Some(inside);
        match source {
            "" | "." => inside.to_owned(),
            _ if is_pattern => format!("/{path}"),
            _ if is_file => source.to_owned(),
            _ => format!("{source}/{inside}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rbuild_image::ContentId;

    use super::*;

    fn copied(source: &str, destination: &str) -> Circumstances {
        let (source, destination) = (source.to_owned(), destination.to_owned());
        let copies = vec![Copied {
            source,
            destination,
        }];
        Circumstances::new(None, Vec::new(), copies, Lookup::Asked)
    }

    #[test]
    fn files_are_called_as_they_are_in_the_context() {
        let cases = [
            ("src", "/app/", "app/main.rs", "src/main.rs"),
            ("/", "/app", "app/main.rs", "main.rs"),
            (".", "/", "main.rs", "main.rs"),
            ("a.txt", "/b.txt", "b.txt", "a.txt"),
            ("dir/a.txt", "/to/", "to/a.txt", "dir/a.txt"),
            ("*.txt", "/to/", "to/a.txt", "/to/a.txt"),
            ("src", "/app", "elsewhere", "/elsewhere"),
            ("src", "/app", "apple", "/apple"),
        ];
        for (source, destination, path, name) in cases {
            let told = copied(source, destination).name_at_source(path.as_bytes());
            assert_eq!(told, name, "COPY {source} {destination}: {path}");
        }
    }

    #[test]
    fn the_encoding_stays_the_same() {
        let layer = LayerId::Made(ContentId([1; 32]));
        let mut one = copied("a", "/b").with_arguments(vec!["SHA".to_owned()]);
        one.base = vec![layer];
        one.image = Some("docker.io/library/busybox:latest@sha256:00".into());
        let text = format!(
            r#"{{"version":2,"image":"docker.io/library/busybox:latest@sha256:00","base":["{layer}"],"copies":[{{"source":"a","destination":"/b"}}],"lookup":"asked","arguments":["SHA"]}}"#
        );
        assert_eq!(String::from_utf8_lossy(&one.encode()), text);
        assert_eq!(Circumstances::decode(text.as_bytes()), Some(one));
        assert_eq!(Circumstances::decode(b""), None);
        assert_eq!(
            Circumstances::decode(text.replace("version\":2", "version\":3").as_bytes()),
            None
        );
        let older = r#"{"version":1,"image":null,"base":[],"copies":[],"lookup":"not-asked"}"#;
        let older = Circumstances::decode(older.as_bytes()).expect("the version before");
        assert_eq!(older.lookup, Lookup::NotAsked);
    }
}
