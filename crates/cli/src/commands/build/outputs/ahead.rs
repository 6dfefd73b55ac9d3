//! Layers are pushed while the build goes on: to which repositories, and what is told of it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rbuild_export::{AheadBuild, AheadTarget, PushAhead, PushProgress};
use rbuild_image::Digest;
use rbuild_solve::{LayerHook, LayerPacker};

use super::Outputs;
use super::writing::Pushing;
use crate::commands::build::internal::{BesideStep, InternalSteps};

/// What is pushed while the build goes on; nothing where no output is pushed.
#[derive(Clone, Default)]
pub(in crate::commands::build) struct Ahead(Option<(Arc<PushAhead>, Arc<Beside>)>);

impl Outputs {
    /// Begins to push the layers of `build`, whose epoch is `epoch`.
    pub(in crate::commands::build) fn push_ahead(
        &self,
        build: &AheadBuild<'_>,
        epoch: Option<i64>,
        steps: &Arc<InternalSteps>,
    ) -> Ahead {
        let targets = self.ahead_targets(epoch);
        if targets.is_empty() {
            return Ahead::default();
        }
        let beside = Arc::new(Beside {
            steps: Arc::clone(steps),
            step: Mutex::default(),
        });
        let progress = Box::new(Told(Arc::clone(&beside)));
        let ahead = PushAhead::new(build, targets, progress);
        Ahead(Some((Arc::new(ahead), beside)))
    }

    /// Each repository once for each form in which it gets layers.
    fn ahead_targets(&self, epoch: Option<i64>) -> Vec<AheadTarget> {
        let mut targets: Vec<AheadTarget> = Vec::new();
        for output in self.0.iter().filter(|output| output.pushes_ahead()) {
            let mut seen = HashSet::new();
            let of_repositories = output
                .names
                .iter()
                .filter(|name| seen.insert((name.registry(), name.repository())));
            for name in of_repositories {
                let target = AheadTarget {
                    name: name.clone(),
                    form: output.form,
                    times: output.dates.dating(epoch).files,
                };
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        targets
    }
}

impl Ahead {
    /// Who is told of the layers.
    pub(in crate::commands::build) fn hook(&self) -> Option<LayerHook> {
        let (ahead, _) = self.0.as_ref()?;
        let ahead = Arc::clone(ahead);
        Some(Arc::new(move |layer| ahead.add(layer)))
    }

    /// Who packs them on the way of digesting them.
    pub(in crate::commands::build) fn packer(&self) -> Option<LayerPacker> {
        let (ahead, _) = self.0.as_ref()?;
        let ahead = Arc::clone(ahead);
        Some(Arc::new(move |layer| ahead.pack_new(layer)))
    }

    /// Waits until the layers of the images are sent.
    pub(super) fn wait(&self) {
        if let Some((ahead, beside)) = &self.0 {
            ahead.wait();
            beside.end();
        }
    }
}

/// The step that tells of it, begun with the first layer.
struct Beside {
    steps: Arc<InternalSteps>,
    step: Mutex<Option<BesideStep>>,
}

impl Beside {
    fn end(&self) {
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<BesideStep>> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, tell: impl FnOnce(&Pushing<'_>)) {
        let mut slot = self.lock();
        let begun = slot.get_or_insert_with(|| self.steps.begin("pushing layers"));
        tell(&Pushing {
            step: &begun.step(),
        });
    }
}

struct Told(Arc<Beside>);

impl PushProgress for Told {
    fn blob(&self, digest: &Digest, current: u64, total: u64) {
        self.0.tell(|pushing| pushing.blob(digest, current, total));
    }

    fn present(&self, digest: &Digest) {
        self.0.tell(|pushing| pushing.present(digest));
    }
}
