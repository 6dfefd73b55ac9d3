//! The `object_store` crate's failures in words for people.

use std::error::Error;
use std::fmt;

use object_store::Error as StoreError;

use crate::ObjectsError;
use crate::error::Refusal;

/// What a store said, without the markup around it.
#[derive(Debug)]
struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Said {}

/// A failure to do `action` to `object`.
pub(crate) fn failed(action: &'static str, object: String, error: &StoreError) -> ObjectsError {
    let refusal = match error {
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => Refusal::Access,
        _ => Refusal::Other,
    };
    ObjectsError::at(action, object, refusal, Said(words(error)))
}

/// `NoSuchBucket: The specified bucket does not exist`, or what the innermost error says.
fn words(error: &StoreError) -> String {
    let text = error.to_string();
    if let Some(said) = in_markup(&text) {
        return said;
    }
    let mut deepest: &dyn Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let inner = deepest.to_string();
    let inner = inner.strip_prefix("io: ").unwrap_or(&inner);
    // Which request it was matters where nobody answered.
    match text.split_once("Error performing ") {
        Some((_, request)) => {
            let request = request.split(" in ").next().unwrap_or_default();
            format!("{request}: {inner}")
        }
        None => inner.to_owned(),
    }
}

/// The code and message in a refusal of S3's or Azure's.
pub(crate) fn in_markup(text: &str) -> Option<String> {
    let code = element(text, "Code")?;
    // Azure adds an identifier and the time on lines of their own.
    let message = element(text, "Message").unwrap_or_default();
    let message = message.lines().next().unwrap_or_default();
    Some(format!("{code}: {message}"))
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    Some(after.split_once(&format!("</{name}>"))?.0)
}
