//! Containers: a row for each, and `containers/<id>/` for its files.
//!
//! The store keeps what was last said of a container's state. Whether a process still lives is for the caller to look
//! (pid and start time), since only the kernel knows.

mod state;

use std::path::PathBuf;
use std::time::SystemTime;

use rbuild_image::{Digest, LayerId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use self::state::to_json;
pub use self::state::{ContainerState, End};
use crate::Store;
use crate::db::Fault;
use crate::error::{Result, StoreError};
use crate::store::make_directory;
use crate::time;

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name, which no other has.
    pub name: String,
    /// The image's manifest.
    pub image: Option<Digest>,
    /// The image as it was asked for.
    pub image_name: String,
    /// What it runs, as JSON; opaque to the store.
    pub config: String,
    /// The layers of its root file system, bottom first.
    pub layers: Vec<LayerId>,
    /// What it was last said to do.
    pub state: ContainerState,
    /// When it was made.
    pub created: SystemTime,
}

/// A container to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewContainer<'a> {
    /// See [`Container::id`].
    pub id: &'a str,
    /// See [`Container::name`].
    pub name: &'a str,
    /// See [`Container::image`].
    pub image: Option<&'a Digest>,
    /// See [`Container::image_name`].
    pub image_name: &'a str,
    /// See [`Container::config`].
    pub config: &'a str,
    /// See [`Container::layers`].
    pub layers: &'a [LayerId],
}

const COLUMNS: &str = "id, name, image, image_name, config, state, created";

