//! What `rbuild verify` makes of the arguments of a build: the same build, all of it, with its result in a directory and
//! nowhere else.

use std::path::PathBuf;

use rbuild_plan::parse_git_context;

use super::args::Args;
use super::dockerfile_file::is_web;
use crate::lender::Lender;

/// The directory that is the context, if it is one.
pub(crate) fn local_context(args: &Args) -> anyhow::Result<Option<PathBuf>> {
    let text = args.context.as_str();
    let is_local = text != "-" && !is_web(text) && parse_git_context(text)?.is_none();
    Ok(is_local.then(|| PathBuf::from(text)))
}

/// The directory of a build of `verify` for its cache mounts, beside its result.
pub(super) fn mounts(args: &Args) -> Option<PathBuf> {
    let layout = args.verify_layout.as_ref()?;
    Some(layout.with_extension("mounts"))
}

/// The store that lends its base images to a build of `verify` in a store of its own.
pub(super) fn lender(args: &Args) -> anyhow::Result<Option<Lender>> {
    args.verify_bases.as_deref().map(Lender::open).transpose()
}

/// The arguments of a build whose result goes to `args.verify_layout`, if they are for one.
pub(super) fn settled(args: &Args) -> Option<Args> {
    let layout = args.verify_layout.as_ref()?;
    // With a level of its own each build compresses by itself.
    let output = format!(
        "type=oci,tar=false,\"dest={}\",compression=gzip,compression-level=6",
        layout.display()
    );
    Some(Args {
        context: args
            .verify_context
            .clone()
            .unwrap_or_else(|| args.context.clone()),
        outputs: vec![output],
        no_cache: true,
        tags: Vec::new(),
        load: false,
        push: false,
        iidfile: None,
        digest_file: None,
        metadata_file: None,
        depfile: None,
        watch: false,
        cache_to: Vec::new(),
        ..args.clone()
    })
}
