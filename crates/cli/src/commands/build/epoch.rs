//! `SOURCE_DATE_EPOCH` as a number, where it names what it is the time of.

use rbuild_dockerfile::Dockerfile;
use rbuild_plan::{
    EpochSource, HttpSource, NamedContext, PlanOptions, SOURCE_DATE_EPOCH, epoch_source,
    parse_git_context,
};
use rbuild_solve::{git_time, http_time, with_causes};

use super::internal::InternalSteps;
use super::request::Request;
use crate::app::App;

/// Puts the number into the build args: steps that declare the ARG see it, too. What has no time leaves no epoch.
pub(super) fn resolve(
    app: &App,
    request: &Request,
    dockerfile: &Dockerfile,
    options: &mut PlanOptions,
    steps: &InternalSteps,
) -> anyhow::Result<()> {
    let Some(source) = epoch_source(dockerfile, options) else {
        return Ok(());
    };
    let source = match source {
        EpochSource::MainContext => main_context(&request.context)?,
        other => Some(other),
    };
    let time = steps.run(
        &format!("[internal] resolve {SOURCE_DATE_EPOCH}"),
        |_| match source {
            Some(source) => time(app, request, source),
            None => Ok(None),
        },
    )?;
    let text = time.map_or_else(String::new, |seconds| seconds.to_string());
    options
        .build_args
        .push((SOURCE_DATE_EPOCH.to_owned(), text));
    Ok(())
}

/// What the build context is the time of; a directory has none.
fn main_context(context: &str) -> anyhow::Result<Option<EpochSource>> {
    if let Some(git) = parse_git_context(context)? {
        return Ok(Some(EpochSource::Git(git.source)));
    }
    let is_web = context.starts_with("http://") || context.starts_with("https://");
    Ok(is_web.then(|| {
        EpochSource::Http(HttpSource {
            url: context.to_owned(),
            checksum: None,
            file_name: "context".to_owned(),
        })
    }))
}

fn time(app: &App, request: &Request, source: EpochSource) -> anyhow::Result<Option<i64>> {
    let time = match source {
        EpochSource::Git(git) | EpochSource::Context(NamedContext::Git(git)) => git_time(
            &app.git(request.ssh.get("default").cloned())?,
            &git,
            &request.secrets,
        )
        .map(Some),
        EpochSource::Http(http) | EpochSource::Context(NamedContext::Http(http)) => {
            http_time(&app.http()?, &http, &request.secrets)
        }
        EpochSource::MainContext | EpochSource::Context(_) => Ok(None),
    };
    time.map_err(|error| anyhow::anyhow!("failed to {}", with_causes(&error)))
}
