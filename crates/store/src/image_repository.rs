//! Which repositories of registries have an image: those that it was pulled from and pushed to.

use rbuild_image::{Digest, Reference};
use rusqlite::{Connection, params};

use crate::db::Fault;

/// Remembers that the repository of `name` has the image.
pub(crate) fn insert(db: &Connection, image: &Digest, name: &Reference) -> Result<(), Fault> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO image_repositories (image, repository) VALUES (?1, ?2)",
    )?
    .execute(params![image.as_bytes(), repository(name)])?;
    Ok(())
}

/// The image's names by its digest in all repositories that have it, sorted; `origin` is the one that its row names.
pub(crate) fn select(
    db: &Connection,
    image: &Digest,
    origin: Option<&Reference>,
) -> Result<Vec<Reference>, Fault> {
    let mut all: Vec<String> = db
        .prepare_cached("SELECT repository FROM image_repositories WHERE image = ?1")?
        .query_map([image.as_bytes()], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    // An image that a program without this table has entered is only known by that.
    all.extend(origin.map(repository));
    all.sort();
    all.dedup();
    let names = all.iter().map(|one| format!("{one}@{image}").parse());
    Ok(names.filter_map(Result::ok).collect())
}

fn repository(name: &Reference) -> String {
    format!("{}/{}", name.registry(), name.repository())
}
