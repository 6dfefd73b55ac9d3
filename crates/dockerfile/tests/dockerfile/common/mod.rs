//! What the tests of the parser share.

use rbuild_dockerfile::{
    Diagnostic, Dockerfile, Instruction, InstructionKind, Severity, Source, Word, parse,
};

/// The tree of a file that has no error.
pub(crate) fn tree(text: &str) -> Dockerfile {
    let parsed = parse(&Source::new("Dockerfile", text));
    let diagnostics = parsed.diagnostics;
    parsed
        .dockerfile
        .unwrap_or_else(|| panic!("it has errors: {diagnostics:#?}"))
}

/// The first instruction behind `FROM scratch`.
pub(crate) fn instruction(text: &str) -> Instruction {
    let file = format!("FROM scratch\n{text}");
    tree(&file).stages.remove(0).instructions.remove(0)
}

/// What the first instruction behind `FROM scratch` is.
pub(crate) fn kind(text: &str) -> InstructionKind {
    instruction(text).kind
}

/// The error messages of a file.
pub(crate) fn errors(text: &str) -> Vec<String> {
    diagnostics(text)
        .into_iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| diagnostic.message)
        .collect()
}

/// All that is found in a file.
pub(crate) fn diagnostics(text: &str) -> Vec<Diagnostic> {
    parse(&Source::new("Dockerfile", text)).diagnostics
}

/// The words' values.
pub(crate) fn values<'a>(words: impl IntoIterator<Item = &'a Word>) -> Vec<&'a str> {
    words.into_iter().map(|word| word.value.as_str()).collect()
}
