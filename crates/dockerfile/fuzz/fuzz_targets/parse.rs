//! Any bytes as a Dockerfile: parsed, linted and planned. Nothing panics, and every span lies inside the text.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use rbuild_dockerfile::{Diagnostic, Source, detect_syntax, lint, parse};
use rbuild_image::{Digest, ImageConfig, Platform};
use rbuild_plan::{
    ImageOrigin, Images, PlanError, PlanOptions, ResolveError, ResolvedImage, Scope, base_images,
    plan, to_dot, to_json,
};

/// Every image exists; those whose name starts with `trigger` have triggers.
struct AnyImage;

impl Images for AnyImage {
    fn resolve(&self, name: &str, platform: &Platform) -> Result<Arc<ResolvedImage>, ResolveError> {
        if name.starts_with("missing") {
            return Err(ResolveError::new("not found"));
        }
        let mut config = ImageConfig {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            ..ImageConfig::default()
        };
        if let Some(trigger) = name.strip_prefix("trigger") {
            let triggers = [
                format!("COPY --from={trigger} /x /y"),
                "RUN $A <<E\nx\nE".to_owned(),
            ];
            config.config.on_build = Some(triggers.to_vec());
        }
        Ok(Arc::new(ResolvedImage {
            origin: ImageOrigin::Registry(name.to_owned()),
            manifest: Digest::sha256_of(name.as_bytes()),
            config,
            layers: Vec::new(),
        }))
    }
}

fn check(source: &Source, diagnostics: &[Diagnostic]) {
    let index = source.line_index();
    for found in diagnostics {
        assert!(source.text.get(found.span.range()).is_some(), "{found:?}");
        assert_eq!(index.lines(found.span), source.lines(found.span));
    }
}

fuzz_target!(|bytes: Vec<u8>| {
    let source = Source::from_bytes("Dockerfile", bytes);
    detect_syntax(&source.text);
    let parsed = parse(&source);
    check(
        &source,
        &parsed.diagnostics[..parsed.diagnostics.len().min(20)],
    );
    let Some(dockerfile) = parsed.dockerfile else {
        return;
    };
    check(&source, &lint(&dockerfile));
    for scope in [Scope::Target, Scope::AllStages] {
        let options = PlanOptions {
            scope,
            build_args: vec![
                ("A".to_owned(), "a b,c".to_owned()),
                ("http_proxy".to_owned(), "p".to_owned()),
            ],
            ..PlanOptions::default()
        };
        base_images(&dockerfile, &options);
        match plan(&source, &dockerfile, &options, &AnyImage) {
            Ok(planned) => {
                check(&source, &planned.warnings);
                to_dot(&planned.plan);
                to_json(&planned.plan);
            }
            Err(PlanError::Mistakes { diagnostics }) => check(&source, &diagnostics),
            Err(_) => {}
        }
    }
});
