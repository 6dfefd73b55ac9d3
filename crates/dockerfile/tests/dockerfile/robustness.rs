//! Hostile input: no panic, no hang, nothing that grows faster than the file.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rbuild_dockerfile::{
    Diagnostic, Dockerfile, Instruction, InstructionKind, Source, Span, Word, lint, parse,
    parse_mount, parse_onbuild,
};

/// Far more than any of these takes, far less than quadratic time would.
const PATIENCE: Duration = Duration::from_secs(20);

fn parses_in_time(text: String) {
    let start = Instant::now();
    let source = Source::new("Dockerfile", text);
    let parsed = parse(&source);
    let index = source.line_index();
    for found in &parsed.diagnostics {
        index.lines(found.span);
    }
    if let Some(dockerfile) = &parsed.dockerfile {
        lint(dockerfile);
    }
    assert!(start.elapsed() < PATIENCE, "it took {:?}", start.elapsed());
}

#[test]
fn millions_of_short_lines() {
    parses_in_time("a\n".repeat(1_000_000));
    parses_in_time("\n".repeat(200_000));
    parses_in_time("#\n".repeat(1_000_000));
}

#[test]
fn a_continuation_without_end() {
    parses_in_time("FROM a\nRUN a".to_owned() + &"\\\n".repeat(200_000));
    parses_in_time("FROM a\nRUN a".to_owned() + &" \\\n\n".repeat(200_000));
    parses_in_time("FROM a\nENV".to_owned() + &" a=b \\\n".repeat(200_000));
}

#[test]
fn thousands_of_heredocs() {
    parses_in_time("FROM a\n".to_owned() + &"RUN <<A\nA\n".repeat(100_000));
    parses_in_time(
        "FROM a\nCOPY".to_owned() + &" \\\n<<A".repeat(50_000) + " /x\n" + &"A\n".repeat(50_000),
    );
    parses_in_time("FROM a\n".to_owned() + &"RUN <<A <<B\n".repeat(100_000));
}

#[test]
fn thousands_of_flags() {
    parses_in_time(
        "FROM a\nRUN".to_owned()
            + &" \\\n--mount=a".repeat(100_000)
            + &" \\\n--network=x".repeat(100_000),
    );
    parses_in_time("FROM a\nRUN".to_owned() + &" \\\n--unknown".repeat(100_000));
}

#[test]
fn nested_onbuilds() {
    parses_in_time("FROM a\n".to_owned() + &"ONBUILD \\\n".repeat(200_000));
}

#[test]
fn errors_are_collected_but_not_without_end() {
    let parsed = parse(&Source::new(
        "Dockerfile",
        "FROM a\n".to_owned() + &"NOPE\n".repeat(10_000),
    ));
    assert_eq!(parsed.diagnostics.len(), 200);
}

/// Words of the tree, to look at their spans.
fn words(instruction: &Instruction) -> Vec<&Word> {
    let mut words: Vec<&Word> = vec![&instruction.keyword];
    words.extend(&instruction.comments);
    match &instruction.kind {
        InstructionKind::Arg(items) => {
            words.extend(
                items
                    .iter()
                    .flat_map(|item| std::iter::once(&item.name).chain(&item.default)),
            );
        }
        InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => {
            words.extend(pairs.pairs.iter().flat_map(|(key, value)| [key, value]));
        }
        InstructionKind::Expose(list) => words.extend(list),
        InstructionKind::User(word)
        | InstructionKind::Workdir(word)
        | InstructionKind::Stopsignal(word) => {
            words.push(word);
        }
        InstructionKind::Copy(copy) => words.push(&copy.transfer.destination),
        _ => {}
    }
    words
}

fn check_span(source: &Source, span: Span) {
    assert!(
        span.start <= span.end && span.end as usize <= source.text.len(),
        "{span:?}"
    );
    assert!(
        source.text.is_char_boundary(span.start as usize),
        "{span:?}"
    );
    assert!(source.text.is_char_boundary(span.end as usize), "{span:?}");
}

fn check_tree(source: &Source, dockerfile: &Dockerfile) {
    let instructions = dockerfile.global_args.iter().chain(
        dockerfile
            .stages
            .iter()
            .flat_map(|stage| &stage.instructions),
    );
    for instruction in instructions {
        check_span(source, instruction.span);
        for word in words(instruction) {
            check_span(source, word.span);
            let written = &source.text[word.span.range()];
            if !written.contains('\n') && !matches!(instruction.kind, InstructionKind::Copy(_)) {
                assert_eq!(written, word.value);
            }
        }
    }
}

fn check_text(text: &str) {
    let source = Source::new("Dockerfile", text);
    let parsed = parse(&source);
    for Diagnostic { span, .. } in &parsed.diagnostics {
        check_span(&source, *span);
    }
    if let Some(dockerfile) = &parsed.dockerfile {
        check_tree(&source, dockerfile);
        for found in lint(dockerfile) {
            check_span(&source, found.span);
        }
    }
    let _ = parse_onbuild(text);
    let _ = parse_mount(text, |value| Ok(value.to_owned()));
}

/// Pieces that files are made of, so that arbitrary files come near to real ones.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("FROM a\n".to_owned()),
        Just("\\\n".to_owned()),
        Just("<<EOF".to_owned()),
        Just("\nEOF\n".to_owned()),
        Just("[\"a\", \"b\"]".to_owned()),
        Just("--mount=type=cache,".to_owned()),
        Just("--link ".to_owned()),
        Just("# escape=`\n".to_owned()),
        Just("\n# comment\n".to_owned()),
        "(ADD|ARG|CMD|COPY|ENV|EXPOSE|HEALTHCHECK|LABEL|ONBUILD|RUN|SHELL|USER|VOLUME|WORKDIR) ",
        "[a-z='\"$`\\\\ \t\r\n#é\u{feff}-]{0,8}",
    ]
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(text in any::<String>()) {
        check_text(&text);
    }

    #[test]
    fn any_bytes_parse_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check_text(&Source::from_bytes("Dockerfile", bytes).text);
    }

    #[test]
    fn anything_like_a_dockerfile_parses_or_is_refused(pieces in prop::collection::vec(piece(), 0..30)) {
        check_text(&pieces.concat());
        check_text(&("FROM a\n".to_owned() + &pieces.concat()));
    }

    #[test]
    fn the_index_agrees_with_the_source(text in "[a\né\r]{0,40}", offset in 0_u32..60) {
        let source = Source::new("Dockerfile", text);
        let boundary = (0..=offset.min(source.text.len() as u32)).rev().find(|&at| source.text.is_char_boundary(at as usize));
        let offset = boundary.expect("0 is a boundary");
        prop_assert_eq!(source.line_index().position(offset), source.position(offset));
    }
}
