//! What is said when a disk is full: how much room there is, and how to make more.

use rbuild_store::StoreError;

use crate::app::App;
use crate::failure::{WithExcerpt, WithStatus, chain};
use crate::render::bytes_decimal;

/// Adds advice to an error that tells of a full disk, and removes at once what the failed work left.
pub(crate) fn advised(app: &App, error: anyhow::Error) -> anyhow::Error {
    if !StoreError::tells_of_no_room(&chain(error.as_ref())) {
        return error;
    }
    let Some(advice) = advice(app) else {
        return error;
    };
    let error = match error.downcast::<WithExcerpt>() {
        Ok(mut known) => {
            known.message.push_str(&advice);
            return known.into();
        }
        Err(other) => other,
    };
    match error.downcast::<WithStatus>() {
        Ok(mut known) => {
            known.message.push_str(&advice);
            known.into()
        }
        Err(other) => anyhow::anyhow!("{}{advice}", chain(other.as_ref())),
    }
}

/// How full the store's disk is without what is in the trash; `None` if the store cannot say.
fn advice(app: &App) -> Option<String> {
    let store = app.store().ok()?;
    // What cannot be removed now is removed by the next command that can.
    let _ = store.empty_trash();
    let disk = store.disk().ok()?;
    let files = match disk.free_files {
        Some(files @ 0..1000) => format!(" and room for {files} files"),
        _ => String::new(),
    };
    Some(format!(
        " (the disk of {} has {} of {}{files} free now; `rbuild prune` makes room, `rbuild prune -a` more, `rbuild du` shows what takes it)",
        store.root().display(),
        bytes_decimal(disk.free),
        bytes_decimal(disk.total),
    ))
}
