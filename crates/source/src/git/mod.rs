//! Git sources: what a URL means ([`url`]), running `git` safely ([`program`]), resolving and fetching
//! ([`fetch`]), and the files of a commit ([`checkout`]).

mod checkout;
mod fetch;
mod processes;
mod program;
pub(crate) mod url;

pub use checkout::GitCheckout;
pub use fetch::{GitClient, GitCommit};
pub use program::{GitOptions, GitProtocols};
pub(crate) use url::redact;
pub use url::{GitFiles, GitTimes, GitUrl, SubmodulePolicy};
