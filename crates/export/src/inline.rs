//! Images that tell which steps made them: a cache without a place of its own.

use std::sync::Arc;
use std::time::SystemTime;

use rbuild_remote::{Finished, INLINE_FIELD, ImageLayer, inline_cache};
use rbuild_store::Store;

use crate::assemble::{BuiltImage, Dating};
use crate::error::ExportError;

impl BuiltImage {
    /// Lets the config tell what `steps` made, for `--cache-from` with the image's name.
    pub fn tell_steps(
        &mut self,
        store: &Store,
        steps: &[Arc<Finished>],
        dating: &Dating,
    ) -> Result<(), ExportError> {
        let layers: Vec<ImageLayer> = self
            .layers
            .iter()
            .filter(|layer| layer.size > 0)
            .map(|layer| ImageLayer {
                id: layer.id,
                diff_id: layer.diff_id,
                size: layer.size,
            })
            .collect();
        let date = dating.only().map(|date| {
            let since = date.duration_since(SystemTime::UNIX_EPOCH);
            since.map_or(0, |since| since.as_millis() as u64)
        });
        let told = inline_cache(store, steps, &layers, date)?;
        self.config.other.insert(INLINE_FIELD.to_owned(), told);
        Ok(())
    }
}
