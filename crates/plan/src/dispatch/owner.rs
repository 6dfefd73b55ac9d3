//! Who owns what a step makes.

use crate::Owner;

/// `--chown=` and `USER`: numbers as they are (the group of a lone number is that number), root is 0 whatever the image
/// says, other names for later.
pub(super) fn owner(text: &str) -> Result<Owner, String> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, (!group.is_empty()).then_some(group)),
        None => (text, None),
    };
    let uid = match user {
        "" => Ok(Some(0)),
        user => id(user),
    };
    let uid = uid?;
    let gid = match group {
        Some(group) => id(group)?,
        None => uid,
    };
    Ok(match (uid, gid) {
        (Some(uid), Some(gid)) => Owner::Ids { uid, gid },
        _ => Owner::Named(text.to_owned()),
    })
}

/// The number that `text` is, or that everybody knows for it.
fn id(text: &str) -> Result<Option<u32>, String> {
    match text.parse() {
        Ok(UNCHANGED) => Err(format!(
            "invalid owner {text}: the largest ID is {}",
            UNCHANGED - 1
        )),
        Ok(id) => Ok(Some(id)),
        Err(_) => Ok((text == "root").then_some(0)),
    }
}

/// What `chown` takes for "leave it as it is".
const UNCHANGED: u32 = u32::MAX;
