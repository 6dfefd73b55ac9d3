//! Times of history entries: a layer's entry has its layer's time, the others take the nearest.

use rbuild_image::HistoryEntry;

/// Gives every entry of `history` a time (RFC 3339). `layer_times` are the layers' times, bottom first; an entry of a
/// base image keeps its own. The rule is BuildKit's: metadata before the first new layer is as old as that layer, what
/// comes later is as old as the layer before it.
pub(crate) fn fill_times(history: &mut [HistoryEntry], layer_times: &[String]) {
    let mut layers = layer_times.iter();
    for entry in history.iter_mut().filter(|entry| !entry.empty_layer) {
        let time = layers.next();
        if entry.created.is_none() {
            entry.created = time.cloned();
        }
    }
    let mut current = first_new_time(history);
    let mut filling = false;
    for entry in history {
        match &entry.created {
            Some(time) if filling => current = Some(time.clone()),
            Some(_) => {}
            None => {
                filling = true;
                entry.created.clone_from(&current);
            }
        }
    }
}

/// The time of the first entry after the first one without a time; else of the last that has one.
fn first_new_time(history: &[HistoryEntry]) -> Option<String> {
    let mut found = None;
    let mut missing = false;
    for entry in history {
        match &entry.created {
            Some(time) => {
                found = Some(time.clone());
                if missing {
                    break;
                }
            }
            None => missing = true,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(created: Option<&str>, empty_layer: bool) -> HistoryEntry {
        HistoryEntry {
            created: created.map(str::to_owned),
            empty_layer,
            ..HistoryEntry::default()
        }
    }

    fn filled(mut history: Vec<HistoryEntry>, layers: &[&str]) -> Vec<String> {
        let layers: Vec<String> = layers.iter().map(|&time| time.to_owned()).collect();
        fill_times(&mut history, &layers);
        history
            .into_iter()
            .map(|entry| entry.created.unwrap_or_default())
            .collect()
    }

    #[test]
    fn metadata_before_a_new_layer_is_as_old_as_that_layer_not_as_the_base() {
        let history = vec![
            entry(Some("base"), false),
            entry(None, true),
            entry(None, false),
        ];
        assert_eq!(filled(history, &["ignored", "new"]), ["base", "new", "new"]);
    }

    #[test]
    fn metadata_after_a_layer_is_as_old_as_that_layer() {
        let history = vec![
            entry(None, false),
            entry(None, true),
            entry(None, false),
            entry(None, true),
        ];
        assert_eq!(
            filled(history, &["one", "two"]),
            ["one", "one", "two", "two"]
        );
    }

    #[test]
    fn an_image_without_new_layers_takes_its_times_from_the_base() {
        let history = vec![entry(Some("base"), false), entry(None, true)];
        assert_eq!(filled(history, &["base"]), ["base", "base"]);
    }
}
