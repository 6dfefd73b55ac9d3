//! A cached build against a clean one, over made-up Dockerfiles, contexts and edits.
//!
//! A case is a [`world::World`] and some [`edits::Edit`]s. After each edit (see [`property`]):
//!
//! - the image is, layer by layer and in its config, what an empty root makes of the same;
//! - a step whose inputs were all there in an earlier build did not run ([`oracle`]);
//! - the edit taken back, and made again, runs nothing and gives the old image, times included.
//!
//! All of it happens in this process, on real files and in real sandboxes. Cases come from numbered seeds, so a
//! failure is there again next time, and proptest makes it small. For a long run:
//!
//! ```text
//! RBUILD_MODEL_CASES=2000 RBUILD_MODEL_SEED=1000000 cargo nextest run -p rbuild-solve --test model
//! ```
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a program"
)]

mod bases;
mod context;
mod dump;
mod edits;
#[path = "../common/harness.rs"]
mod harness;
mod machine;
mod oracle;
mod property;
mod random;
mod render;
mod world;

use std::process::ExitCode;

use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use bases::Bases;
use harness::{Case, Result};

/// Made-up worlds for each of the tests below, each edited several times, where nobody asks for more.
const CASES: u64 = 8;
/// Tests that share the cases, so that they run beside each other.
const SHARES: u64 = 4;

fn main() -> ExitCode {
    let all: &[Case] = &[
        ("a_cached_build_is_a_clean_one::1", || share(0)),
        ("a_cached_build_is_a_clean_one::2", || share(1)),
        ("a_cached_build_is_a_clean_one::3", || share(2)),
        ("a_cached_build_is_a_clean_one::4", || share(3)),
    ];
    harness::main(all)
}

fn number(variable: &str) -> Result<Option<u64>> {
    match std::env::var(variable) {
        Ok(text) => Ok(Some(
            text.parse()
                .map_err(|error| format!("{variable}: {error}"))?,
        )),
        Err(_) => Ok(None),
    }
}

fn share(which: u64) -> Result {
    let cases = number("RBUILD_MODEL_CASES")?.unwrap_or(CASES);
    let first = number("RBUILD_MODEL_SEED")?.unwrap_or(0);
    self::cases((0..cases).map(|case| first + which + case * SHARES))
}

fn cases(mut seeds: impl Iterator<Item = u64>) -> Result {
    let directory = machine::directory()?;
    let bases = Bases::make(directory.path())?;
    seeds.try_for_each(|seed| case(&bases, seed))
}

/// The case of a seed.
fn case(bases: &Bases, seed: u64) -> Result {
    let config = Config {
        cases: 1,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let strategy = (random::worlds(), vec(edits::edits(), 1..6), 1..5_usize);
    let ran = TestRunner::new_with_rng(config, random).run(&strategy, |(world, edits, jobs)| {
        property::holds(bases, &world, &edits, jobs)
            .map_err(|error| TestCaseError::fail(error.to_string()))
    });
    ran.map_err(|error| match error {
        TestError::Fail(reason, (world, edits, jobs)) => {
            format!("seed {seed}, {jobs} jobs: {reason}\n--- {world:#?}\n--- {edits:#?}").into()
        }
        TestError::Abort(reason) => format!("seed {seed}: {reason}").into(),
    })
}
