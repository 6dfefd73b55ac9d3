//! Cache mounts in remote caches: what a mount held when a build that wrote to the cache was over.
//!
//! ```text
//! tar of the mount ─ split ─→ heads ────┐ cut where their content says, compressed
//!                       └───→ contents ─┴─→ chunks: blobs of the place ─ listed by ─→ MountSnapshot
//! ```
//!
//! The heads of a tar (names, modes, times) are kept apart from the contents, so that a new time alone sends no contents again. A
//! chunk ends where its last bytes say so, whatever stands before it: what was put in or taken out changes the chunks that it is
//! in. Chunks that a place has are not sent.

mod chunks;
mod exchange;
mod snapshot;
mod split;
mod transfer;

pub use exchange::{MountExchange, UsedMount};
pub use snapshot::{Chunk, MountSnapshot};
pub use transfer::{Sent, fetch_mount, send_mount};
