//! Flags of `docker buildx build` that do nothing here. Those that would change the result are refused by name, never
//! ignored; those that only switch off what we do not do anyway are accepted, and so are those that docker itself only
//! keeps for old scripts, with a warning.

use anyhow::bail;

use super::args::boolean;

// What was typed of them.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Unsupported {
    #[arg(long, hide = true)]
    builder: Option<String>,
    #[arg(long, hide = true)]
    cgroup_parent: Option<String>,
    #[arg(long, hide = true)]
    policy: Vec<String>,
    #[arg(long, hide = true)]
    resource: Vec<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    compress: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    rm: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    force_rm: Option<bool>,
    #[arg(long, hide = true)]
    isolation: Option<String>,
    #[arg(long, hide = true)]
    security_opt: Vec<String>,
    #[arg(short, long, hide = true)]
    memory: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    memory_swap: Option<String>,
    #[arg(short, long, hide = true)]
    cpu_shares: Option<i64>,
    #[arg(long, hide = true)]
    cpu_period: Option<i64>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    #[arg(long, hide = true)]
    cpuset_cpus: Option<String>,
    #[arg(long, hide = true)]
    cpuset_mems: Option<String>,
}

/// The names under which `--builder` means this program.
const OURSELVES: [&str; 3] = ["", "default", "rbuild"];

impl Unsupported {
    /// Fails with what was asked for and cannot be had.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let other_builder = |name: &&String| !OURSELVES.contains(&name.as_str());
        let refused = [
            (
                "builder",
                self.builder
                    .as_ref()
                    .is_some_and(|name| other_builder(&name)),
                "there are no builders to choose from: rbuild is the builder",
            ),
            (
                "cgroup-parent",
                self.cgroup_parent
                    .as_ref()
                    .is_some_and(|name| !name.is_empty()),
                "control groups of steps are not supported yet",
            ),
            (
                "policy",
                !self.policy.is_empty(),
                "policies in Rego are not supported; --source-policy-file takes BuildKit's in JSON",
            ),
            (
                "resource",
                !self.resource.is_empty(),
                "limits on the resources of steps are not supported yet",
            ),
        ];
        match refused.iter().find(|(_, asked, _)| *asked) {
            Some((flag, _, why)) => bail!("--{flag}: {why}"),
            None => Ok(()),
        }
    }

    /// What to say of flags that docker takes, too, and that do nothing there either.
    pub(super) fn warnings(&self) -> Vec<String> {
        const LIMITS: &str = "it has no effect: steps run without limits of their own";
        let ignored = [
            (
                "isolation",
                self.isolation
                    .as_ref()
                    .is_some_and(|kind| kind != "default"),
                "it has no effect: there is one kind of isolation",
            ),
            (
                "security-opt",
                !self.security_opt.is_empty(),
                "it has no effect: `RUN --security=insecure` and --allow security.insecure do the like",
            ),
            ("memory", self.memory.is_some(), LIMITS),
            ("memory-swap", self.memory_swap.is_some(), LIMITS),
            ("cpu-shares", self.cpu_shares.is_some(), LIMITS),
            ("cpu-period", self.cpu_period.is_some(), LIMITS),
            ("cpu-quota", self.cpu_quota.is_some(), LIMITS),
            ("cpuset-cpus", self.cpuset_cpus.is_some(), LIMITS),
            ("cpuset-mems", self.cpuset_mems.is_some(), LIMITS),
        ];
        ignored
            .iter()
            .filter(|(_, asked, _)| *asked)
            .map(|(flag, _, why)| format!("--{flag}: {why}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_its_default_builder() {
        let with = |name: &str| Unsupported {
            builder: Some(name.to_owned()),
            ..Unsupported::default()
        };
        assert!(with("default").check().is_ok());
        assert!(with("desktop-linux").check().is_err());
    }

    #[test]
    fn limits_are_told_to_have_no_effect() {
        let limited = Unsupported {
            memory: Some("2g".to_owned()),
            ..Unsupported::default()
        };
        assert!(limited.check().is_ok());
        assert_eq!(limited.warnings().len(), 1);
        assert!(limited.warnings()[0].starts_with("--memory: "));
    }
}
