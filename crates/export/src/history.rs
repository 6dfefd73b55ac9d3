//! An image's history: one entry with a layer for each layer, and a time for each new entry.

use rbuild_image::HistoryEntry;

/// What the entry of a layer says that no instruction made: one of a base image whose history does not tell of it, or a
/// directory that stands in for a base image.
const UNTOLD_COMMENT: &str = "rbuild: a layer without a history of its own";

/// What dates the new entries of an image without new layers.
pub(crate) enum BaseTime {
    /// The base image's last entry.
    Inherited,
    /// This time.
    Replaced(String),
}

/// Makes `history` match the layers: its first `base_entries` came with the base image. `layer_times` has the time of
/// each layer, bottom first, and nothing for those of a base image.
pub(crate) fn complete(
    history: &mut Vec<HistoryEntry>,
    base_entries: usize,
    layer_times: &[Option<String>],
    base_time: BaseTime,
) {
    let base_entries = base_entries.min(history.len());
    let new_layers = with_layer(&history[base_entries..]);
    let base_layers = layer_times.len().saturating_sub(new_layers);
    let added = match_base(history, base_entries, &layer_times[..base_layers]);
    let (base, new) = history.split_at_mut(base_entries + added);
    let base_time = match base_time {
        BaseTime::Inherited => base.iter().rev().find_map(|entry| entry.created.clone()),
        BaseTime::Replaced(time) => Some(time),
    };
    fill_times(new, &layer_times[base_layers..], base_time);
}

fn with_layer(history: &[HistoryEntry]) -> usize {
    history.iter().filter(|entry| !entry.empty_layer).count()
}

/// Tools refuse an image whose history has more or fewer entries with a layer than there are layers: entries that are
/// missing come after those of the base, superfluous ones lose their layer, lowest first. Tells how many were added.
fn match_base(
    history: &mut Vec<HistoryEntry>,
    base_entries: usize,
    layer_times: &[Option<String>],
) -> usize {
    let told = with_layer(&history[..base_entries]);
    let superfluous = told.saturating_sub(layer_times.len());
    let base = history[..base_entries].iter_mut();
    for entry in base.filter(|entry| !entry.empty_layer).take(superfluous) {
        entry.empty_layer = true;
    }
    let untold = layer_times.iter().skip(told).map(|time| HistoryEntry {
        created: time.clone(),
        comment: UNTOLD_COMMENT.to_owned(),
        ..HistoryEntry::default()
    });
    let untold: Vec<_> = untold.collect();
    let added = untold.len();
    history.splice(base_entries..base_entries, untold);
    added
}

/// Gives every new entry a time (RFC 3339): a layer's entry has its layer's. Metadata before the first new layer is as
/// old as that layer, what comes later is as old as the layer before it.
fn fill_times(new: &mut [HistoryEntry], times: &[Option<String>], base_time: Option<String>) {
    let mut current = times.iter().flatten().next().cloned().or(base_time);
    let mut times = times.iter();
    for entry in new {
        if !entry.empty_layer
            && let Some(Some(time)) = times.next()
        {
            current = Some(time.clone());
        }
        entry.created.clone_from(&current);
    }
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

    /// The times of the completed history, and which entries have a layer.
    fn completed(
        mut history: Vec<HistoryEntry>,
        base: usize,
        layers: &[Option<&str>],
    ) -> Vec<(String, bool)> {
        let layers: Vec<_> = layers.iter().map(|time| time.map(str::to_owned)).collect();
        complete(&mut history, base, &layers, BaseTime::Inherited);
        history
            .into_iter()
            .map(|entry| (entry.created.unwrap_or_default(), !entry.empty_layer))
            .collect()
    }

    fn expect(expected: &[(&str, bool)]) -> Vec<(String, bool)> {
        expected
            .iter()
            .map(|(time, layer)| ((*time).to_owned(), *layer))
            .collect()
    }

    #[test]
    fn metadata_before_a_new_layer_is_as_old_as_that_layer_not_as_the_base() {
        let history = vec![
            entry(Some("base"), false),
            entry(None, true),
            entry(None, false),
        ];
        assert_eq!(
            completed(history, 1, &[None, Some("new")]),
            expect(&[("base", true), ("new", false), ("new", true)])
        );
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
            completed(history, 0, &[Some("one"), Some("two")]),
            expect(&[("one", true), ("one", false), ("two", true), ("two", false)])
        );
    }

    #[test]
    fn an_image_without_new_layers_takes_its_times_from_the_base() {
        let history = vec![entry(Some("base"), false), entry(None, true)];
        assert_eq!(
            completed(history, 1, &[None]),
            expect(&[("base", true), ("base", false)])
        );
    }

    #[test]
    fn a_base_without_history_gets_an_entry_for_each_of_its_layers() {
        let history = vec![entry(None, true), entry(None, false)];
        assert_eq!(
            completed(history, 0, &[None, None, Some("new")]),
            expect(&[("", true), ("", true), ("new", false), ("new", true)])
        );
    }

    #[test]
    fn a_base_history_with_too_many_layers_is_cut_from_the_bottom() {
        let history = vec![
            entry(Some("a"), false),
            entry(Some("b"), false),
            entry(None, false),
        ];
        assert_eq!(
            completed(history, 2, &[None, Some("new")]),
            expect(&[("a", false), ("b", true), ("new", true)])
        );
    }

    #[test]
    fn a_base_that_is_a_directory_has_an_entry_of_its_own_time() {
        let history = vec![entry(None, false)];
        assert_eq!(
            completed(history, 0, &[Some("directory"), Some("new")]),
            expect(&[("directory", true), ("new", true)])
        );
    }
}
