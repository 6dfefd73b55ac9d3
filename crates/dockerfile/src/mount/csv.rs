//! One record of comma-separated values as Go's `encoding/csv` reads it: a field that begins with `"` is quoted, `""`
//! within is a quote, and quotes anywhere else are errors.

use thiserror::Error;

/// Why a text is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CsvError {
    /// Nothing there.
    #[error("EOF")]
    Empty,
    /// `a"b`
    #[error("bare \" in non-quoted-field")]
    BareQuote,
    /// `"a"b`, or no closing quote.
    #[error("extraneous or missing \" in quoted-field")]
    Quote,
}

/// The fields of the first record.
pub(super) fn record(text: &str) -> Result<Vec<String>, CsvError> {
    let mut rest = text.trim_start_matches(['\r', '\n']);
    if rest.is_empty() {
        return Err(CsvError::Empty);
    }
    let mut fields = Vec::new();
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None if after.is_empty() || after.starts_with(['\r', '\n']) => return Ok(fields),
            None => return Err(CsvError::Quote),
        }
    }
}

fn plain_field(text: &str) -> Result<(String, &str), CsvError> {
    let (field, after) = text.split_at(text.find([',', '\n']).unwrap_or(text.len()));
    if field.contains('"') {
        return Err(CsvError::BareQuote);
    }
    Ok((field.to_owned(), after))
}

fn quoted_field(text: &str) -> Result<(String, &str), CsvError> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or(CsvError::Quote)?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Ok((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CsvError, record};
    use rstest::rstest;

    #[rstest]
    #[case("a,b", &["a", "b"])]
    #[case("a,", &["a", ""])]
    #[case(",", &["", ""])]
    #[case(r#""a,b",c"#, &["a,b", "c"])]
    #[case(r#""a""b""#, &[r#"a"b"#])]
    #[case("a\nb", &["a"])]
    fn fields_are_parted_at_commas_outside_of_quotes(#[case] text: &str, #[case] fields: &[&str]) {
        assert_eq!(
            record(text),
            Ok(fields.iter().map(ToString::to_string).collect())
        );
    }

    #[rstest]
    #[case("", CsvError::Empty)]
    #[case(r#"a"b"#, CsvError::BareQuote)]
    #[case(r#""a"b"#, CsvError::Quote)]
    #[case(r#""a"#, CsvError::Quote)]
    fn misplaced_quotes_are_errors(#[case] text: &str, #[case] error: CsvError) {
        assert_eq!(record(text), Err(error));
    }
}
