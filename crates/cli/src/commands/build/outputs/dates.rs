//! What `source-date-epoch=` and `rewrite-timestamp=` make of an output's times.

use rbuild_export::{Dating, TimesNote};
use rbuild_layer::FileTimes;

/// What an output says about times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dates {
    /// `source-date-epoch=`
    pub(super) epoch: Option<OwnEpoch>,
    /// `rewrite-timestamp=`
    pub(super) rewrite: Option<Rewrite>,
}

/// The `SOURCE_DATE_EPOCH` of one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnEpoch {
    /// `source-date-epoch=`: this output has none.
    None,
    /// Seconds since 1970.
    At(i64),
}

/// Whether the times of files are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rewrite {
    /// They are, and the manifest tells it.
    Told,
    /// They are not.
    Never,
}

impl Dates {
    /// How an output is dated in a build under `built`.
    pub(super) fn dating(self, built: Option<i64>) -> Dating {
        let epoch = match self.epoch {
            None => built,
            Some(OwnEpoch::None) => None,
            Some(OwnEpoch::At(epoch)) => Some(epoch),
        };
        let (files, note) = match (epoch, self.rewrite) {
            (None, _) | (_, Some(Rewrite::Never)) => (FileTimes::Own, TimesNote::None),
            (Some(epoch), None) => (FileTimes::Fixed(epoch), TimesNote::None),
            (Some(epoch), Some(Rewrite::Told)) => {
                (FileTimes::Bounded(epoch), TimesNote::Annotation(epoch))
            }
        };
        Dating {
            created: built,
            latest: epoch,
            files,
            note,
        }
    }
}