impl Store {
    /// Makes a container and its directory. Its layers stay as long as it does.
    ///
    /// Fails with [`StoreError::NameTaken`].
    pub fn create_container(&self, new: &NewContainer<'_>) -> Result<Container> {
        let directory = self.container_path(new.id);
        let state = to_json(&ContainerState::Created);
        self.db().write("enter a container", |db| {
            refuse_taken(db, new.name, new.id)?;
            db.prepare_cached(
                "INSERT INTO containers (id, name, image, image_name, config, state, created)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                new.id,
                new.name,
                new.image.map(Digest::as_bytes),
                new.image_name,
                new.config,
                state,
                self.now_millis()
            ])?;
            let mut insert = db.prepare_cached(
                "INSERT INTO container_layers (container, position, layer) VALUES (?1, ?2, ?3)",
            )?;
            for (position, layer) in new.layers.iter().enumerate() {
                insert.execute(params![new.id, position as i64, layer.to_string()])?;
            }
            // In the transaction: a sweep takes directories without a row for garbage.
            make_directory(&directory)?;
            Ok(())
        })?;
        self.container_by_id(new.id)
    }

    /// `containers/<id>/`, which is the caller's to fill.
    pub fn container_path(&self, id: &str) -> PathBuf {
        self.paths().containers().join(id)
    }

    /// The container with this name, this ID, or an ID that begins so.
    ///
    /// Fails with [`StoreError::Ambiguous`] if `text` begins several IDs.
    pub fn container(&self, text: &str) -> Result<Option<Container>> {
        let all = self.containers()?;
        if let Some(found) = all.iter().find(|one| one.name == text || one.id == text) {
            return Ok(Some(found.clone()));
        }
        let mut found: Vec<Container> = all
            .into_iter()
            .filter(|one| !text.is_empty() && one.id.starts_with(text))
            .collect();
        if found.len() > 1 {
            return Err(StoreError::Ambiguous {
                prefix: text.to_owned(),
                matches: found.iter().map(|one| short(&one.id)).collect(),
            });
        }
        Ok(found.pop())
    }

    /// All containers, the newest first.
    pub fn containers(&self) -> Result<Vec<Container>> {
        self.db().read("list containers", |db| {
            let sql = format!("SELECT {COLUMNS} FROM containers ORDER BY created DESC, id");
            let mut query = db.prepare_cached(&sql)?;
            let rows: Vec<Container> = query
                .query_map([], read_container)?
                .collect::<rusqlite::Result<_>>()?;
            rows.into_iter().map(|one| with_layers(db, one)).collect()
        })
    }

    /// The containers made from an image, running or not.
    pub fn containers_of_image(&self, image: &Digest) -> Result<Vec<Container>> {
        let mut all = self.containers()?;
        all.retain(|one| one.image.as_ref() == Some(image));
        Ok(all)
    }

    /// Changes a container's row in one transaction: `change` sees the row as it is now, and what it leaves is written
    /// (name, config and state). So two processes cannot both find it stopped and start it. All writers wait
    /// meanwhile: `change` must be quick, and must not use the store.
    ///
    /// Fails with [`StoreError::MissingContainer`], [`StoreError::NameTaken`], or as `change` does; then nothing is changed.
    pub fn update_container<T, E: From<StoreError>>(
        &self,
        id: &str,
        change: impl FnOnce(&mut Container) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut refused = None;
        let outcome = self.db().write("change a container", |db| {
            let mut one = select_container(db, id)?;
            let value = match change(&mut one) {
                Ok(value) => value,
                Err(error) => {
                    refused = Some(error);
                    return Ok(None);
                }
            };
            refuse_taken(db, &one.name, id)?;
            db.prepare_cached(
                "UPDATE containers SET name = ?2, config = ?3, state = ?4 WHERE id = ?1",
            )?
            .execute(params![id, one.name, one.config, to_json(&one.state)])?;
            Ok(Some(value))
        });
        if let Some(error) = refused {
            return Err(error);
        }
        Ok(outcome?.expect("a change that was not refused has a value"))
    }

    /// Writes what a container is doing now.
    ///
    /// Fails with [`StoreError::MissingContainer`].
    pub fn set_container_state(&self, id: &str, state: &ContainerState) -> Result<()> {
        self.update_container(id, |one| {
            one.state = state.clone();
            Ok(())
        })
    }

    /// Gives a container another name.
    ///
    /// Fails with [`StoreError::MissingContainer`] or [`StoreError::NameTaken`].
    pub fn rename_container(&self, id: &str, name: &str) -> Result<()> {
        self.update_container(id, |one| {
            name.clone_into(&mut one.name);
            Ok(())
        })
    }

    /// Forgets a container and throws its directory away; nothing may be mounted or run in it. Tells whether
    /// it was there.
    pub fn remove_container(&self, id: &str) -> Result<bool> {
        let directory = self.container_path(id);
        let removed = self.db().write("remove a container", |db| {
            Ok(db
                .prepare_cached("DELETE FROM containers WHERE id = ?1")?
                .execute([id])?)
        })?;
        if removed > 0 {
            self.throw_away(&directory)?;
        }
        Ok(removed > 0)
    }

    fn container_by_id(&self, id: &str) -> Result<Container> {
        self.db()
            .read("read a container", |db| select_container(db, id))
    }

    /// Throws away directories in `containers/` that have no row.
    pub(crate) fn sweep_unknown_containers(&self) -> Result<()> {
        for directory in crate::lease::list(&self.paths().containers())? {
            let name = directory.file_name().and_then(|name| name.to_str());
            let id = name.unwrap_or_default().to_owned();
            self.db().write("look for unknown containers", |db| {
                let known: bool = db
                    .prepare_cached("SELECT EXISTS (SELECT 1 FROM containers WHERE id = ?1)")?
                    .query_row([&id], |row| row.get(0))?;
                if !known {
                    self.throw_away(&directory)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn refuse_taken(db: &Connection, name: &str, id: &str) -> Result<(), Fault> {
    let holder: Option<String> = db
        .prepare_cached("SELECT id FROM containers WHERE name = ?1 AND id <> ?2")?
        .query_row([name, id], |row| row.get(0))
        .optional()?;
    match holder {
        None => Ok(()),
        Some(holder) => Err(StoreError::NameTaken {
            name: name.to_owned(),
            holder: short(&holder),
        }
        .into()),
    }
}

fn select_container(db: &Connection, id: &str) -> Result<Container, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM containers WHERE id = ?1");
    let found = db
        .prepare_cached(&sql)?
        .query_row([id], read_container)
        .optional()?;
    match found {
        Some(one) => with_layers(db, one),
        None => Err(StoreError::MissingContainer { id: id.to_owned() }.into()),
    }
}

fn with_layers(db: &Connection, mut one: Container) -> Result<Container, Fault> {
    let layers: Vec<String> = db
        .prepare_cached(
            "SELECT layer FROM container_layers WHERE container = ?1 ORDER BY position",
        )?
        .query_map([&one.id], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    one.layers = layers.iter().filter_map(|id| id.parse().ok()).collect();
    Ok(one)
}

fn read_container(row: &Row<'_>) -> rusqlite::Result<Container> {
    let state: String = row.get(5)?;
    Ok(Container {
        id: row.get(0)?,
        name: row.get(1)?,
        image: row
            .get::<_, Option<[u8; 32]>>(2)?
            .map(Digest::from_sha256_bytes),
        image_name: row.get(3)?,
        config: row.get(4)?,
        layers: Vec::new(),
        state: serde_json::from_str(&state).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(5, rusqlite::types::Type::Text, error.into())
        })?,
        created: time::from_millis(row.get(6)?),
    })
}

fn short(id: &str) -> String {
    id.chars().take(12).collect()
}
