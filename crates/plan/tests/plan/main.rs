//! What the plan promises, by topic: each test is named after a promise.

mod bounds;
mod checks;
mod common;
mod configs;
mod copies;
mod drawing;
mod lints;
mod onbuild;
mod outlines;
mod platforms;
mod runs;
mod stages;
mod variables;
