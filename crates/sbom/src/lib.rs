//! A bill of materials: which packages a file system has, read from the databases that their managers keep there and
//! from the lock files of programming languages, written as an SPDX 2.3 document.
//!
//! ```text
//! Files ─┬─ dpkg, apk, rpm        ─┐
//!        ├─ Python's dist-info     ├→ [Package] ─→ spdx::document
//!        └─ lock files             ─┘
//! ```
//!
//! It runs nothing, and does not guess from file names or program bytes: what no manager wrote down is not in it. All
//! databases are taken as hostile: one that cannot be read is a [`Finding`] beside the packages of the others.
//!
//! ```
//! use std::io;
//! use rbuild_sbom::{Files, scan};
//!
//! struct One;
//! impl Files for One {
//!     fn paths(&self) -> Vec<String> {
//!         vec!["var/lib/dpkg/status".to_owned()]
//!     }
//!     fn read(&self, _path: &str, _limit: u64) -> io::Result<Option<Vec<u8>>> {
//!         let status = b"Package: bash\nStatus: install ok installed\nVersion: 5.2\nArchitecture: amd64\n";
//!         Ok(Some(status.to_vec()))
//!     }
//! }
//! let inventory = scan(&One);
//! assert_eq!(inventory.packages[0].purl(), "pkg:deb/debian/bash@5.2?arch=amd64");
//! ```
#![forbid(unsafe_code)]

mod apk;
mod distribution;
mod dpkg;
mod lock;
mod package;
mod python;
mod rpm;
mod scan;
mod spdx;

pub use distribution::Distribution;
pub use package::{Ecosystem, Package};
pub use scan::{Files, Finding, Inventory, scan};
pub use spdx::{SPDX_PREDICATE, Subject, document};
