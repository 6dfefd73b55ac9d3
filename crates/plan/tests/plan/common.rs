//! A few base images, and short ways to plan a text.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rbuild_dockerfile::{Diagnostic, Severity, Source, parse};
use rbuild_image::{DiffId, Digest, HistoryEntry, ImageConfig, Platform};
use rbuild_plan::{
    Exec, FileAction, FileOperation, ImageOrigin, Images, Operation, Plan, PlanError, PlanOptions,
    Planned, ResolveError, ResolvedImage, VertexId, plan,
};

/// Images by reference; what is asked for is written down.
#[derive(Default)]
pub(crate) struct Shelf {
    configs: BTreeMap<String, ImageConfig>,
    asked: Mutex<Vec<(String, String)>>,
}

impl Shelf {
    /// `debian`, `alpine`, `golang` with a PATH; `bare` without.
    pub(crate) fn standard() -> Self {
        let mut shelf = Self::default();
        for name in ["debian", "alpine", "golang", "debian:bookworm"] {
            shelf.put(name, |config| {
                config.config.env = Some(vec!["PATH=/bin".to_owned()]);
                config.config.cmd = Some(vec!["sh".to_owned()]);
                config.history = vec![HistoryEntry {
                    created_by: "base".to_owned(),
                    ..HistoryEntry::default()
                }];
            });
        }
        shelf.put("bare", |_| {});
        shelf
    }

    pub(crate) fn put(&mut self, name: &str, edit: impl FnOnce(&mut ImageConfig)) {
        let mut config = ImageConfig {
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            created: Some("2020-01-01T00:00:00Z".to_owned()),
            ..ImageConfig::default()
        };
        config.rootfs.diff_ids = vec![DiffId(Digest::sha256_of(name.as_bytes()))];
        edit(&mut config);
        self.configs.insert(name.to_owned(), config);
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().expect("no test panics while it asks");
        asked.iter().map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn asked_platforms(&self) -> Vec<(String, String)> {
        self.asked
            .lock()
            .expect("no test panics while it asks")
            .clone()
    }
}

impl Images for Shelf {
    fn resolve(
        &self,
        reference: &str,
        platform: &Platform,
    ) -> Result<Arc<ResolvedImage>, ResolveError> {
        self.asked
            .lock()
            .expect("no test panics while it asks")
            .push((reference.to_owned(), platform.to_string()));
        let mut config = self
            .configs
            .get(reference)
            .cloned()
            .ok_or_else(|| ResolveError::new(format!("{reference}: not found")))?;
        if !reference.starts_with("fixed") {
            config.architecture.clone_from(&platform.architecture);
            config.variant.clone_from(&platform.variant);
        }
        Ok(Arc::new(ResolvedImage {
            origin: ImageOrigin::Registry(reference.to_owned()),
            manifest: Digest::sha256_of(format!("{reference} {platform}").as_bytes()),
            config,
            layers: Vec::new(),
        }))
    }
}

pub(crate) fn try_plan(
    text: &str,
    options: &PlanOptions,
    shelf: &Shelf,
) -> Result<Planned, PlanError> {
    let source = Source {
        name: "Dockerfile".to_owned(),
        text: text.to_owned(),
    };
    let parsed = parse(&source);
    let dockerfile = parsed
        .dockerfile
        .unwrap_or_else(|| panic!("does not parse: {:?}", parsed.diagnostics));
    plan(&source, &dockerfile, options, shelf)
}

pub(crate) fn planned_with(text: &str, options: &PlanOptions) -> Planned {
    try_plan(text, options, &Shelf::standard()).unwrap_or_else(|error| panic!("{error}: {error:?}"))
}

pub(crate) fn planned(text: &str) -> Planned {
    planned_with(text, &PlanOptions::default())
}

/// The mistakes of a text, as messages.
pub(crate) fn mistakes_with(text: &str, options: &PlanOptions) -> Vec<Diagnostic> {
    match try_plan(text, options, &Shelf::standard()) {
        Err(PlanError::Mistakes { diagnostics }) => diagnostics
            .into_iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .collect(),
        Err(error) => panic!("no mistake of the user: {error}"),
        Ok(_) => panic!("no mistake was found"),
    }
}

pub(crate) fn mistake(text: &str) -> String {
    mistakes_with(text, &PlanOptions::default())
        .first()
        .expect("an error says something")
        .message
        .clone()
}

/// The codes of the lints of a text.
pub(crate) fn lints(text: &str) -> Vec<&'static str> {
    let planned = planned(text);
    planned
        .warnings
        .iter()
        .map(|warning| warning.code)
        .collect()
}

pub(crate) fn config(planned: &Planned) -> &ImageConfig {
    &planned.plan.outputs[0].config
}

/// New history: text, and `-` for an empty layer.
pub(crate) fn history(planned: &Planned) -> Vec<String> {
    let output = &planned.plan.outputs[0];
    output.config.history[output.base_history..]
        .iter()
        .map(|entry| {
            assert_eq!(entry.comment, "buildkit.dockerfile.v0");
            let mark = if entry.empty_layer { "- " } else { "+ " };
            format!("{mark}{}", entry.created_by)
        })
        .collect()
}

pub(crate) fn names(plan: &Plan) -> Vec<String> {
    plan.vertices()
        .map(|id| strip_digest(&plan.vertex(id).name))
        .collect()
}

/// Without the digest of a FROM.
pub(crate) fn strip_digest(name: &str) -> String {
    name.split("@sha256:").next().unwrap_or(name).to_owned()
}

pub(crate) fn execs(plan: &Plan) -> Vec<&Exec> {
    plan.vertices()
        .filter_map(|id| match &plan.vertex(id).operation {
            Operation::Exec(exec) => Some(&**exec),
            _ => None,
        })
        .collect()
}

pub(crate) fn files(plan: &Plan) -> Vec<(VertexId, &FileOperation)> {
    plan.vertices()
        .filter_map(|id| match &plan.vertex(id).operation {
            Operation::File(file) => Some((id, file)),
            _ => None,
        })
        .collect()
}

/// All file actions in order.
pub(crate) fn actions(plan: &Plan) -> Vec<&FileAction> {
    files(plan)
        .into_iter()
        .flat_map(|(_, file)| &file.actions)
        .collect()
}

pub(crate) fn find(plan: &Plan, part: &str) -> VertexId {
    plan.vertices()
        .find(|&id| plan.vertex(id).name.contains(part))
        .unwrap_or_else(|| panic!("no vertex {part:?} in {:#?}", names(plan)))
}

pub(crate) fn platform(text: &str) -> Platform {
    text.parse().expect("a good platform")
}

pub(crate) fn args(pairs: &[(&str, &str)]) -> PlanOptions {
    PlanOptions {
        build_args: pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..PlanOptions::default()
    }
}

/// Shared texts, to be compared with plain ones.
pub(crate) fn words(shared: &[Arc<str>]) -> Vec<&str> {
    shared.iter().map(AsRef::as_ref).collect()
}
