//! Contexts, git checkouts and files from the web: trees that no step makes.

use std::ops::ControlFlow;
use std::sync::Arc;

use rbuild_cache::Preimage;
use rbuild_image::Digest;
use rbuild_layer::TreeWriter;
use rbuild_plan::{
    self as plan, ContextSource, GitDirectory, GitSource, HttpSource, Needed, Plan, Submodules,
    VertexId,
};
use rbuild_progress::{EventKind, StatusState};
use rbuild_source::{
    Authorization, ContextTree, GitFiles, GitTimes, GitUrl, HttpRequest, SourceError,
    SubmodulePolicy,
};
use rbuild_store::RootAttributes;
use rbuild_sys::OverlayFlavor;

use crate::build::Secrets;
use crate::error::{StepError, with_causes};
use crate::report::{event_vertex, now_started};
use crate::sources::{MovingSource, Pin};
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
    let stat_cache = step.build.store.context_cache_path(context.path());
    let tree: ContextTree = context.walk(&needed(plan, step.id), Some(&stat_cache))?;
    Ok(crate::tree::Tree::Context(source.clone(), Arc::new(tree)))
}

/// What `plan` reads of a context.
pub(crate) fn needed(plan: &Plan, context: VertexId) -> rbuild_source::Needed {
    match plan.context_paths(context) {
        Needed::All => rbuild_source::Needed::All,
        Needed::Paths(paths) => {
            rbuild_source::Needed::Paths(paths.into_iter().map(String::into_bytes).collect())
        }
    }
}

/// A git checkout as one layer, keyed by its commit: wherever it came from.
pub(crate) fn git(step: &Step<'_>, source: &GitSource) -> Result<Found, StepError> {
    now_started(&step.build.reporter, step.id);
    let moving = MovingSource::of_repository(source);
    let locked = step.build.sources.commit(moving.as_ref())?;
    let url = GitUrl {
        reference: locked.clone().or_else(|| source.reference.clone()),
        ..git_url(source)
    };
    let authorization = git_authorization(&step.build.secrets, &source.url);
    let client = step.build.git.clone();
    let same = client.clone();
    let _stopped = step.build.cancel.on_cancel(move || same.stop());
    // A commit that the checksum names is the same wherever it is: who has it need not ask.
    let pinned = client.pinned(&url);
    let commit = match &pinned {
        Some(commit) => commit.clone(),
        None => client.resolve(&url, &authorization)?,
    };
    let sha = commit.sha.clone();
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
    // A repository says where it came from; the files of a commit do not.
    if source.git_directory == GitDirectory::Kept && source.subdirectory.is_none() {
        preimage.push("remote", url.display_remote());
    }
    let keys = Keys {
        key: preimage.key(),
        preimage,
        fast: None,
    };
    let found = step.find_or_make(&keys, &Stack::default(), || {
        let draft = step.build.store.draft(&RootAttributes::default())?;
        let commit = match pinned {
            Some(_) => client.resolve(&url, &authorization)?,
            None => commit,
        };
        let checkout = client
            .checkout(&url, &commit, &draft.diff_path(), &authorization)
            .map_err(|error| match &locked {
                Some(pin) if matches!(error, SourceError::GitReference { .. }) => {
                    StepError::Moved {
                        name: source.url.clone(),
                        pin: pin.clone(),
                        reason: format!("failed to {}", with_causes(&error)),
                    }
                }
                _ => error.into(),
            })?;
        step.commit(draft, checkout.index)
    })?;
    step.build.sources.note(step.id, moving, Pin::Commit(sha));
    Ok(found)
}

