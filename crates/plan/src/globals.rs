//! What FROM lines see: the platform args and the ARGs before the first FROM.

use std::collections::BTreeSet;

use rbuild_dockerfile::{
    ArgItem, Diagnostic, Dockerfile, Escape, ExpandError, Instruction, InstructionKind,
};
use rbuild_image::{Platform, Reference};

use crate::PlanOptions;
use crate::environment::Environment;
use crate::lint::rules;
use crate::outline::{GlobalArgs, OutlineArg, description};
use crate::platform_args::{BuildArgs, PLATFORM_ARGS, platform_args};
use crate::words;

/// What the values of global ARGs may take in all.
const MAX_GLOBAL_BYTES: usize = 8 << 20;

/// The file's global scope for one target platform.
#[derive(Debug)]
pub(crate) struct Globals {
    /// Values.
    pub(crate) env: Environment,
    /// Names that are declared, with or without a value.
    pub(crate) declared: BTreeSet<String>,
    /// The same for people to read.
    pub(crate) outline: GlobalArgs,
}

impl Globals {
    /// Evaluates the ARGs before the first FROM: a build arg, else the default, expanded with what is known so far.
    pub(crate) fn evaluate(
        dockerfile: &Dockerfile,
        options: &PlanOptions,
        target: &Platform,
        build_args: &BuildArgs,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut env = platform_args(
            &options.build_platform,
            target,
            &target_name(dockerfile, options),
            build_args,
        );
        let mut declared: BTreeSet<String> = env.names().map(str::to_owned).collect();
        let mut mistakes = Vec::new();
        let mut outline = GlobalArgs::default();
        let mut bytes = 0;
        for (instruction, item) in global_items(&dockerfile.global_args) {
            let name = &item.name.value;
            declared.insert(name.clone());
            let mut uses = Vec::new();
            let mut own = None;
            if let Some(value) = build_args.get(name) {
                own = Some(value.clone());
            } else if let Some(default) = &item.default {
                match words::expand(&default.value, dockerfile.directives.escape, &env) {
                    Ok(expanded) if bytes + expanded.text.len() <= MAX_GLOBAL_BYTES => {
                        bytes += expanded.text.len();
                        own = Some(expanded.text);
                        uses = expanded.used;
                    }
                    outcome => {
                        let reason = outcome.err().unwrap_or(ExpandError::TooLong);
                        let mistake = words::mistake(&reason, &default.value, default.span);
                        mistakes.push(mistake.within(instruction.span));
                        if reason == ExpandError::TooLong {
                            break;
                        }
                    }
                }
            }
            if let Some(value) = &own {
                env.set(name, value);
            }
            let arg = OutlineArg {
                name: name.clone(),
                description: description(&instruction.comments, name),
                value: own.unwrap_or_default(),
                span: instruction.span,
            };
            outline.insert(arg, uses);
        }
        if mistakes.is_empty() {
            Ok(Self {
                env,
                declared,
                outline,
            })
        } else {
            Err(mistakes)
        }
    }
}

fn global_items(instructions: &[Instruction]) -> impl Iterator<Item = (&Instruction, &ArgItem)> {
    instructions.iter().flat_map(|instruction| {
        let items = match &instruction.kind {
            InstructionKind::Arg(items) => items.as_slice(),
            _ => &[],
        };
        items.iter().map(move |item| (instruction, item))
    })
}

/// `--target`, else the last stage's name; empty if it has none.
fn target_name(dockerfile: &Dockerfile, options: &PlanOptions) -> String {
    options.target.clone().unwrap_or_else(|| {
        let last = dockerfile
            .stages
            .last()
            .and_then(|stage| stage.from.name.as_ref());
        last.map_or_else(String::new, |name| name.value.to_lowercase())
    })
}

/// Bases that only build args make good names (`InvalidDefaultArgInFrom`). Build args for platforms count all the same;
/// a base that cannot be expanded ends the search, as the error that it is will be told anyway.
pub(crate) fn lint_defaults(
    dockerfile: &Dockerfile,
    options: &PlanOptions,
    target: &Platform,
    build_args: &BuildArgs,
) -> Vec<Diagnostic> {
    let is_platform = |name: &str| PLATFORM_ARGS.contains(&name);
    let platforms: BuildArgs = build_args
        .iter()
        .filter(|(name, _)| is_platform(name) && !declares(dockerfile, name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let Ok(globals) = Globals::evaluate(dockerfile, options, target, &platforms) else {
        return Vec::new();
    };
    let escape: Escape = dockerfile.directives.escape;
    let mut found = Vec::new();
    for stage in &dockerfile.stages {
        let base = &stage.from.base;
        let Ok(expanded) = words::expand(&base.value, escape, &globals.env) else {
            break;
        };
        if expanded.text.parse::<Reference>().is_err() {
            let warning = rules::invalid_default_arg_in_from(&base.value, base.span);
            found.push(warning.within(stage.span));
        }
    }
    found
}

fn declares(dockerfile: &Dockerfile, name: &str) -> bool {
    global_items(&dockerfile.global_args).any(|(_, item)| item.name.value == name)
}
