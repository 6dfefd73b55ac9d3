//! Bills of materials: which trees beside the image's own are to be looked through, and the step that does it if we are not to.
//!
//! ```text
//! ARG BUILDKIT_SBOM_SCAN_CONTEXT=true   the build context as well
//! ARG BUILDKIT_SBOM_SCAN_STAGE=true     this stage as well; before the first FROM all stages, or those that it lists
//! ```
//!
//! A generator is an image that gets the trees below `/run/src` and writes statements to `/run/out` (BuildKit's SBOM scanning
//! protocol).

use std::sync::Arc;

use rbuild_dockerfile::{Diagnostic, Span};

use crate::bases::{Resolver, add_internal, internal};
use crate::build::Build;
use crate::dispatch::{POLICY_CODE, layer_of_directory, main_context};
use crate::reach::{Role, StageGraph, StageIndex};
use crate::stage::{StageState, Tree};
use crate::{
    Access, CacheUse, Environment, Exec, ExecMount, FileAction, FileOperation, ImageSource, Input,
    MountKind, NetworkMode, NoCache, Operation, Owner, Plan, PlanError, ResolvedImage,
    SecurityMode, Vertex, VertexId, config,
};

const CONTEXT: &str = "BUILDKIT_SBOM_SCAN_CONTEXT";
const STAGE: &str = "BUILDKIT_SBOM_SCAN_STAGE";
/// What the image itself is called, and what names of other trees begin with.
const CORE: &str = "sbom";
/// Where a generator finds the image.
const SOURCE: &str = "/run/src/core/sbom";
/// Where it finds the other trees.
const EXTRAS: &str = "/run/src/extras";
/// Where it writes.
pub const SCAN_DESTINATION: &str = "/run/out";

/// Who looks for packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scan {
    /// Nobody.
    #[default]
    None,
    /// Whoever builds: the plan only has what is looked through.
    Trees,
    /// An image.
    Generator {
        /// Its name.
        image: String,
        /// What it is told as `BUILDKIT_SCAN_<NAME>`.
        parameters: Vec<(String, String)>,
    },
}

/// What is looked through for one image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageScan {
    /// Trees beside the image's own.
    pub trees: Vec<ScannedTree>,
    /// The generator's step: below [`SCAN_DESTINATION`] its layer has what was found.
    pub generated: Option<VertexId>,
}

/// A tree beside the image's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedTree {
    /// `sbom-context`, or `sbom-` and the name of a stage.
    pub name: String,
    /// Its layers.
    pub root: VertexId,
}

/// The trees that ARGs ask for beside that of `root`.
pub(crate) fn trees(
    build: &Build<'_>,
    plan: &mut Plan,
    graph: &StageGraph<'_>,
    root: StageIndex,
    done: &[Option<StageState>],
) -> Result<Vec<ScannedTree>, Diagnostic> {
    let mut found = Vec::new();
    let argument = |index: StageIndex, name: &str| {
        let state = done[index].as_ref()?;
        let own = state.args.get(name);
        own.or_else(|| build.globals.env.get(name))
            .map(str::to_owned)
    };
    let wants_context = argument(root, CONTEXT);
    if wants_context.is_some_and(|value| is_on(&value, None))
        && let Some((operation, name)) = main_context(build.options)
    {
        let allowed = build.options.policies.operation(operation);
        let operation = allowed.map_err(|refusal| {
            Diagnostic::error(POLICY_CODE, refusal.to_string(), Span::default())
        })?;
        let is_directory = matches!(operation, Operation::Context(_));
        let mut tree = add_internal(plan, build, operation, name);
        if is_directory {
            tree = layer_of_directory(plan, tree, &build.own_platform);
        }
        found.push(ScannedTree {
            name: format!("{CORE}-context"),
            root: tree,
        });
    }
    for index in graph.reachable(root) {
        let node = &graph.nodes[index];
        let name = node.name.clone().unwrap_or_else(|| node.label.to_string());
        let wanted = argument(index, STAGE).is_some_and(|value| is_on(&value, Some(&name)));
        if index == root || node.role != Role::Stage || !wanted {
            continue;
        }
        let tree = match done[index].as_ref().map(|state| state.tree) {
            Some(Tree::Layers(id)) => id,
            Some(Tree::Directory(id)) => layer_of_directory(plan, id, &build.target),
            Some(Tree::Empty) | None => continue,
        };
        found.push(ScannedTree {
            name: format!("{CORE}-{name}"),
            root: tree,
        });
    }
    Ok(found)
}

/// Whether an ARG's value is for the stage `name`: a boolean, or a list of stages.
fn is_on(value: &str, name: Option<&str>) -> bool {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
        "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
        list => name.is_some_and(|name| {
            let mut listed = list.split(',').map(str::trim);
            listed.any(|one| one.eq_ignore_ascii_case(name))
        }),
    }
}

