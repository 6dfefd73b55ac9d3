//! Parsing and planning a Dockerfile of 1,000 lines: less than 2 ms.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use rbuild_dockerfile::{Source, parse};
use rbuild_image::{DiffId, Digest, ImageConfig, Platform};
use rbuild_plan::{ImageOrigin, Images, PlanOptions, ResolveError, ResolvedImage, plan};

struct OneImage(Arc<ResolvedImage>);

impl Images for OneImage {
    fn resolve(&self, _: &str, _: &Platform) -> Result<Arc<ResolvedImage>, ResolveError> {
        Ok(Arc::clone(&self.0))
    }
}

fn image() -> OneImage {
    let mut config = ImageConfig {
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        ..ImageConfig::default()
    };
    config.rootfs.diff_ids = vec![DiffId(Digest::sha256_of(b"layer"))];
    OneImage(Arc::new(ResolvedImage {
        origin: ImageOrigin::Registry("debian".to_owned()),
        manifest: Digest::sha256_of(b"manifest"),
        config,
        layers: Vec::new(),
    }))
}

/// Ten stages of a hundred lines, each as real files are: variables, installs, copies, metadata.
fn thousand_lines() -> String {
    let mut text = String::new();
    for stage in 0..10 {
        let _ = writeln!(text, "FROM debian:bookworm AS stage{stage}");
        for part in 0..9 {
            let _ = write!(
                text,
                "ARG VERSION{part}=1.{part}\nENV NAME{part}=value-$VERSION{part} PATH=/opt/{part}/bin:$PATH\nWORKDIR /src/{part}\n\
                 COPY --chown=1000:1000 package{part}.json lock{part}.yaml ./\n\
                 RUN --mount=type=cache,target=/root/.cache/{part} apt-get update && \\\n    apt-get install -y \\\n      gcc \\\n      make={part}\n\
                 # a comment\nLABEL part{part}=\"a label of $NAME{part}\"\n"
            );
        }
        if stage > 0 {
            let _ = writeln!(text, "COPY --from=stage{} /out /in", stage - 1);
        }
    }
    text
}

fn parse_and_plan(criterion: &mut Criterion) {
    let source = Source {
        name: "Dockerfile".to_owned(),
        text: thousand_lines(),
    };
    assert!(
        (900..1100).contains(&source.text.lines().count()),
        "{}",
        source.text.lines().count()
    );
    let images = image();
    let options = PlanOptions::default();
    criterion.bench_function("parse and plan 1,000 lines", |bencher| {
        // A build keeps its plan to the end.
        bencher.iter_with_large_drop(|| {
            let parsed = parse(black_box(&source));
            let dockerfile = parsed.dockerfile.expect("the file is good");
            let planned = plan(&source, &dockerfile, &options, &images).expect("the file is good");
            (dockerfile, planned)
        });
    });
    let dockerfile = parse(&source).dockerfile.expect("the file is good");
    criterion.bench_function("plan 1,000 lines", |bencher| {
        bencher.iter(|| {
            plan(&source, black_box(&dockerfile), &options, &images).expect("the file is good")
        });
    });
}

criterion_group!(benches, parse_and_plan);
criterion_main!(benches);
