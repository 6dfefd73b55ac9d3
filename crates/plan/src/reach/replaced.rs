//! Images that source policies replace.

use rbuild_image::Reference;

use super::Base;
use crate::NamedContext;
use crate::build::Build;
use crate::policy::Replacement;

/// What source policies put in the place of an image. A denial is not told here: whoever resolves the image, which may
/// not be needed at all, will meet it.
pub(super) fn replaced(reference: &Reference, build: &Build<'_>) -> Option<Base> {
    let options = build.options;
    if options.policies.is_empty() {
        return None;
    }
    let context = |kind| Some(Base::Context(reference.familiar(), kind));
    match options.policies.replacement(reference).ok()? {
        Replacement::Image(image) if image == *reference => None,
        Replacement::Image(image) => Some(Base::Image(image.familiar())),
        Replacement::Git(git) => context(NamedContext::Git(git)),
        Replacement::Http(http) => context(NamedContext::Http(http)),
        Replacement::Local(name) => match options.contexts.get(&name)? {
            NamedContext::Local => Some(Base::Context(name, NamedContext::Local)),
            _ => None,
        },
    }
}
