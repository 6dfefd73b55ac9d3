//! What a build asks of whoever starts it: the args, secrets and agents that the target's stages use.
//!
//! ```text
//! ARG VERSION=1        a global ARG counts where a FROM expands it or a stage declares it again
//! # VERSION is …       the comment above an ARG or a FROM describes it, if it begins with its name
//! ```

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rbuild_dockerfile::{Span, Word};

use crate::Presence;
use crate::lineage::Lineage;

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
#[derive(Debug, Default)]
pub(crate) struct Captured(Lineage<Noted>);

/// One use.
#[derive(Debug)]
enum Noted {
    Arg(NotedArg),
    /// A global ARG, by its name.
    Global(String),
    Secret(OutlineNeed),
    Agent(OutlineNeed),
}

/// An [`OutlineArg`] that has not been asked for.
#[derive(Debug)]
pub(crate) struct NotedArg {
    /// `NAME=value`, or `NAME`.
    pub(crate) text: Arc<str>,
    pub(crate) name_length: usize,
    pub(crate) description: String,
    pub(crate) span: Span,
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
    /// What a stage on top of this one begins with.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.0.fork())
    }

    /// A stage's own ARG.
    pub(crate) fn arg(&mut self, arg: NotedArg) {
        self.0.push(Noted::Arg(arg));
    }

    /// The global ARG `name`, if there is one, and those that it was made of.
    pub(crate) fn global(&mut self, name: &str) {
        self.0.push(Noted::Global(name.to_owned()));
    }

    pub(crate) fn secret(&mut self, need: OutlineNeed) {
        self.0.push(Noted::Secret(need));
    }

    pub(crate) fn agent(&mut self, need: OutlineNeed) {
        self.0.push(Noted::Agent(need));
    }
}

impl NotedArg {
    fn named(&self) -> OutlineArg {
        let value = self.text.get(self.name_length + 1..);
        OutlineArg {
            name: self.text[..self.name_length].to_owned(),
            description: self.description.clone(),
            value: value.unwrap_or_default().to_owned(),
            span: self.span,
        }
    }
}

/// All that some stages use, by name.
#[derive(Default)]
struct Uses {
    args: BTreeMap<String, OutlineArg>,
    secrets: BTreeMap<String, OutlineNeed>,
    ssh: BTreeMap<String, OutlineNeed>,
}

impl Uses {
    /// Takes in what was noted: the last ARG of a name counts, the first of all else.
    fn note(&mut self, noted: &Noted, open: &mut Vec<String>) {
        let first = |needs: &mut BTreeMap<String, OutlineNeed>, need: &OutlineNeed| {
            let known = needs.entry(need.name.clone());
            known.or_insert_with(|| need.clone());
        };
        match noted {
            Noted::Arg(arg) => {
                let arg = arg.named();
                self.args.insert(arg.name.clone(), arg);
            }
            Noted::Global(name) => open.push(name.clone()),
            Noted::Secret(need) => first(&mut self.secrets, need),
            Noted::Agent(need) => first(&mut self.ssh, need),
        }
    }

    /// Takes in what another stage uses; of equal names the known ones count.
    fn absorb(&mut self, other: Self) {
        fn each<T>(known: &mut BTreeMap<String, T>, other: BTreeMap<String, T>) {
            for (name, one) in other {
                known.entry(name).or_insert(one);
            }
        }
        each(&mut self.args, other.args);
        each(&mut self.secrets, other.secrets);
        each(&mut self.ssh, other.ssh);
    }
}

impl Outline {
    /// The outline of a target, whose stages these are: its own first.
    pub(crate) fn new<'c>(
        name: String,
        description: String,
        stages: impl IntoIterator<Item = &'c Captured>,
        globals: &GlobalArgs,
    ) -> Self {
        let mut all = Uses::default();
        // What a stage shares with one that was taken in is known, and so is what a global ARG is made of.
        let (mut seen, mut expanded) = (HashSet::new(), HashSet::new());
        for stage in stages {
            let mut own = Uses::default();
            let mut open = Vec::new();
            for noted in stage.0.iter_unseen(&mut seen) {
                own.note(noted, &mut open);
                while let Some(name) = open.pop() {
                    let global = globals.0.get(&name);
                    let Some(global) = global.filter(|_| expanded.insert(name.clone())) else {
                        continue;
                    };
                    own.args.entry(name).or_insert_with(|| global.arg.clone());
                    open.extend(global.uses.iter().cloned());
                }
            }
            all.absorb(own);
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
