//! From a node's base to the state that its first instruction finds.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use rbuild_dockerfile::{Diagnostic, InstructionKind, Span, parse_onbuild};
use rbuild_image::{ImageConfig, Platform, Reference};

use crate::build::{Build, Prefix};
use crate::dispatch::POLICY_CODE;
use crate::draft::Draft;
use crate::lint::rules;
use crate::reach::{Base, Node, StageGraph};
use crate::report::Report;
use crate::stage::{StageState, Tree};
use crate::{
    CacheUse, ContextSource, ImageSource, Images, NamedContext, Operation, Plan, PlanError,
    PolicyError, ResolvedImage, Vertex, VertexId, config, near,
};

/// Images that were resolved for this plan.
pub(crate) struct Resolver<'i> {
    images: &'i dyn Images,
    known: HashMap<(String, Platform), Arc<ResolvedImage>>,
}

impl<'i> Resolver<'i> {
    pub(crate) fn new(images: &'i dyn Images) -> Self {
        Self {
            images,
            known: HashMap::new(),
        }
    }

    /// The ARGs that ONBUILDs of these images bring into the file.
    pub(crate) fn trigger_args(&self) -> Vec<String> {
        let configs = self.known.values().map(|image| &image.config.config);
        let triggers = configs.flat_map(|config| config.on_build.iter().flatten());
        let items = triggers.filter_map(|trigger| match parse_onbuild(trigger).ok()?.kind {
            InstructionKind::Arg(items) => Some(items),
            _ => None,
        });
        items.flatten().map(|item| item.name.value).collect()
    }

    pub(crate) fn resolve(
        &mut self,
        reference: &str,
        platform: &Platform,
        span: Span,
        graph: &StageGraph<'_>,
    ) -> Result<Arc<ResolvedImage>, PlanError> {
        let key = (reference.to_owned(), platform.clone());
        if let Some(known) = self.known.get(&key) {
            return Ok(Arc::clone(known));
        }
        match self.images.resolve(reference, platform) {
            Ok(image) => {
                self.known.insert(key, Arc::clone(&image));
                Ok(image)
            }
            Err(source) => Err(PlanError::Resolve {
                reference: reference.to_owned(),
                platform: Box::new(platform.clone()),
                span,
                suggestion: near::nearest(reference, graph.labels().chain(COMMON_IMAGES))
                    .map(str::to_owned),
                warnings: Vec::new(),
                source,
            }),
        }
    }
}

/// Names that people mistype.
const COMMON_IMAGES: [&str; 12] = [
    "alpine", "busybox", "centos", "debian", "fedora", "golang", "nginx", "node", "postgres",
    "python", "rust", "ubuntu",
];

/// The reference that a node's base is resolved by; `None` if it is no image.
pub(crate) fn image_reference(base: &Base) -> Option<String> {
    match base {
        Base::Image(reference) | Base::Context(_, NamedContext::Image(reference)) => {
            Some(reference.clone())
        }
        Base::Context(_, NamedContext::OciLayout(layout)) => Some(format!("oci-layout://{layout}")),
        _ => None,
    }
}

/// The image that a node starts from, resolved; `None` if its base is no image.
pub(crate) fn image(
    node: &Node<'_>,
    build: &Build<'_>,
    graph: &StageGraph<'_>,
    resolver: &mut Resolver<'_>,
) -> Result<Option<Arc<ResolvedImage>>, PlanError> {
    let Some(reference) = image_reference(&node.base) else {
        return Ok(None);
    };
    let platform = node.platform.as_ref().unwrap_or(&build.target);
    resolver
        .resolve(&reference, platform, node.span, graph)
        .map(Some)
}

/// The state that the instructions of `node` begin with; not for nodes on other stages.
pub(crate) fn start(
    node: &Node<'_>,
    build: &Build<'_>,
    graph: &StageGraph<'_>,
    resolver: &mut Resolver<'_>,
    plan: &mut Plan,
    report: &mut Report,
) -> Result<StageState, PlanError> {
    let platform = match &node.platform {
        Some(platform) => Arc::new(platform.clone()),
        None => Arc::clone(&build.target),
    };
    if let Some(image) = image(node, build, graph, resolver)? {
        return Ok(from_image(node, image, platform, build, plan, report));
    }
    let platform = match node.base {
        // An empty tree is for what is built, whatever --platform says.
        Base::Scratch => Arc::clone(&build.target),
        _ => platform,
    };
    let tree = match &node.base {
        Base::Context(name, kind) => match context_tree(name, kind, build, plan) {
            Ok(tree) => tree,
            Err(refusal) => {
                let refusal = refusal.to_string();
                report.push(Diagnostic::error(POLICY_CODE, refusal, node.span));
                Tree::Empty
            }
        },
        _ => Tree::Empty,
    };
    Ok(StageState::new(tree, Draft::empty(&platform), platform))
}

