//! An image's layers, brought into the store for their own sake.

use std::sync::Arc;

use rbuild_image::{ImageConfig, Platform};
use rbuild_plan::{CacheUse, ImageOutput, ImageSource, Operation, Plan, ResolvedImage, Vertex};
use rbuild_store::Layer;

use crate::build::Build;
use crate::error::SolveError;
use crate::fetch::Fetcher;
use crate::solve::{announce, finish_images, step_failed};
use crate::tree::Stack;

/// Fetches what is missing of `image`'s layers; events call it `name`. The layers come bottom first.
pub fn pull(
    image: &Arc<ResolvedImage>,
    name: &str,
    platform: &Platform,
    build: &Build,
) -> Result<Vec<Arc<Layer>>, SolveError> {
    let mut plan = Plan::default();
    let source = ImageSource {
        image: Arc::clone(image),
    };
    let stack = Stack::new(
        source
            .diff_ids()
            .iter()
            .map(|diff_id| rbuild_image::LayerId::Pulled(*diff_id))
            .collect(),
    );
    let vertex = Vertex {
        operation: Operation::Image(source),
        platform: platform.clone().into(),
        name: name.to_owned(),
        origin: None,
        stage: "".into(),
        cache_use: CacheUse::Allowed,
    };
    let root = plan.add(vertex, &[]);
    plan.outputs.push(ImageOutput {
        platform: platform.clone(),
        root: Some(root),
        config: ImageConfig::default(),
        base_history: 0,
    });
    announce(&plan, build);
    let fetcher = Fetcher::new(build, &plan);
    let layers = fetcher
        .fetch(&stack)
        .map_err(|error| step_failed(root, error));
    let ended = layers.as_ref().map(|_| ()).map_err(|error| match error {
        SolveError::Step { vertex, .. } => Some(*vertex),
        SolveError::Cancelled => None,
    });
    finish_images(&plan, build, &fetcher, ended);
    layers
}
