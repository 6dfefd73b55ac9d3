//! `type=s3`, `type=azblob`, `type=gha`: where objects are kept, with BuildKit's fields and variables.

mod aws_profile;
mod azure;
mod gha;
mod s3;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use rbuild_objects::{
    AzureOptions, Bucket, Gha, GhaOptions, Objects, ObjectsError, S3Options, WebOptions,
};

use super::spec::Way;
use crate::commands::moment::duration;

/// The list of entries that is read and written if nothing else is said; the scope of the Actions cache likewise.
const DEFAULT_NAME: &str = "buildkit";
/// How often a request to a cache is sent that a build can do without.
const READ_ATTEMPTS: usize = 3;
/// Fields whose values nobody is to see.
const SECRET_FIELDS: [&str; 4] = ["secret_access_key", "session_token", "token", "ghtoken"];

/// A store of objects, and the lists of entries in it.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) kind: Kind,
    pub(super) names: Vec<String>,
}

/// What keeps the objects.
#[derive(Debug)]
pub(super) enum Kind {
    S3(Box<S3Options>),
    Azure(Box<AzureOptions>),
    Gha(GhaOptions),
    /// Nothing: an Actions cache outside of a workflow.
    Absent,
}

/// What a field or a variable of the environment may be taken from.
pub(super) struct Given<'a> {
    pub(super) fields: BTreeMap<String, String>,
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(super) now: SystemTime,
}

impl Given<'_> {
    fn take(&mut self, field: &str) -> Option<String> {
        self.fields.remove(field)
    }

    /// A field, else a variable.
    fn take_or(&mut self, field: &str, variable: &str) -> Option<String> {
        self.take(field).or_else(|| (self.variable)(variable))
    }

    fn required(&mut self, field: &str, variable: &str) -> anyhow::Result<String> {
        self.take_or(field, variable)
            .with_context(|| format!("it needs a {field}=, or the variable {variable}"))
    }

    fn number(&mut self, field: &str) -> anyhow::Result<Option<usize>> {
        let Some(text) = self.take(field) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => bail!("{field}={text}: it is a number above 0"),
        }
    }

    fn duration(&mut self, field: &str) -> anyhow::Result<Option<Duration>> {
        let Some(text) = self.take(field) else {
            return Ok(None);
        };
        let parsed = duration(&text).with_context(|| format!("{field}={text}: 24h, say"))?;
        Ok(Some(parsed))
    }

    fn names(&mut self) -> Vec<String> {
        let names = self.take("name").unwrap_or_else(|| DEFAULT_NAME.to_owned());
        let names = names.split(';').filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    /// All fields were understood.
    fn finish(self) -> anyhow::Result<()> {
        match self.fields.keys().next() {
            Some(field) => bail!("there is no field {field:?}"),
            None => Ok(()),
        }
    }
}

impl Store {
    /// Whether `kind` is one of these.
    pub(super) fn has_kind(kind: &str) -> bool {
        matches!(kind, "s3" | "azblob" | "gha")
    }

    pub(super) fn parse(kind: &str, given: Given<'_>, way: Way) -> anyhow::Result<Self> {
        match kind {
            "s3" => s3::parse(given, way),
            "azblob" => azure::parse(given, way),
            _ => gha::parse(given),
        }
    }

    /// Opens it; no request is sent yet. `None` where there is none to be had.
    pub(super) fn open(&self, web: WebOptions) -> Result<Option<Arc<dyn Objects>>, ObjectsError> {
        Ok(Some(match &self.kind {
            Kind::S3(options) => Arc::new(Bucket::s3(options, web)?),
            Kind::Azure(options) => Arc::new(Bucket::azure(options, web)?),
            Kind::Gha(options) => Arc::new(Gha::new(options, web)?),
            Kind::Absent => return Ok(None),
        }))
    }
}

fn attempts_for(way: Way, patient: usize) -> usize {
    match way {
        Way::From => READ_ATTEMPTS,
        Way::To => patient,
    }
}

/// What was typed, without what nobody is to see.
pub(super) fn shown(text: &str) -> String {
    let fields = text.split(',').map(|field| {
        let name = field.split('=').next().unwrap_or_default();
        let bare = name.trim().trim_start_matches('"').to_lowercase();
        if SECRET_FIELDS.contains(&bare.as_str()) {
            format!("{name}=…")
        } else {
            field.to_owned()
        }
    });
    fields.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
#[path = "stores/stores_tests.rs"]
mod tests;
