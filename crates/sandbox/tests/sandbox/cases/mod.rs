//! The cases, by topic. Each holds for root and, with less where less exists, for normal users.

use rbuild_sandbox::{Access, InitFailure, Mount, Programs, SandboxError, Source};

use crate::world::Output;

pub(crate) type Case = (&'static str, fn());

/// Names the cases of a topic.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(super) const ALL: &[super::Case] = &[$((stringify!($name), $name)),*];
    };
}

mod fence;
mod files;
mod life;
mod process;

/// All cases.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [process::ALL, fence::ALL, files::ALL, life::ALL]
        .into_iter()
        .flatten()
}

/// Why the init gave up.
fn init_failure(result: Result<Output, SandboxError>) -> InitFailure {
    match result {
        Err(SandboxError::Init(failure)) => failure,
        other => panic!("expected a failed start, got {other:?}"),
    }
}

/// An empty file system in memory.
fn tmpfs(target: &str) -> Mount {
    Mount {
        target: target.into(),
        source: Source::Tmpfs {
            bytes: Some(1 << 20),
            mode: 0o1777,
            owner: (0, 0),
            programs: Programs::Started,
        },
        access: Access::ReadWrite,
    }
}
