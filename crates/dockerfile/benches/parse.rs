//! Parsing a long Dockerfile: 1,000 lines are to take less than 2 ms.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rbuild_dockerfile::{Source, lint, parse};

/// A file of 1,000 lines, ten to a stage's round of instructions.
fn thousand_lines() -> Source {
    let mut text = String::new();
    for stage in 0..100 {
        write!(
            text,
            "FROM debian:bookworm AS stage{stage}\n\
             ARG VERSION=1.{stage}\n\
             ENV PATH=/opt/tool/bin:$PATH HOME=\"/root\"\n\
             RUN --mount=type=cache,target=/var/cache/apt apt-get update && \\\n\
             \x20   apt-get install -y --no-install-recommends \\\n\
             \x20   build-essential curl ca-certificates\n\
             COPY --from=stage0 --chown=1000:1000 /src/a /src/b /dst/\n\
             LABEL org.example.stage=\"{stage}\" org.example.kind='bench'\n\
             WORKDIR /work/{stage}\n\
             CMD [\"/bin/tool\", \"--stage\", \"{stage}\"]\n"
        )
        .expect("a string takes all that is written");
    }
    assert_eq!(text.lines().count(), 1000);
    Source::new("Dockerfile", text)
}

fn parsing(criterion: &mut Criterion) {
    let source = thousand_lines();
    criterion.bench_function("parse 1,000 lines", |bencher| {
        bencher.iter(|| parse(black_box(&source)));
    });
    let dockerfile = parse(&source).dockerfile.expect("the file is valid");
    criterion.bench_function("lint 1,000 lines", |bencher| {
        bencher.iter(|| lint(black_box(&dockerfile)));
    });
}

criterion_group!(benches, parsing);
criterion_main!(benches);
