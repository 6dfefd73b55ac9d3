//! One request, brought to its end.
//!
//! ```text
//! send         retries what may pass, waits as told          retry.rs
//!  └ authorize   answers challenges with credentials         challenge.rs, scope.rs, token.rs
//!     └ follow     goes where it is sent, without them       redirect.rs
//!        └ once      one exchange over ureq                  agent.rs
//! ```

mod agent;
mod body;
mod cancel;
mod challenge;
mod endpoint;
mod exchange;
mod offline;
mod redirect;
mod retry;
mod scope;
mod site;
mod token;

pub(crate) use agent::Agents;
pub(crate) use body::{Body, Growing, Source};
pub(crate) use cancel::CancelFlag;
pub(crate) use endpoint::Endpoint;
pub(crate) use exchange::{Call, Patience, Retry, Transport};
pub(crate) use offline::Offline;
pub(crate) use retry::Backoff;
pub(crate) use scope::Scope;
pub(crate) use site::sites_of;