/// What is fetched for `source`.
pub fn git_url(source: &GitSource) -> GitUrl {
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
    let moving = MovingSource::of_file(source);
    let locked = step.build.sources.file(moving.as_ref())?;
    let request = HttpRequest {
        url: &source.url,
        checksum: source.checksum.or(locked),
        authorization: http_authorization(&step.build.secrets, &source.url),
    };
    let file = step.build.http.fetch(&request, &|current, total| {
        step.build.reporter.send(EventKind::Status {
            vertex: event_vertex(step.id),
            id: source.file_name.clone(),
            current,
            total,
            state: StatusState::Running,
        });
        if step.build.cancel.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let file = file.map_err(|error| moved(error, locked))?;
    step.build
        .sources
        .note(step.id, moving, Pin::File(file.digest()));
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

/// A file that has another digest than the lock file says, if it was the lock file that said so.
fn moved(error: SourceError, locked: Option<Digest>) -> StepError {
    match error {
        SourceError::Checksum {
            url,
            expected,
            found,
        } if locked.is_some() => StepError::Moved {
            name: url,
            pin: expected,
            reason: format!("the server has {found}"),
        },
        error => error.into(),
    }
}

/// What the secrets say to a git remote: `GIT_AUTH_HEADER.<host>`, `GIT_AUTH_TOKEN.<host>`, or those without a host.
pub fn git_authorization(secrets: &Secrets, remote: &str) -> Authorization {
    let host = host(remote);
    let text = |name: &str| Some(secrets.get(name)?.text());
    text(&format!("GIT_AUTH_HEADER.{host}"))
        .map(Authorization::Header)
        .or_else(|| text(&format!("GIT_AUTH_TOKEN.{host}")).map(Authorization::Token))
        .or_else(|| text("GIT_AUTH_HEADER").map(Authorization::Header))
        .or_else(|| text("GIT_AUTH_TOKEN").map(Authorization::Token))
        .unwrap_or_default()
}

/// What the secrets `HTTP_AUTH_TOKEN_<host>` and `HTTP_AUTH_HEADER_<host>` say to a web server; the host is without its port.
pub fn http_authorization(secrets: &Secrets, url: &str) -> Authorization {
    let host = host(url);
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let text = |kind: &str| Some(secrets.get(&format!("HTTP_AUTH_{kind}_{name}"))?.text());
    text("TOKEN")
        .map(Authorization::Token)
        .or_else(|| text("HEADER").map(Authorization::Header))
        .unwrap_or_default()
}

/// The host of an address, with its port.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    fn secrets(pairs: &[(&str, &str)]) -> Secrets {
        let pairs = pairs.iter();
        pairs
            .map(|(name, text)| ((*name).to_owned(), Secret::new(text.as_bytes())))
            .collect()
    }

    fn token(text: &str) -> Authorization {
        Authorization::Token(text.to_owned())
    }

    fn header(text: &str) -> Authorization {
        Authorization::Header(text.to_owned())
    }

    #[test]
    fn a_secret_for_the_host_goes_before_one_for_all_remotes() {
        let known = secrets(&[
            ("GIT_AUTH_TOKEN", "all"),
            ("GIT_AUTH_HEADER", "all header"),
            ("GIT_AUTH_TOKEN.h:8080", "one"),
        ]);
        let to = |remote: &str| git_authorization(&known, remote);
        assert_eq!(to("https://me@h:8080/x.git"), token("one"));
        assert_eq!(to("https://h/x.git"), header("all header"));
        assert_eq!(
            git_authorization(&secrets(&[]), "https://h/x.git"),
            Authorization::None
        );
    }

    #[test]
    fn web_servers_get_only_what_is_meant_for_them() {
        let known = secrets(&[
            ("HTTP_AUTH_TOKEN_h", "t"),
            ("HTTP_AUTH_HEADER_k", "Basic x"),
            ("HTTP_AUTH_TOKEN", "nobody's"),
        ]);
        let to = |url: &str| http_authorization(&known, url);
        assert_eq!(to("http://h:8080/f?x=@k"), token("t"));
        assert_eq!(to("https://k/f"), header("Basic x"));
        assert_eq!(to("https://other/f"), Authorization::None);
    }
}
