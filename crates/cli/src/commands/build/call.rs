//! `--call=FUNCTION[,format=json][,ignorestatus=true]`: questions to a Dockerfile.

use anyhow::bail;

use super::args::boolean;

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) format: Format,
    pub(super) status: Status,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    /// Are there mistakes?
    Check,
    /// What does the target ask for?
    Outline,
    /// What can be built?
    Targets,
    /// What can be asked?
    Describe,
}

/// What the answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// People.
    Text,
    /// Programs.
    Json,
}

/// Whether a bad answer is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Yes.
    Told,
    /// No.
    Ignored,
}

impl Call {
    /// The question in text, with the usual exit status.
    pub(super) fn new(function: Function) -> Self {
        Self {
            function,
            format: Format::Text,
            status: Status::Told,
        }
    }

    /// Takes the flag's value apart; `None` is to build as usual.
    pub(super) fn parse(text: &str) -> anyhow::Result<Option<Self>> {
        let mut call = Self::new(Function::Check);
        let mut name = None;
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("format", "json")) => call.format = Format::Json,
                Some(("format", "text" | "")) => call.format = Format::Text,
                Some(("format", other)) => {
                    bail!("invalid --call {text:?}: format {other:?} is neither json nor text")
                }
                Some(("ignorestatus", value)) => match boolean(value) {
                    Ok(true) => call.status = Status::Ignored,
                    Ok(false) => call.status = Status::Told,
                    Err(reason) => bail!("invalid --call {text:?}: ignorestatus: {reason}"),
                },
                Some((key, _)) => bail!("invalid --call {text:?}: there is no option {key:?}"),
                None if name.is_some() => bail!("invalid --call {text:?}: it names two methods"),
                None => name = Some(field),
            }
        }
        call.function = match name.unwrap_or_default() {
            "" | "build" => return Ok(None),
            "check" | "lint" => Function::Check,
            "outline" => Function::Outline,
            "targets" => Function::Targets,
            "subrequests.describe" => Function::Describe,
            other => bail!(
                "invalid --call {text:?}: there is no method {other:?}; it is build, check, outline, targets or \
                 subrequests.describe"
            ),
        };
        Ok(Some(call))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_a_method_and_options() {
        let parse = |text| Call::parse(text).expect("valid");
        assert_eq!(parse("build"), None);
        assert_eq!(parse(""), None);
        assert_eq!(parse("lint"), Some(Call::new(Function::Check)));
        assert_eq!(
            parse("check,format=json,ignorestatus=true"),
            Some(Call {
                function: Function::Check,
                format: Format::Json,
                status: Status::Ignored
            })
        );
        for wrong in ["what", "check,outline", "check,format=xml", "check,a=b"] {
            assert!(Call::parse(wrong).is_err(), "{wrong}");
        }
    }
}
