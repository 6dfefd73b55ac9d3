//! What a program said and how it ended.

use std::collections::HashMap;
use std::process::ExitStatus;
use std::time::Duration;

/// What a program said and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) title: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// From its start to its end.
    pub(crate) took: Duration,
}

/// How a step of a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It ran.
    Done,
    /// Its result was known.
    Cached,
    /// It failed.
    Failed,
    /// It was stopped.
    Canceled,
    /// It was not told.
    Unknown,
}

/// A step of a build, as `--progress=plain` tells it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) state: State,
    /// What it wrote.
    pub(crate) output: Vec<String>,
}

impl Outcome {
    /// It ended well.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// It ended with 1.
    #[track_caller]
    pub(crate) fn failure(self) -> Self {
        assert_eq!(self.status.code(), Some(1), "{self}");
        self
    }

    /// It says this on standard error.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not said by {self}");
        self
    }

    /// The last line on standard error.
    pub(crate) fn last_words(&self) -> &str {
        self.stderr.trim_end().lines().last().unwrap_or_default()
    }

    /// The image's id, as the build tells it.
    #[track_caller]
    pub(crate) fn image(&self) -> String {
        let after = self.stderr.split("writing image ").nth(1);
        let id = after.and_then(|text| text.split_whitespace().next());
        id.unwrap_or_else(|| panic!("no image is told by {self}"))
            .to_owned()
    }

    /// The steps, in the order in which they were told.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut order = Vec::new();
        let mut steps: HashMap<&str, Step> = HashMap::new();
        for line in self.stderr.lines() {
            let Some((number, text)) = line
                .split_once(' ')
                .filter(|(number, _)| number.starts_with('#'))
            else {
                continue;
            };
            let Some(step) = steps.get_mut(number) else {
                order.push(number);
                let step = Step {
                    name: text.to_owned(),
                    state: State::Unknown,
                    output: Vec::new(),
                };
                steps.insert(number, step);
                continue;
            };
            match text.split(' ').next().unwrap_or_default() {
                "DONE" => step.state = State::Done,
                "CACHED" => step.state = State::Cached,
                "ERROR:" => step.state = State::Failed,
                "CANCELED" => step.state = State::Canceled,
                time if time.parse::<f64>().is_ok() => {
                    step.output.push(text[time.len()..].trim_start().to_owned());
                }
                _ => {}
            }
        }
        order
            .iter()
            .filter_map(|number| steps.remove(number))
            .collect()
    }

    /// The step whose name has this in it.
    #[track_caller]
    pub(crate) fn step(&self, part: &str) -> Step {
        let mut found = self
            .steps()
            .into_iter()
            .filter(|step| step.name.contains(part));
        found
            .next()
            .unwrap_or_else(|| panic!("no step {part:?} in {self}"))
    }

    /// How that step ended.
    #[track_caller]
    pub(crate) fn state(&self, part: &str) -> State {
        self.step(part).state
    }

    /// The instructions that ran: all that change files and were not cached.
    pub(crate) fn ran(&self) -> Vec<String> {
        let changes = |name: &str| {
            ["RUN ", "COPY ", "ADD ", "WORKDIR "]
                .iter()
                .any(|word| name.contains(&format!("] {word}")))
        };
        let steps = self.steps().into_iter();
        steps
            .filter(|step| step.state != State::Cached && changes(&step.name))
            .map(|step| {
                step.name
                    .split_once("] ")
                    .map_or(step.name.clone(), |(_, name)| name.to_owned())
            })
            .collect()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\n{} after {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.title, self.status, self.took, self.stdout, self.stderr
        )
    }
}
