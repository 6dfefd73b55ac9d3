//! `type=gha`.

use std::time::{Duration, SystemTime};

use anyhow::bail;
use rbuild_objects::GhaOptions;

use super::{DEFAULT_NAME, Given, Kind, Store};

/// How long a busy Actions cache is asked again, unless `timeout` says otherwise.
const GHA_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// What `type=gha,…` says.
pub(super) fn parse(mut given: Given<'_>) -> anyhow::Result<Store> {
    let scope = given.take("scope");
    let scope = scope.unwrap_or_else(|| DEFAULT_NAME.to_owned());
    let url = given.take_or("url_v2", "ACTIONS_RESULTS_URL");
    // That of version 1, which is no more.
    given.take("url");
    let token = given.take_or("token", "ACTIONS_RUNTIME_TOKEN");
    if let Some(version) = given.take("version").filter(|version| version != "2") {
        bail!("version={version} is not supported: GitHub has version 2");
    }
    let timeout = given.duration("timeout")?.unwrap_or(GHA_TIMEOUT);
    // For asking GitHub's API what is there: the cache itself is asked.
    given.take("repository");
    given.take("ghtoken");
    let since = given.now.duration_since(SystemTime::UNIX_EPOCH);
    let nanoseconds = since.map_or(0, |since| since.as_nanos());
    let writer = format!("{nanoseconds:x}-{:x}", std::process::id());
    given.finish()?;
    let kind = match (url, token) {
        (Some(url), Some(token)) => Kind::Gha(GhaOptions {
            url,
            token,
            scope,
            timeout,
            writer,
        }),
        _ => Kind::Absent,
    };
    let names = vec![DEFAULT_NAME.to_owned()];
    Ok(Store { kind, names })
}
