//! Build args that mean something to the builder, and those that mean nothing to the file.

use std::collections::BTreeSet;

use rbuild_dockerfile::{Dockerfile, InstructionKind};

use crate::PlanOptions;
use crate::build::Build;
use crate::epoch;
use crate::near;
use crate::platform_args::is_proxy;
use crate::report::Report;

/// `SOURCE_DATE_EPOCH` as a number. What it is the time of has been asked before the plan is made, where that matters.
pub(crate) fn epoch(build: &Build<'_>, report: &mut Report) -> Option<i64> {
    let text = epoch::value(build)?;
    let seconds = text.parse().ok();
    if seconds.is_none()
        && let Err(mistake) = epoch::source(build)
    {
        report.push(mistake);
    }
    seconds
}

/// A build arg that no ARG declares and that means nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedBuildArg {
    /// Its name.
    pub name: String,
    /// The ARG that was probably meant.
    pub suggestion: Option<String>,
}

/// The build args that come to nothing: neither the file nor an ONBUILD of its bases declares them.
pub(crate) fn unused_build_args(
    dockerfile: &Dockerfile,
    options: &PlanOptions,
    trigger_args: &[String],
) -> Vec<UnusedBuildArg> {
    let mut declared: BTreeSet<&str> = trigger_args.iter().map(String::as_str).collect();
    let stages = dockerfile
        .stages
        .iter()
        .flat_map(|stage| &stage.instructions);
    for instruction in dockerfile.global_args.iter().chain(stages) {
        if let InstructionKind::Arg(items) = &instruction.kind {
            declared.extend(items.iter().map(|item| item.name.value.as_str()));
        }
    }
    let is_known = |name: &str| {
        declared.contains(name)
            || is_proxy(name)
            || name.starts_with("BUILDKIT_")
            || name.starts_with("TARGET")
            || [
                "BUILDPLATFORM",
                "BUILDOS",
                "BUILDOSVERSION",
                "BUILDARCH",
                "BUILDVARIANT",
            ]
            .contains(&name)
            || name == "SOURCE_DATE_EPOCH"
    };
    let given = options.build_args.iter().map(|(name, _)| name);
    let unknown: BTreeSet<&String> = given.filter(|name| !is_known(name)).collect();
    let unused = unknown.into_iter().map(|name| UnusedBuildArg {
        name: name.clone(),
        suggestion: near::nearest(name, declared.iter().copied()).map(str::to_owned),
    });
    unused.collect()
}