/// The step that looks through `core` and `extras`, if an image is to.
pub(crate) fn generator(
    build: &Build<'_>,
    plan: &mut Plan,
    resolver: &mut Resolver<'_>,
    graph: &StageGraph<'_>,
    core: Option<VertexId>,
    extras: &[ScannedTree],
) -> Result<Option<VertexId>, PlanError> {
    let Scan::Generator { image, parameters } = &build.options.scan else {
        return Ok(None);
    };
    let found = resolver.resolve(image, &build.own_platform, Span::default(), graph)?;
    let Some(args) = command(&found) else {
        let message = format!("--sbom: the generator {image} has neither ENTRYPOINT nor CMD");
        let mistake = Diagnostic::error("sbom-generator", message, Span::default());
        return Err(PlanError::Mistakes {
            diagnostics: vec![mistake],
        });
    };
    let core = core.unwrap_or_else(|| {
        let name = "[internal] empty file system".to_owned();
        add_internal(plan, build, Operation::Merge, name)
    });
    let mut inputs = vec![destination(build, plan, image, &found), core];
    inputs.extend(extras.iter().map(|tree| tree.root));
    let variables = variables(&found, parameters, extras);
    let directory = match found.config.config.working_dir.as_str() {
        "" => "/",
        given => given,
    };
    let exec = Exec {
        args,
        env: variables,
        proxy_env: build.proxy_env.clone(),
        cwd: directory.into(),
        user: "".into(),
        mounts: mounts(extras),
        network: NetworkMode::Default,
        security: SecurityMode::Sandbox,
        devices: Vec::new(),
        hostname: Arc::clone(&build.hostname),
        extra_hosts: build.options.extra_hosts.clone(),
        shm_size: None,
        ulimits: Vec::new(),
    };
    let name = format!("[{}] generating sbom using {image}", build.target);
    let vertex = Vertex {
        cache_use: match build.options.no_cache {
            NoCache::All => CacheUse::Refused,
            NoCache::None | NoCache::Stages(_) => CacheUse::Allowed,
        },
        ..internal(build, Operation::Exec(Box::new(exec)), name)
    };
    Ok(Some(plan.add(vertex, &inputs)))
}

/// ENTRYPOINT and CMD.
fn command(image: &ResolvedImage) -> Option<Vec<Arc<str>>> {
    let config = &image.config.config;
    let words = config.entrypoint.iter().chain(&config.cmd).flatten();
    let words: Vec<Arc<str>> = words.map(|word| word.as_str().into()).collect();
    (!words.is_empty()).then_some(words)
}

/// The image with a directory to write to.
fn destination(
    build: &Build<'_>,
    plan: &mut Plan,
    name: &str,
    image: &Arc<ResolvedImage>,
) -> VertexId {
    let source = ImageSource {
        image: Arc::clone(image),
    };
    let from = add_internal(
        plan,
        build,
        Operation::Image(source),
        format!("[internal] FROM {name}@{}", image.manifest),
    );
    let directory = FileOperation {
        base: Some(Input(0)),
        actions: vec![FileAction::MakeDirectory {
            path: SCAN_DESTINATION.to_owned(),
            mode: 0o755,
            owner: Owner::Ids { uid: 0, gid: 0 },
        }],
    };
    let title = format!("[internal] a place for what {name} finds");
    plan.add(internal(build, Operation::File(directory), title), &[from])
}

fn variables(
    image: &ResolvedImage,
    parameters: &[(String, String)],
    extras: &[ScannedTree],
) -> Environment {
    let own = image.config.config.env.as_deref().unwrap_or_default();
    let mut variables: Environment = own.iter().collect();
    if !variables.defines("PATH") {
        variables.set("PATH", config::DEFAULT_PATH);
    }
    variables.set("BUILDKIT_SCAN_DESTINATION", SCAN_DESTINATION);
    variables.set("BUILDKIT_SCAN_SOURCE", SOURCE);
    if !extras.is_empty() {
        variables.set("BUILDKIT_SCAN_SOURCE_EXTRAS", EXTRAS);
    }
    for (name, value) in parameters {
        variables.set(&format!("BUILDKIT_SCAN_{name}"), value);
    }
    variables
}

fn mounts(extras: &[ScannedTree]) -> Vec<ExecMount> {
    let tree = |target: String, slot: usize| ExecMount {
        target,
        kind: MountKind::Bind {
            from: Input(slot as u32),
            source: "/".to_owned(),
            access: Access::ReadOnly,
        },
    };
    let temporary = ExecMount {
        target: "/tmp".to_owned(),
        kind: MountKind::Tmpfs { size: None },
    };
    let extras = extras.iter().enumerate();
    let extras = extras.map(|(at, extra)| tree(format!("{EXTRAS}/{}", extra.name), at + 2));
    [temporary, tree(SOURCE.to_owned(), 1)]
        .into_iter()
        .chain(extras)
        .collect()
}
