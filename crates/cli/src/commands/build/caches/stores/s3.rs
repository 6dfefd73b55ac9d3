//! `type=s3`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rbuild_objects::{BucketStyle, S3Credentials, S3Options};

use super::aws_profile::Profile;
use super::{Given, Kind, Store, attempts_for};
use crate::commands::build::caches::spec::Way;
use crate::commands::build::outputs::boolean;

/// Objects that are written again and are older than this get a new date, unless `touch_refresh` says otherwise.
const TOUCH_REFRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// What `type=s3,…` says.
pub(super) fn parse(mut given: Given<'_>, way: Way) -> anyhow::Result<Store> {
    let profile = Profile::read(given.variable)?;
    let bucket = given.required("bucket", "AWS_BUCKET")?;
    let region = given
        .take_or("region", "AWS_REGION")
        .or_else(|| (given.variable)("AWS_DEFAULT_REGION"))
        .or_else(|| profile.region());
    let region = region.context("it needs a region=, or the variable AWS_REGION")?;
    let mut options = S3Options::new(bucket, region);
    options.endpoint_url = given.take_or("endpoint_url", "AWS_ENDPOINT_URL_S3");
    if let Some(text) = given.take("use_path_style")
        && boolean("use_path_style", &text)?
    {
        options.style = BucketStyle::Path;
    }
    options.prefix = given.take("prefix").unwrap_or_default();
    if let Some(prefix) = given.take("blobs_prefix") {
        options.blobs_prefix = prefix;
    }
    if let Some(prefix) = given.take("manifests_prefix") {
        options.manifests_prefix = prefix;
    }
    let refresh = given.duration("touch_refresh")?.unwrap_or(TOUCH_REFRESH);
    options.refresh_before = given.now.checked_sub(refresh);
    if let Some(number) = given.number("upload_parallelism")? {
        options.upload_parallelism = number;
    }
    let attempts = given.number("retry_max_attempts")?;
    options.attempts = attempts.unwrap_or(attempts_for(way, options.attempts));
    match given.take("retry_mode").as_deref() {
        None | Some("standard") => {}
        Some(other) => bail!("retry_mode={other} is not supported: it is standard"),
    }
    if let Some(text) = given.take("disable_accept_encoding") {
        // The header is never sent.
        boolean("disable_accept_encoding", &text)?;
    }
    options.credentials = credentials(&mut given, &profile)?;
    let names = given.names();
    given.finish()?;
    let kind = Kind::S3(Box::new(options));
    Ok(Store { kind, names })
}

/// In the order of AWS's own tools: what was typed, the environment, the profile, what the surroundings give out.
fn credentials(given: &mut Given<'_>, profile: &Profile) -> anyhow::Result<S3Credentials> {
    let token = given.take("session_token");
    match (given.take("access_key_id"), given.take("secret_access_key")) {
        (Some(id), Some(secret)) => return Ok(S3Credentials::Key { id, secret, token }),
        (None, None) => {}
        _ => bail!("access_key_id= and secret_access_key= belong together"),
    }
    if let Some(credentials) = from_environment(given.variable) {
        return Ok(credentials);
    }
    let profile = profile.credentials()?;
    Ok(profile.unwrap_or_else(|| from_surroundings(given.variable)))
}

fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Option<S3Credentials> {
    let key = || {
        Some(S3Credentials::Key {
            id: variable("AWS_ACCESS_KEY_ID")?,
            secret: variable("AWS_SECRET_ACCESS_KEY")?,
            token: variable("AWS_SESSION_TOKEN"),
        })
    };
    let web_identity = || {
        Some(S3Credentials::WebIdentity {
            token_file: PathBuf::from(variable("AWS_WEB_IDENTITY_TOKEN_FILE")?),
            role: variable("AWS_ROLE_ARN")?,
            session: variable("AWS_ROLE_SESSION_NAME"),
        })
    };
    key().or_else(web_identity)
}

/// What a container's or a cluster's host gives out, else the machine's metadata service.
fn from_surroundings(variable: &dyn Fn(&str) -> Option<String>) -> S3Credentials {
    let container = || {
        let path = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")?;
        Some(S3Credentials::Container { path })
    };
    let pod = || {
        Some(S3Credentials::Pod {
            url: variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")?,
            token_file: PathBuf::from(variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")?),
        })
    };
    let other = container().or_else(pod);
    other.unwrap_or(S3Credentials::Instance)
}
