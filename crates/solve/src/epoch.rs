//! The time of something remote, for `SOURCE_DATE_EPOCH`.

use std::ops::ControlFlow;
use std::time::{SystemTime, UNIX_EPOCH};

use rbuild_plan::{GitSource, HttpSource};
use rbuild_source::{Archive, GitClient, HttpClient, HttpRequest};

use crate::build::Secrets;
use crate::error::StepError;
use crate::remote::{git_authorization, git_url, http_authorization};

/// When the commit was made, in seconds after 1970.
pub fn git_time(
    client: &GitClient,
    source: &GitSource,
    secrets: &Secrets,
) -> Result<i64, StepError> {
    let authorization = git_authorization(secrets, &source.url);
    Ok(client.time(&git_url(source), &authorization)?)
}

/// When a file from the web was changed, in seconds after 1970: what its server says, else the time of the newest file in
/// it, if it is an archive.
pub fn http_time(
    client: &HttpClient,
    source: &HttpSource,
    secrets: &Secrets,
) -> Result<Option<i64>, StepError> {
    let request = HttpRequest {
        url: &source.url,
        checksum: source.checksum,
        authorization: http_authorization(secrets, &source.url),
    };
    let file = client.fetch(&request, &|_, _| ControlFlow::Continue(()))?;
    if let Some(modified) = file.last_modified() {
        return Ok(Some(seconds(modified)));
    }
    match Archive::detect(file.file(), &file.name())? {
        Some(archive) => Ok(archive.newest_file()?),
        None => Ok(None),
    }
}

fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs() as i64,
        Err(before) => -(before.duration().as_secs() as i64),
    }
}
