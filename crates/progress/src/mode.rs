//! How a build is shown: the values of `--progress`.

use std::str::FromStr;

/// A value of `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// [`Mode::Tty`] where the output is a terminal, else [`Mode::Plain`].
    #[default]
    Auto,
    /// Lines that can be searched: `#5 [build 2/3] RUN make`.
    Plain,
    /// A picture that is drawn again and again in place.
    Tty,
    /// Nothing.
    Quiet,
    /// One JSON object per line.
    RawJson,
}

/// The text is no mode. The message follows "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read progress mode {text:?}: it is one of auto, plain, tty, quiet, none, rawjson")]
pub struct ModeError {
    /// What was given.
    pub text: String,
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        Ok(match text {
            "auto" | "" => Self::Auto,
            "plain" => Self::Plain,
            "tty" => Self::Tty,
            "quiet" | "none" => Self::Quiet,
            "rawjson" => Self::RawJson,
            _ => {
                return Err(ModeError {
                    text: text.to_owned(),
                });
            }
        })
    }
}
