//! Flags of `docker buildx build` that are not supported yet: refused by name, never ignored. Those that only switch off what
//! we do not do anyway are accepted.

use anyhow::bail;

/// What was typed of them.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Unsupported {
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    provenance: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true")]
    sbom: Option<String>,
    #[arg(long, hide = true)]
    attest: Vec<String>,
    #[arg(long, hide = true)]
    annotation: Vec<String>,
    #[arg(long, hide = true)]
    builder: Option<String>,
    #[arg(long, hide = true)]
    cache_from: Vec<String>,
    #[arg(long, hide = true)]
    cache_to: Vec<String>,
    #[arg(long, hide = true)]
    call: Option<String>,
    #[arg(long, hide = true)]
    cgroup_parent: Option<String>,
    #[arg(long, hide = true)]
    policy: Vec<String>,
    #[arg(long, hide = true)]
    resource: Vec<String>,
    #[arg(long, hide = true)]
    squash: bool,
}

impl Unsupported {
    /// Fails with what was asked for and cannot be had.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let attestations = "attestations are not supported yet";
        let refused = [
            (
                "provenance",
                switched_on(self.provenance.as_deref()),
                attestations,
            ),
            ("sbom", switched_on(self.sbom.as_deref()), attestations),
            ("attest", !self.attest.is_empty(), attestations),
            (
                "annotation",
                !self.annotation.is_empty(),
                "annotations are not supported yet; --label is",
            ),
            (
                "builder",
                self.builder.is_some(),
                "there are no builders to choose from: rbuild is the builder",
            ),
            (
                "cache-from",
                !self.cache_from.is_empty(),
                "remote caches are not supported yet; the local one is always used",
            ),
            (
                "cache-to",
                !self.cache_to.is_empty(),
                "remote caches are not supported yet; the local one is always used",
            ),
            (
                "call",
                self.call.as_deref().is_some_and(|call| call != "build"),
                "only building and --check are supported yet",
            ),
            (
                "cgroup-parent",
                self.cgroup_parent.is_some(),
                "control groups of steps are not supported yet",
            ),
            (
                "policy",
                !self.policy.is_empty(),
                "source policies are not supported yet",
            ),
            (
                "resource",
                !self.resource.is_empty(),
                "limits on the resources of steps are not supported yet",
            ),
            ("squash", self.squash, "squashing is not supported yet"),
        ];
        match refused.iter().find(|(_, asked, _)| *asked) {
            Some((flag, _, why)) => bail!("--{flag}: {why}"),
            None => Ok(()),
        }
    }
}

fn switched_on(value: Option<&str>) -> bool {
    !matches!(value, None | Some("false" | "0" | "disabled"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switching_attestations_off_is_accepted_and_on_is_refused() {
        let with = |value: &str| Unsupported {
            provenance: Some(value.to_owned()),
            ..Unsupported::default()
        };
        assert!(with("false").check().is_ok());
        let refusal = with("mode=max")
            .check()
            .expect_err("not supported")
            .to_string();
        assert!(refusal.starts_with("--provenance: "), "{refusal}");
    }
}
