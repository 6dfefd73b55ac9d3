//! `--cache-from` and `--cache-to`: caches that machines share.
//!
//! ```text
//! user/app:cache                                    short for type=registry,ref=user/app:cache
//! type=registry,ref=user/app:cache,mode=max         in a registry
//! type=local,src=DIR    type=local,dest=DIR         in a directory
//! type=s3,bucket=NAME    type=azblob,…    type=gha   in a store of objects
//!                       type=inline                 in the image itself, whose name is read then
//! ```

mod spec;
mod stores;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use rbuild_objects::Directory;
use rbuild_progress::{EventKind, Reporter};
use rbuild_remote::{
    Imports, MountExchange, ObjectPlace, Place, Publisher, RegistryPlace, RemoteError, Target, Way,
    send_mount,
};
use rbuild_store::{Store, StoreError};

use self::spec::{Mounts, Spec, Surroundings, Where};
use super::args::{Args, boolean};
use super::internal::InternalSteps;
use super::request::Request;
use crate::app::{App, Environment};
use crate::failure::chain;
use crate::render::bytes_decimal;

/// The build argument by which images get a cache inside, as with BuildKit.
const INLINE_ARGUMENT: &str = "BUILDKIT_INLINE_CACHE";

/// The caches that were asked for.
pub(super) struct Caches {
    from: Vec<Spec>,
    to: Vec<Spec>,
    /// Whether images tell what their steps made.
    inline: Inline,
}

/// Whether there is a cache inside images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inline {
    /// There is.
    Yes,
    /// There is none.
    No,
}

impl Caches {
    pub(super) fn new(
        args: &Args,
        build_args: &[(String, String)],
        environment: Environment,
    ) -> anyhow::Result<Self> {
        let surroundings = Surroundings {
            variable: &|name| environment.text(name),
            now: environment.now(),
        };
        let all = |texts: &[String], way| {
            let texts = texts.iter().filter(|text| !text.is_empty());
            texts
                .map(|text| Spec::parse(text, way, &surroundings))
                .collect()
        };
        let from: anyhow::Result<_> = all(&args.cache_from, spec::Way::From);
        let to: anyhow::Result<Vec<Spec>> = all(&args.cache_to, spec::Way::To);
        let (inside, to): (Vec<Spec>, Vec<Spec>) = to?
            .into_iter()
            .partition(|spec| matches!(spec.place, Where::Image));
        let mut given = build_args.iter().rev();
        let is_asked = match given.find(|(name, _)| name == INLINE_ARGUMENT) {
            Some((_, value)) => boolean(value).map_err(|reason| {
                anyhow!("invalid value {value:?} of {INLINE_ARGUMENT}: {reason}")
            })?,
            None => false,
        };
        let inline = if is_asked || !inside.is_empty() {
            Inline::Yes
        } else {
            Inline::No
        };
        Ok(Self {
            from: from?,
            to,
            inline,
        })
    }

    /// The directories that are written to.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        let written = self.to.iter().filter_map(|spec| match &spec.place {
            Where::Directory { path, .. } => Some(path.clone()),
            Where::Registry(_) | Where::Objects(_) | Where::Image => None,
        });
        written.collect()
    }

    /// The registries that are trusted, whoever they are.
    pub(super) fn trusted(&self) -> impl Iterator<Item = &str> {
        let all = self
            .from
            .iter()
            .chain(&self.to)
            .filter(|spec| spec.insecure);
        all.filter_map(|spec| match &spec.place {
            Where::Registry(name) => Some(name.registry()),
            Where::Directory { .. } | Where::Objects(_) | Where::Image => None,
        })
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.from.is_empty() && self.to.is_empty()
    }

    /// Whether images get a cache inside.
    pub(super) fn inline(&self) -> Inline {
        self.inline
    }
}

/// The caches of a build, in use.
pub(super) struct OpenedCaches {
    pub(super) imports: Arc<Imports>,
    pub(super) publisher: Option<Arc<Publisher>>,
    /// Where new cache mounts come from, and which the build used.
    pub(super) mounts: Arc<MountExchange>,
    /// What is written to, as it was typed, and whether a failure matters.
    targets: Vec<WrittenTo>,
}

/// A cache that is written to.
struct WrittenTo {
    /// As it was typed.
    text: String,
    title: String,
    failure: Failure,
    /// Where cache mounts are sent to, if they are.
    mounts: Option<Arc<dyn Place>>,
}

/// What a failure to write to a cache means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The build has failed.
    Counts,
    /// `ignore-error=true`: it is told.
    IsTold,
}

