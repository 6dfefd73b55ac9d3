//! Serde forms for names and bytes: a string where they are UTF-8, else a list of numbers.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

struct Borrowed<'a>(&'a [u8]);

impl Serialize for Borrowed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_seq(self.0),
        }
    }
}

struct Owned(Vec<u8>);

impl<'de> Deserialize<'de> for Owned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumbers;

        impl<'de> Visitor<'de> for TextOrNumbers {
            type Value = Owned;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or a list of bytes")
            }

            fn visit_str<E>(self, text: &str) -> Result<Owned, E> {
                Ok(Owned(text.as_bytes().to_vec()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Owned, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = numbers.next_element()? {
                    bytes.push(byte);
                }
                Ok(Owned(bytes))
            }
        }

        deserializer.deserialize_any(TextOrNumbers)
    }
}

pub(crate) fn serialize<T: AsRef<OsStr>, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Borrowed(value.as_ref().as_bytes()).serialize(serializer)
}

pub(crate) fn deserialize<'de, T: From<OsString>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let Owned(bytes) = Owned::deserialize(deserializer)?;
    Ok(OsString::from_vec(bytes).into())
}

/// For `Vec<OsString>` and `Vec<PathBuf>`.
pub(crate) mod list {
    use super::{
        Borrowed, Deserialize, Deserializer, OsStr, OsStrExt, OsString, OsStringExt, Owned,
        Serializer,
    };

    pub(crate) fn serialize<T: AsRef<OsStr>, S: Serializer>(
        values: &[T],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            values
                .iter()
                .map(|value| Borrowed(value.as_ref().as_bytes())),
        )
    }

    pub(crate) fn deserialize<'de, T: From<OsString>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let values = Vec::<Owned>::deserialize(deserializer)?;
        Ok(values
            .into_iter()
            .map(|Owned(bytes)| OsString::from_vec(bytes).into())
            .collect())
    }
}

/// For `Vec<u8>`.
pub(crate) mod bytes {
    use super::{Borrowed, Deserialize, Deserializer, Owned, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        Borrowed(value).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        Ok(Owned::deserialize(deserializer)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder(#[serde(with = "list")] Vec<OsString>);

    #[test]
    fn names_that_are_not_utf8_survive() {
        let names = Holder(vec!["plain".into(), OsString::from_vec(vec![0xff, b'x'])]);
        let json = serde_json::to_string(&names).expect("serializable");
        assert_eq!(json, r#"["plain",[255,120]]"#);
        let back: Holder = serde_json::from_str(&json).expect("what was just written");
        assert_eq!(back, names);
    }
}
