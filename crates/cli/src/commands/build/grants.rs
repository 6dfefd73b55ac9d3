//! What a build is permitted: the privileges of `--allow`, and the sources that policies leave.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use rbuild_plan::{Entitlement, NetworkMode, SourcePolicies};

use crate::app::Environment;

/// The variable in which buildx looks for a policy's file.
const POLICY_VARIABLE: &str = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY";

/// `--allow`, taken apart.
pub(super) struct Grants {
    pub(super) entitlements: Vec<Entitlement>,
    /// `device=NAME` names one device or kind.
    pub(super) devices: Vec<String>,
}

impl Grants {
    /// Who gives all steps the host's network allows it to those that ask for it, too.
    pub(super) fn new(given: &[String], network: NetworkMode) -> anyhow::Result<Self> {
        let (mut entitlements, mut devices) = (Vec::new(), Vec::new());
        for text in given {
            match text.as_str() {
                "network.host" => entitlements.push(Entitlement::NetworkHost),
                "security.insecure" => entitlements.push(Entitlement::SecurityInsecure),
                "device" => entitlements.push(Entitlement::Device),
                other => match other.strip_prefix("device=") {
                    Some(name) if !name.is_empty() => devices.push(name.to_owned()),
                    _ => bail!(
                        "--allow {text}: there is network.host, security.insecure, device and device=NAME"
                    ),
                },
            }
        }
        if network == NetworkMode::Host {
            entitlements.push(Entitlement::NetworkHost);
        }
        Ok(Self {
            entitlements,
            devices,
        })
    }
}

/// The policies of `--source-policy-file`, and that of the variable which buildx reads.
pub(super) fn policies(
    files: &[PathBuf],
    environment: Environment,
) -> anyhow::Result<SourcePolicies> {
    let mut policies = SourcePolicies::default();
    let variable = environment.get(POLICY_VARIABLE);
    for path in files.iter().cloned().chain(variable.map(PathBuf::from)) {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to read the source policy {name}"))?;
        policies.add(&name, &text)?;
    }
    Ok(policies)
}