fn from_image(
    node: &Node<'_>,
    image: Arc<ResolvedImage>,
    wanted: Arc<Platform>,
    build: &Build<'_>,
    plan: &mut Plan,
    report: &mut Report,
) -> StageState {
    lint_platform(node, &image.config, &wanted, report);
    let config = Draft::of_image(Arc::clone(&image));
    let mut counter = 0;
    let tree = if image.config.rootfs.diff_ids.is_empty() {
        Tree::Empty
    } else {
        counter = 1;
        let vertex = Vertex {
            name: image_name(node, &image, &wanted, build),
            operation: Operation::Image(ImageSource { image }),
            platform: Arc::clone(&wanted),
            origin: Some(node.span),
            stage: Arc::clone(&node.label),
            cache_use: CacheUse::Allowed,
        };
        Tree::Layers(plan.add(vertex, &[]))
    };
    StageState {
        counter,
        ..StageState::new(tree, config, wanted)
    }
}

fn lint_platform(node: &Node<'_>, config: &ImageConfig, wanted: &Platform, report: &mut Report) {
    if !matches!(node.base, Base::Image(_)) {
        return;
    }
    let actual = config::platform_of(config);
    let wanted = wanted.normalized();
    if actual.os != wanted.os || actual.architecture != wanted.architecture {
        report.push(
            rules::base_image_platform(
                &node.base_text,
                &wanted.to_string(),
                &actual.to_string(),
                node.span,
            )
            .within(node.span),
        );
    }
}

/// `[build 1/5] FROM docker.io/library/debian:bookworm@sha256:…`
fn image_name(
    node: &Node<'_>,
    image: &ResolvedImage,
    platform: &Platform,
    build: &Build<'_>,
) -> String {
    let text = image_reference(&node.base).unwrap_or_default();
    let full = match text.parse::<Reference>() {
        Ok(reference) => reference.with_digest(image.manifest).to_string(),
        Err(_) => format!("{text}@{}", image.manifest),
    };
    let prefix = step_prefix(node, 1, build.prefix, &platform.to_string());
    format!("{prefix}FROM {full}")
}

/// `[linux/arm64 build 2/5] `; nothing for what is no stage.
pub(crate) fn step_prefix(node: &Node<'_>, step: usize, prefix: Prefix, platform: &str) -> String {
    if node.total == 0 {
        return String::new();
    }
    let mut text = String::from("[");
    if prefix == Prefix::Platform {
        text.extend([platform, " "]);
    }
    if !node.label.is_empty() {
        text.extend([&node.label, " "]);
    }
    let width = node.total.ilog10() as usize + 1;
    let _ = write!(text, "{step:>width$}/{}] ", node.total);
    text
}

fn context_tree(
    name: &str,
    kind: &NamedContext,
    build: &Build<'_>,
    plan: &mut Plan,
) -> Result<Tree, PolicyError> {
    let operation = match kind {
        NamedContext::Git(source) => Operation::Git(source.clone()),
        NamedContext::Http(source) => Operation::Http(source.clone()),
        _ => Operation::Context(ContextSource::Named(name.to_owned())),
    };
    let operation = build.options.policies.operation(operation)?;
    let is_directory = matches!(operation, Operation::Context(_));
    let id = add_internal(
        plan,
        build,
        operation,
        format!("[context {name}] load from client"),
    );
    Ok(if is_directory {
        Tree::Directory(id)
    } else {
        Tree::Layers(id)
    })
}

/// A vertex that no stage owns and that is the same for all platforms.
pub(crate) fn internal(build: &Build<'_>, operation: Operation, name: String) -> Vertex {
    Vertex {
        operation,
        platform: Arc::clone(&build.own_platform),
        name,
        origin: None,
        stage: Arc::default(),
        cache_use: CacheUse::Allowed,
    }
}

/// Adds such a vertex, which nothing in the Dockerfile names.
pub(crate) fn add_internal(
    plan: &mut Plan,
    build: &Build<'_>,
    operation: Operation,
    name: String,
) -> VertexId {
    plan.add(internal(build, operation, name), &[])
}
