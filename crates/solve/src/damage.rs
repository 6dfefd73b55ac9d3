//! Downloads that were damaged on their way: told from layers that are malformed, and fetched again.

use std::io::{self, Read};

use rbuild_layer::{Extracted, LayerError, TreeWriter, decompress, extract};
use rbuild_registry::RegistryError;

use crate::error::StepError;

/// How often a layer is fetched whose bytes are not those of its digest.
const DAMAGED_DOWNLOADS: u32 = 3;

/// Fetches again what was damaged on its way, a few times.
pub(crate) fn again_if_damaged<T>(
    fetch: impl Fn() -> Result<T, StepError>,
) -> Result<T, StepError> {
    for _ in 1..DAMAGED_DOWNLOADS {
        match fetch() {
            Err(StepError::Download(error)) if is_damage(&error) => {}
            fetched => return fetched,
        }
    }
    fetch()
}

/// Extracts all of `source`. Where that fails, and `source` turns out not to be what its digest says, this is the failure.
pub(crate) fn extract_checked(
    mut source: impl Read + Send,
    writer: TreeWriter,
) -> Result<Extracted, StepError> {
    let extracted = decompress(&mut source).and_then(|tar| extract(tar, writer));
    match (extracted, io::copy(&mut source, &mut io::sink())) {
        (Err(LayerError::Input(error)), _) | (Err(_), Err(error)) if is_damage(&error) => {
            Err(StepError::Download(error))
        }
        (Err(error), _) => Err(error.into()),
        (Ok(_), Err(error)) => Err(StepError::Download(error)),
        (Ok(extracted), Ok(_)) => Ok(extracted),
    }
}

fn is_damage(error: &io::Error) -> bool {
    RegistryError::in_io(error).is_some_and(RegistryError::is_corruption)
}
