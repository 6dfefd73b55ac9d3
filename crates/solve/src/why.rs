//! Why steps had to run.

use rbuild_cache::{Circumstances, Copied, Explanation, Lookup, Missed, Reason, explain};
use rbuild_image::LayerId;
use rbuild_plan::{CacheUse, FileAction, ImageOrigin, Operation, Plan, VertexId};

use rbuild_progress::EventKind;

use crate::build::CacheTtl;
use crate::error::StepError;
use crate::report::event_vertex;
use crate::step::{Keys, Step};
use crate::tree::Stack;

/// A step that ran, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// Which.
    pub vertex: VertexId,
    /// Why.
    pub explanation: Explanation,
}

impl Step<'_> {
    /// What this step runs on, for those who ask later why it ran.
    /// `expired` is the age that an earlier result has passed.
    pub(crate) fn circumstances(&self, base: &Stack, expired: Option<&CacheTtl>) -> Circumstances {
        let copies = match &self.vertex.operation {
            Operation::File(file) => file.actions.iter().filter_map(copied).collect(),
            _ => Vec::new(),
        };
        let image = base_image(self.plan, self.id);
        let lookup = match (self.cache_use(), expired) {
            (CacheUse::Refused, _) => Lookup::NotAsked,
            (CacheUse::Allowed, Some(ttl)) => Lookup::Expired(ttl.text.clone()),
            (CacheUse::Allowed, None) => Lookup::Asked,
        };
        let arguments = match &self.vertex.operation {
            Operation::Exec(exec) => exec.env.arguments().map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        Circumstances::new(image, base.layers().to_vec(), copies, lookup).with_arguments(arguments)
    }

    /// Why no record of `keys` was found.
    pub(crate) fn why(
        &self,
        keys: &Keys,
        circumstances: &Circumstances,
        layers: Option<&[LayerId]>,
    ) -> Result<Explanation, StepError> {
        let missed = Missed {
            scope: &self.build.scope,
            name: &self.record_name(),
            preimage: &keys.preimage,
            circumstances,
            layers,
            begun: self.build.now,
            elsewhere: Some(&*self.build.imports),
        };
        Ok(explain(&self.build.store, missed)?)
    }

    /// Asks remote caches what the step was before, where this store does not know.
    pub(crate) fn ask_elsewhere(&self) -> Result<(), StepError> {
        let imports = &self.build.imports;
        if imports.is_empty() || self.cache_use() == CacheUse::Refused {
            return Ok(());
        }
        let name = self.record_name();
        let own = self
            .build
            .store
            .records_named(&self.build.scope, &name, 1)?;
        if own.is_empty() {
            // The answer is kept, for when the reason is put together.
            imports.earlier(&name);
        }
        Ok(())
    }

    /// [`Self::why`] with the files that only the new layer can tell, and told if it was not before.
    pub(crate) fn why_in_full(
        &self,
        why: Explanation,
        keys: &Keys,
        circumstances: &Circumstances,
        layer: LayerId,
    ) -> Result<Explanation, StepError> {
        if !waits_for_layer(&why) {
            return Ok(why);
        }
        let why = self.why(keys, circumstances, Some(&[layer]))?;
        self.send_why(&why);
        Ok(why)
    }

    /// Tells those who watch why the step runs, if that can be said already.
    pub(crate) fn tell_why(&self, why: &Explanation) {
        if !waits_for_layer(why) {
            self.send_why(why);
        }
    }

    fn send_why(&self, why: &Explanation) {
        // What was asked for, and what is new, needs no explanation.
        if why.is_first() || *why == Explanation::not_asked() {
            return;
        }
        self.build.reporter.send(EventKind::Missed {
            vertex: event_vertex(self.id),
            reason: why.to_string(),
        });
    }

    /// The name of the step's records: `[build] RUN make`. Its number would change with every step put before it.
    pub(crate) fn record_name(&self) -> String {
        without_number(&self.vertex.name)
    }
}

/// Whether the files that differ are to be found by comparing the step's layers.
fn waits_for_layer(why: &Explanation) -> bool {
    why.reasons
        .iter()
        .any(|reason| matches!(reason, Reason::Copied { .. }))
}

fn copied(action: &FileAction) -> Option<Copied> {
    match action {
        FileAction::Copy(copy) => Some(Copied {
            source: copy.source.clone(),
            destination: copy.destination.clone(),
        }),
        _ => None,
    }
}

/// The image at the bottom of a step's file system, as `name@digest`.
fn base_image(plan: &Plan, step: VertexId) -> Option<String> {
    let mut at = step;
    loop {
        match &plan.vertex(at).operation {
            Operation::Image(source) => {
                let name = match &source.image.origin {
                    ImageOrigin::Store(name)
                    | ImageOrigin::Registry(name)
                    | ImageOrigin::OciLayout(name) => name,
                };
                let name = name.split('@').next().unwrap_or(name);
                return Some(format!("{name}@{}", source.image.manifest));
            }
            // What a file operation without a base copies from is not below it.
            Operation::File(file) if file.base.is_none() => return None,
            _ => at = *plan.inputs(at).first()?,
        }
    }
}

fn without_number(name: &str) -> String {
    let Some((place, words)) = name
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    else {
        return name.to_owned();
    };
    let is_number = |word: &str| {
        word.split_once('/').is_some_and(|(one, all)| {
            [one, all]
                .iter()
                .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        })
    };
    match place.rsplit_once(' ') {
        Some((stage, number)) if is_number(number) => format!("[{stage}] {words}"),
        None if is_number(place) => words.to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_number;

    #[test]
    fn a_step_keeps_its_name_when_others_come_before_it() {
        let cases = [
            ("[build 2/5] RUN make", "[build] RUN make"),
            ("[2/3] COPY . /app", "COPY . /app"),
            (
                "[linux/arm64 build 12/13] RUN [ -f x ]",
                "[linux/arm64 build] RUN [ -f x ]",
            ),
            (
                "[internal] load build context",
                "[internal] load build context",
            ),
            ("ADD https://x/y [1/2] z", "ADD https://x/y [1/2] z"),
        ];
        for (name, expected) in cases {
            assert_eq!(without_number(name), expected);
        }
    }
}
