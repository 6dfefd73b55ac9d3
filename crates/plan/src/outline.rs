//! What a build asks of whoever starts it: the args, secrets and agents that the target's stages use.
//!
//! ```text
//! ARG VERSION=1        a global ARG counts where a FROM expands it or a stage declares it again
//! # VERSION is …       the comment above an ARG or a FROM describes it, if it begins with its name
//! ```

use std::collections::{BTreeMap, BTreeSet};

use rbuild_dockerfile::{Span, Word};

use crate::Presence;

/// What the target needs to know, each list in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// The target's name in lower case; empty if it has none.
    pub name: String,
    /// What the comment above it says.
    pub description: String,
    /// ARGs.
    pub args: Vec<OutlineArg>,
    /// Secrets of `RUN --mount=type=secret`.
    pub secrets: Vec<OutlineNeed>,
    /// Agents of `RUN --mount=type=ssh`.
    pub ssh: Vec<OutlineNeed>,
}

/// An ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineArg {
    /// Its name.
    pub name: String,
    /// What the comment above it says.
    pub description: String,
    /// What this build gives it; empty for nothing.
    pub value: String,
    /// The instruction.
    pub span: Span,
}

/// A secret or an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlineNeed {
    /// Its id.
    pub name: String,
    /// Whether the build fails without it.
    pub presence: Presence,
    /// The RUN that first names it.
    pub span: Span,
}

/// What one stage uses, and the stages below it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Captured {
    args: BTreeMap<String, OutlineArg>,
    secrets: BTreeMap<String, OutlineNeed>,
    ssh: BTreeMap<String, OutlineNeed>,
}

/// ARGs before the first FROM.
#[derive(Debug, Default)]
pub(crate) struct GlobalArgs(BTreeMap<String, GlobalArg>);

#[derive(Debug)]
struct GlobalArg {
    arg: OutlineArg,
    /// Names that its default expands.
    uses: Vec<String>,
}

impl GlobalArgs {
    /// Notes an ARG; of equal names the last counts.
    pub(crate) fn insert(&mut self, arg: OutlineArg, uses: Vec<String>) {
        self.0.insert(arg.name.clone(), GlobalArg { arg, uses });
    }
}

impl Captured {
    /// A stage's own ARG.
    pub(crate) fn arg(&mut self, arg: OutlineArg) {
        self.args.insert(arg.name.clone(), arg);
    }

    /// The global ARG `name`, if there is one, and those that it was made of.
    pub(crate) fn global(&mut self, name: &str, globals: &GlobalArgs) {
        let mut open = vec![name];
        let mut seen = BTreeSet::new();
        while let Some(name) = open.pop() {
            let Some(global) = globals.0.get(name).filter(|_| seen.insert(name)) else {
                continue;
            };
            let entry = self.args.entry(name.to_owned());
            entry.or_insert_with(|| global.arg.clone());
            open.extend(global.uses.iter().map(String::as_str));
        }
    }

    pub(crate) fn secret(&mut self, need: OutlineNeed) {
        self.secrets.entry(need.name.clone()).or_insert(need);
    }

    pub(crate) fn agent(&mut self, need: OutlineNeed) {
        self.ssh.entry(need.name.clone()).or_insert(need);
    }

    /// Takes in what another stage uses; of equal names the known ones count.
    fn absorb(&mut self, other: &Self) {
        fn each<T: Clone>(known: &mut BTreeMap<String, T>, other: &BTreeMap<String, T>) {
            for (name, one) in other {
                known.entry(name.clone()).or_insert_with(|| one.clone());
            }
        }
        each(&mut self.args, &other.args);
        each(&mut self.secrets, &other.secrets);
        each(&mut self.ssh, &other.ssh);
    }
}

impl Outline {
    /// The outline of a target, whose stages these are: its own first.
    pub(crate) fn new<'c>(
        name: String,
        description: String,
        stages: impl IntoIterator<Item = &'c Captured>,
    ) -> Self {
        let mut all = Captured::default();
        for stage in stages {
            all.absorb(stage);
        }
        let mut args: Vec<_> = all.args.into_values().collect();
        args.sort_by_key(|arg| arg.span);
        Self {
            name,
            description,
            args,
            secrets: in_order(all.secrets),
            ssh: in_order(all.ssh),
        }
    }
}

fn in_order(needs: BTreeMap<String, OutlineNeed>) -> Vec<OutlineNeed> {
    let mut needs: Vec<_> = needs.into_values().collect();
    needs.sort_by_key(|need| need.span);
    needs
}

/// What the comments above the definition of `name` say of it: the rest of the first line that begins with it.
pub(crate) fn description(comments: &[Word], name: &str) -> String {
    if name.is_empty() {
        return String::new();
    }
    comments
        .iter()
        .find_map(|comment| comment.value.trim().strip_prefix(name)?.strip_prefix(' '))
        .map_or_else(String::new, |text| text.trim().to_owned())
}