impl OpenedCaches {
    /// Begins to look into the caches, while the build is planned.
    pub(super) fn open(
        app: &App,
        request: &Request,
        reporter: &Reporter,
        steps: &Arc<InternalSteps>,
    ) -> anyhow::Result<Self> {
        let caches = &request.caches;
        let (mut places, mut with_mounts) = (Vec::new(), Vec::new());
        for spec in &caches.from {
            let Some(place) = place(app, spec, Way::Read)? else {
                leave_out(reporter, "--cache-from", spec);
                continue;
            };
            if spec.mounts == Mounts::Travel {
                with_mounts.push(Arc::clone(&place));
            }
            places.push(place);
        }
        let warnings = reporter.clone();
        let imports = Arc::new(Imports::new(places, move |message| {
            let about = None;
            warnings.send(EventKind::Warning { message, about });
        }));
        let warnings = reporter.clone();
        let mounts = MountExchange::new(with_mounts, move |message| {
            let about = None;
            warnings.send(EventKind::Warning { message, about });
        });
        for (position, place) in imports.places().enumerate() {
            let title = format!("importing cache manifest from {}", place.title());
            let (imports, steps) = (Arc::clone(&imports), Arc::clone(steps));
            std::thread::spawn(move || {
                steps.run(&title, |step| {
                    match imports.load(position) {
                        0 => {}
                        count => step.done(&format!("{count} steps are listed")),
                    }
                    Ok::<_, std::convert::Infallible>(())
                })
            });
        }
        let (mut targets, mut told) = (Vec::new(), Vec::new());
        for spec in &caches.to {
            let Some(place) = place(app, spec, Way::Write)? else {
                leave_out(reporter, "--cache-to", spec);
                continue;
            };
            told.push(WrittenTo {
                text: spec.text.clone(),
                title: place.title(),
                failure: if spec.ignore_error {
                    Failure::IsTold
                } else {
                    Failure::Counts
                },
                mounts: (spec.mounts == Mounts::Travel).then(|| Arc::clone(&place)),
            });
            targets.push(Target {
                place,
                mode: spec.mode,
                form: spec.form,
            });
        }
        let publisher = if targets.is_empty() && caches.inline == Inline::No {
            None
        } else {
            Some(Arc::new(Publisher::new(app.store()?, targets)))
        };
        Ok(Self {
            imports,
            publisher,
            mounts: Arc::new(mounts),
            targets: told,
        })
    }

    /// Waits until all is sent. The first failure that counts is the build's.
    pub(super) fn finish(
        &self,
        store: &Store,
        reporter: &Reporter,
        steps: &InternalSteps,
    ) -> anyhow::Result<()> {
        let Some(publisher) = &self.publisher else {
            return Ok(());
        };
        let mut failure = None;
        for (position, target) in self.targets.iter().enumerate() {
            let text = &target.text;
            let exported = steps.run(&format!("exporting cache to {}", target.title), |step| {
                publisher.close();
                let count = publisher.finish(position).map_err(|error| told(&error))?;
                step.done(&format!("{count} steps are in it"));
                Ok::<_, String>(())
            });
            let exported = exported.and_then(|()| match &target.mounts {
                Some(place) => self.send_mounts(store, place.as_ref(), reporter, steps),
                None => Ok(()),
            });
            let Err(reason) = exported else { continue };
            match target.failure {
                Failure::IsTold => reporter.send(EventKind::Warning {
                    message: format!("--cache-to {text}: {reason}"),
                    about: None,
                }),
                Failure::Counts => {
                    failure.get_or_insert_with(|| format!("--cache-to {text}: {reason}"));
                }
            }
        }
        match failure {
            Some(reason) => bail!(
                "{reason} (the build itself is done; with ignore-error=true this would be a warning)"
            ),
            None => Ok(()),
        }
    }
}

impl OpenedCaches {
    /// Sends the cache mounts that the build used, but for those that another build uses now.
    fn send_mounts(
        &self,
        store: &Store,
        place: &dyn Place,
        reporter: &Reporter,
        steps: &InternalSteps,
    ) -> Result<(), String> {
        let used = self.mounts.all_used();
        if used.is_empty() {
            return Ok(());
        }
        let here = store.cache_mounts().map_err(|error| chain(&error))?;
        let title = format!("exporting cache mounts to {}", place.title());
        steps.run(&title, |step| {
            for mount in here
                .iter()
                .filter(|mount| used.iter().any(|used| used.key == mount.key))
            {
                match send_mount(store, mount, place) {
                    Ok(sent) => step.done(&format!(
                        "{}: {} of {} chunks were new, {}",
                        mount.id,
                        sent.new,
                        sent.chunks,
                        bytes_decimal(sent.bytes)
                    )),
                    Err(RemoteError::Store(error @ StoreError::CacheMountInUse { .. })) => {
                        reporter.send(EventKind::Warning {
                            message: format!("cache mount {} is not sent: {error}", mount.id),
                            about: None,
                        });
                    }
                    Err(error) => return Err(told(&error)),
                }
            }
            Ok(())
        })
    }
}

fn told(error: &RemoteError) -> String {
    let hint = error.hint();
    let hint = hint.map_or_else(String::new, |hint| format!(" ({hint})"));
    format!("failed to {}{hint}", chain(error))
}

/// The place of a cache; `None` where there is none.
fn place(app: &App, spec: &Spec, way: Way) -> anyhow::Result<Option<Arc<dyn Place>>> {
    Ok(Some(match &spec.place {
        Where::Registry(name) => Arc::new(RegistryPlace::new(
            name,
            way,
            app.impatient_registry().clone(),
            app.registry().clone(),
        )),
        Where::Directory { path, tag } => {
            let objects = Arc::new(Directory::new(path));
            Arc::new(ObjectPlace::new(objects, &[tag])?)
        }
        Where::Objects(store) => {
            let Some(objects) = store.open(app.web()).with_context(|| spec.text.clone())? else {
                return Ok(None);
            };
            let names: Vec<&str> = store.names.iter().map(String::as_str).collect();
            Arc::new(ObjectPlace::new(objects, &names)?)
        }
        // Set aside when the flags were read.
        Where::Image => bail!("an image is no place of its own"),
    }))
}

/// As buildx does, so that what a workflow runs can be run anywhere.
fn leave_out(reporter: &Reporter, flag: &str, spec: &Spec) {
    reporter.send(EventKind::Warning {
        message: format!(
            "{flag} {}: this is no GitHub workflow (ACTIONS_RESULTS_URL and ACTIONS_RUNTIME_TOKEN are not set); the build goes on without it",
            spec.text
        ),
        about: None,
    });
}
