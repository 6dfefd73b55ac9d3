//! What the keys of a large build cost: 1,000 steps in at most 5 ms.
#![allow(missing_docs, reason = "criterion's macros make items without")]

use criterion::{Criterion, criterion_group, criterion_main};
use rbuild_cache::{Chain, exec_preimage};
use rbuild_image::{ContentId, LayerId, Platform};
use rbuild_plan::{Exec, NetworkMode, SecurityMode};

const STEPS: usize = 1000;
/// Layers below a step, variables of a step: more than most builds have.
const LAYERS: usize = 30;
const VARIABLES: usize = 20;

fn exec(number: usize) -> Exec {
    Exec {
        args: vec![
            "/bin/sh".into(),
            "-c".into(),
            format!("make target-{number}").into(),
        ],
        env: (0..VARIABLES)
            .map(|variable| format!("VARIABLE_{variable}=some value of usual length"))
            .collect(),
        proxy_env: Vec::new(),
        cwd: "/src".into(),
        user: "".into(),
        mounts: Vec::new(),
        network: NetworkMode::Default,
        security: SecurityMode::Sandbox,
        hostname: "buildkitsandbox".into(),
        extra_hosts: Vec::new(),
        shm_size: None,
        devices: Vec::new(),
        ulimits: Vec::new(),
    }
}

fn keys(criterion: &mut Criterion) {
    let steps: Vec<Exec> = (0..STEPS).map(exec).collect();
    let layers = [LayerId::Made(ContentId([7; 32])); LAYERS];
    let platform = Platform::new("linux", "amd64", "");
    criterion.bench_function("keys of 1,000 steps", |bencher| {
        bencher.iter(|| {
            steps
                .iter()
                .map(|step| exec_preimage(step, &platform, Chain::of(&layers), &[]).key())
                .collect::<Vec<_>>()
        });
    });
}

criterion_group!(benches, keys);
criterion_main!(benches);
