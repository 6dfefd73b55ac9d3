//! Contexts, git checkouts and files from the web: trees that no step makes.

use std::collections::BTreeMap;
use std::sync::Arc;

use rbuild_cache::Preimage;
use rbuild_layer::TreeWriter;
use rbuild_plan::{
    self as plan, ContextSource, GitDirectory, GitSource, HttpSource, Needed, Plan, Submodules,
};
use rbuild_progress::{EventKind, StatusState};
use rbuild_source::{
    Authorization, ContextTree, GitFiles, GitTimes, GitUrl, HttpRequest, SubmodulePolicy,
};
use rbuild_store::RootAttributes;
use rbuild_sys::OverlayFlavor;

use crate::build::Secret;
use crate::error::StepError;
use crate::report::{event_vertex, now_started};
use crate::step::{Found, Keys, Step};
use crate::tree::Stack;

/// The part of a local directory that `plan` reads.
pub(crate) fn walk_context(
    step: &Step<'_>,
    plan: &Plan,
    source: &ContextSource,
) -> Result<crate::tree::Tree, StepError> {
    let context = step
        .build
        .contexts
        .get(source)
        .ok_or_else(|| StepError::NoContext(format!("{source:?}")))?;
    let needed = match plan.context_paths(step.id) {
        Needed::All => rbuild_source::Needed::All,
        Needed::Paths(paths) => {
            rbuild_source::Needed::Paths(paths.into_iter().map(String::into_bytes).collect())
        }
    };
    let stat_cache = step.build.store.context_cache_path(context.path());
    let tree: ContextTree = context.walk(&needed, Some(&stat_cache))?;
    Ok(crate::tree::Tree::Context(source.clone(), Arc::new(tree)))
}

/// A git checkout as one layer, keyed by its commit: wherever it came from.
pub(crate) fn git(step: &Step<'_>, source: &GitSource) -> Result<Found, StepError> {
    now_started(&step.build.reporter, step.id);
    let url = git_url(source);
    let authorization = authorization(&step.build.secrets, &source.url, "GIT_AUTH");
    let client = &step.build.git;
    let commit = client.resolve(&url, &authorization)?;
    let mut preimage = Preimage::new("git");
    preimage.push("commit", &commit.sha);
    preimage.push("subdirectory", source.subdirectory.as_deref().unwrap_or(""));
    preimage.push(
        "git directory",
        match source.git_directory {
            GitDirectory::Dropped => "dropped",
            GitDirectory::Kept => "kept",
        },
    );
    preimage.push(
        "submodules",
        match source.submodules {
            Submodules::Fetched => "fetched",
            Submodules::Skipped => "skipped",
        },
    );
    preimage.push(
        "times",
        match source.times {
            plan::GitTimes::Checkout => "checkout",
            plan::GitTimes::Commit => "commit",
        },
    );
    let keys = Keys {
        key: preimage.key(),
        preimage,
        fast: None,
    };
    step.find_or_make(&keys, &Stack::default(), || {
        let draft = step.build.store.draft(&RootAttributes::default())?;
        let checkout = client.checkout(&url, &commit, &draft.diff_path(), &authorization)?;
        step.commit(draft, checkout.index)
    })
}

pub(crate) fn git_url(source: &GitSource) -> GitUrl {
    GitUrl {
        remote: source.url.clone(),
        reference: source.reference.clone(),
        subdirectory: source.subdirectory.clone(),
        checksum: source.checksum.clone(),
        files: Some(match source.git_directory {
            GitDirectory::Dropped => GitFiles::Worktree,
            GitDirectory::Kept => GitFiles::Repository,
        }),
        submodules: Some(match source.submodules {
            Submodules::Fetched => SubmodulePolicy::Fetch,
            Submodules::Skipped => SubmodulePolicy::Skip,
        }),
        times: match source.times {
            rbuild_plan::GitTimes::Checkout => GitTimes::Checkout,
            rbuild_plan::GitTimes::Commit => GitTimes::Commit,
        },
    }
}

/// A file from the web as one layer, keyed by its bytes, name and time.
pub(crate) fn http(step: &Step<'_>, source: &HttpSource) -> Result<Found, StepError> {
    now_started(&step.build.reporter, step.id);
    let request = HttpRequest {
        url: &source.url,
        checksum: source.checksum,
        authorization: authorization(&step.build.secrets, &source.url, "HTTP_AUTH"),
    };
    let file = step.build.http.fetch(&request, &|current, total| {
        step.build.reporter.send(EventKind::Status {
            vertex: event_vertex(step.id),
            id: source.file_name.clone(),
            current,
            total,
            state: StatusState::Running,
        });
    })?;
    let mut preimage = Preimage::new("http");
    preimage.push("content", file.digest().to_string());
    preimage.push("name", &source.file_name);
    preimage.push("time", file.mtime().seconds.to_string());
    let keys = Keys {
        key: preimage.key(),
        preimage,
        fast: None,
    };
    step.find_or_make(&keys, &Stack::default(), || {
        let draft = step.build.store.draft(&RootAttributes::default())?;
        let writer = TreeWriter::new(draft.open_diff()?, OverlayFlavor::detect())?;
        file.write_to(&writer, source.file_name.as_bytes())?;
        step.commit(draft, writer.finish()?)
    })
}

/// What the secrets `<prefix>_TOKEN[.host]` and `<prefix>_HEADER[.host]` say for the host of `url`.
pub(crate) fn authorization(
    secrets: &BTreeMap<String, Secret>,
    url: &str,
    prefix: &str,
) -> Authorization {
    let host = url
        .split("://")
        .nth(1)
        .unwrap_or(url)
        .split(['/', '?', '#'])
        .next()
        .unwrap_or("");
    let host = host.rsplit('@').next().unwrap_or(host);
    let separator = if prefix == "GIT_AUTH" { '.' } else { '_' };
    let secret = |kind: &str| {
        let specific = format!("{prefix}_{kind}{separator}{host}");
        let general = format!("{prefix}_{kind}");
        let found = secrets.get(&specific).or_else(|| secrets.get(&general))?;
        Some(String::from_utf8_lossy(found.bytes()).into_owned())
    };
    match (secret("HEADER"), secret("TOKEN")) {
        (Some(header), _) => Authorization::Header(header),
        (None, Some(token)) => Authorization::Token(token),
        (None, None) => Authorization::None,
    }
}
