//! The ARGs that exist without being given: platforms and the target's name.

use std::collections::HashMap;

use rbuild_image::Platform;

use crate::environment::Environment;

/// Build args by name; of equal names the last given counts.
pub(crate) type BuildArgs = HashMap<String, String>;

/// Their names.
pub(crate) const PLATFORM_ARGS: [&str; 11] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETSTAGE",
];

/// `BUILDPLATFORM`, `TARGETARCH` and the like, as a stage sees them once it declares them.
pub(crate) fn platform_args(
    build: &Platform,
    target: &Platform,
    target_stage: &str,
    build_args: &BuildArgs,
) -> Environment {
    let stage = if target_stage.is_empty() {
        "default"
    } else {
        target_stage
    };
    let (build_name, target_name) = (build.to_string(), target.to_string());
    let values = [
        build_name.as_str(),
        &build.os,
        &build.os_version,
        &build.architecture,
        &build.variant,
        &target_name,
        &target.os,
        &target.os_version,
        &target.architecture,
        &target.variant,
        stage,
    ];
    let mut env = Environment::default();
    for (name, value) in PLATFORM_ARGS.into_iter().zip(values) {
        let value = build_args.get(name).map_or(value, String::as_str);
        env.set(name, value);
    }
    env
}

/// Names of proxy variables, in both cases once given.
const PROXY_NAMES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// Whether `name` is a proxy variable, which needs no ARG.
pub(crate) fn is_proxy(name: &str) -> bool {
    PROXY_NAMES
        .iter()
        .any(|proxy| proxy.eq_ignore_ascii_case(name))
}

/// The proxy variables that build args bring into every RUN: both cases of each, values that are not empty.
pub(crate) fn proxy_env(build_args: &BuildArgs) -> Vec<String> {
    let mut env = Vec::new();
    for name in PROXY_NAMES {
        // The lower case is sorted last, so it wins.
        let mut given: Vec<_> = build_args
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .collect();
        given.sort();
        if let Some((_, value)) = given.last()
            && !value.is_empty()
        {
            env.push(format!("{name}={value}"));
            env.push(format!("{}={value}", name.to_ascii_lowercase()));
        }
    }
    env
}

/// Build args that steer the build and never become environment.
pub(crate) const NEVER_ENV: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];
