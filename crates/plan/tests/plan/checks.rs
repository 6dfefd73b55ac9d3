//! What `--check` tells of whole files: rule, line and sentence, and which stages count.

use rbuild_dockerfile::{Diagnostic, Severity, Source, parse};
use rbuild_plan::{PlanError, PlanOptions, Scope, lint_rule, plan, syntax_warnings};
use rstest::rstest;

use crate::common::{Shelf, args};

/// `line Rule: sentence`, as a build with `options` tells them, and the error, if there is one.
fn told(text: &str, options: PlanOptions) -> (Vec<String>, Option<String>) {
    let source = Source::new("Dockerfile", text);
    let parsed = parse(&source);
    let (errors, warnings): (Vec<_>, Vec<_>) = parsed
        .diagnostics
        .into_iter()
        .partition(|found| found.severity == Severity::Error);
    let Some(dockerfile) = parsed.dockerfile else {
        let warnings = syntax_warnings(&parsed.directives, &options, warnings);
        let error = errors.first().map(|error| error.headline(&source));
        return (lines(&source, &warnings), error);
    };
    let mut found = warnings;
    found.extend(rbuild_dockerfile::lint(&dockerfile));
    let options = PlanOptions {
        syntax_warnings: found,
        ..options
    };
    match plan(&source, &dockerfile, &options, &Shelf::standard()) {
        Ok(planned) => (lines(&source, &planned.warnings), None),
        Err(PlanError::Mistakes { diagnostics }) => {
            let (errors, warnings): (Vec<_>, Vec<_>) = diagnostics
                .into_iter()
                .partition(|found| found.severity == Severity::Error);
            let error = errors.first().map(|error| error.headline(&source));
            (lines(&source, &warnings), error)
        }
        Err(PlanError::Resolve { warnings, .. }) => {
            (lines(&source, &warnings), Some("resolve".to_owned()))
        }
        Err(error) => panic!("{error}"),
    }
}

fn lines(source: &Source, warnings: &[Diagnostic]) -> Vec<String> {
    let line = |warning: &Diagnostic| {
        assert!(lint_rule(warning.code).is_some(), "{}", warning.code);
        let (first, _) = warning.lines(source);
        format!("{first} {}: {}", warning.code, warning.message)
    };
    warnings.iter().map(line).collect()
}

fn all_stages() -> PlanOptions {
    PlanOptions {
        scope: Scope::AllStages,
        ..PlanOptions::default()
    }
}

#[rstest]
#[case("FROM scratch AS Bad\n\nFROM scratch as b2\n", &[
    "1 StageNameCasing: Stage name 'Bad' should be lowercase",
    "3 FromAsCasing: 'as' and 'FROM' keywords' casing do not match",
])]
#[case("FROM scratch\nCOPY a \\\n\n.\nCOPY a \\\n.\n", &["4 NoEmptyContinuation: Empty continuation line"])]
#[case("From scratch as base\nFROM scratch AS base2\n", &[
    "1 ConsistentInstructionCasing: Command 'From' should match the case of the command majority (uppercase)",
])]
#[case("FROM scratch\nenv a b\nENV c=d\nRUN <<'EOT'\nenv\nEOT\n", &[
    "2 ConsistentInstructionCasing: Command 'env' should match the case of the command majority (uppercase)",
    "2 LegacyKeyValueFormat: \"env key=value\" should be used instead of legacy \"env key value\" format",
])]
#[case("from scratch\ncmd a\ncmd [\"b\"]\n", &[
    "2 JSONArgsRecommended: JSON arguments recommended for cmd to prevent unintended behavior related to OS signals",
    "2 MultipleInstructionsDisallowed: Multiple cmd instructions should not be used in the same stage because only the last one will be used",
])]
#[case("FROM scratch AS b\nFROM scratch AS b\n", &[
    "2 DuplicateStageName: Duplicate stage name \"b\", stage names should be unique",
])]
#[case("FROM scratch\nMAINTAINER me\n", &[
    "2 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label",
])]
#[case("FROM scratch\nENTRYPOINT [\"a\"]\nCMD [\"a\"]\nHEALTHCHECK CMD [\"a\"]\nCOPY <<EOF /a\nHi\nEOF\nENTRYPOINT [\"b\"]\nCMD [\"b\"]\nHEALTHCHECK CMD [\"b\"]\n", &[
    "2 MultipleInstructionsDisallowed: Multiple ENTRYPOINT instructions should not be used in the same stage because only the last one will be used",
    "3 MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be used",
    "4 MultipleInstructionsDisallowed: Multiple HEALTHCHECK instructions should not be used in the same stage because only the last one will be used",
])]
#[case("FROM scratch\nARG SECRET_PASSPHRASE\nENV SUPER_Secret=foo\nENV password=bar secret=baz\nARG super_duper_secret_token=foo auth=bar\nENV apikey=bar sunflower=foo\nENV git_key=\nENV PUBLIC_KEY=\nARG public_token\n", &[
    "2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"SECRET_PASSPHRASE\")",
    "3 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV \"SUPER_Secret\")",
    "4 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV \"password\")",
    "4 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV \"secret\")",
    "5 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"super_duper_secret_token\")",
    "5 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"auth\")",
    "6 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV \"apikey\")",
    "7 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ENV \"git_key\")",
])]
#[case("FROM debian\nCOPY $foo .\nARG foo=bar\nRUN echo $foo\n", &["2 UndefinedVar: Usage of undefined variable '$foo'"])]
#[case("FROM debian\nENV PATH=$PAHT:/tmp/bin\n", &["2 UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?)"])]
#[case("FROM scratch\nCOPY $x \\\n  $x $y /\n", &[
    "2 UndefinedVar: Usage of undefined variable '$x'",
    "2 UndefinedVar: Usage of undefined variable '$x'",
    "2 UndefinedVar: Usage of undefined variable '$y'",
])]
#[case("FROM scratch\nEXPOSE 80/TCP 127.0.0.1:80:80 [::1]:8080:8080 5000:5000 8000\n", &[
    "2 ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
    "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
    "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '[::1]:8080:8080'",
    "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '5000:5000'",
])]
#[case("FROM --platform=linux/amd64 scratch AS linux\nWORKDIR app/\n", &[
    "2 WorkdirRelativePath: Relative workdir \"app/\" can have unexpected results if the base image changes",
])]
#[case("ARG tag=bookworm\nFROM debian:${tag}${version} AS b\n", &[
    "2 UndefinedArgInFrom: FROM argument 'version' is not declared",
])]
fn a_check_tells(#[case] text: &str, #[case] expected: &[&str]) {
    assert_eq!(
        told(text, PlanOptions::default()),
        (strings(expected), None)
    );
}

#[rstest]
#[case("ARG base=scratch\nFROM $base\n")]
#[case("ARG BUILDPLATFORM=linux/amd64\nFROM --platform=$BUILDPLATFORM scratch\n")]
#[case("ARG DEBUG\nFROM scratch${DEBUG}\n")]
#[case("ARG DEBUG\nFROM scra${DEBUG:-tch}\n")]
#[case("ARG DEBUG=\"\"\nFROM scratch${DEBUG-@bogus}\n")]
#[case("FROM scratch AS a\nWORKDIR /app\n\nFROM a AS b\nWORKDIR subdir/\n")]
#[case("FROM scratch AS base\nSHELL [\"/bin/x\"]\nFROM base\nENTRYPOINT x\n")]
#[case("FROM debian AS base\nARG foo=Dockerfile\nFROM base\nCOPY $foo .\n")]
#[case("FROM debian\nEXPOSE $ports\nRUN echo $PATH $foo\n")]
fn a_check_keeps_quiet(#[case] text: &str) {
    assert_eq!(told(text, PlanOptions::default()), (Vec::new(), None));
}

#[test]
fn stages_that_the_target_does_not_need_are_looked_at_only_by_a_check_of_all() {
    let text =
        "FROM scratch AS a\n\nFROM a AS b\nENV testkey value\nLABEL key $value\n\nFROM a AS c\n";
    assert_eq!(told(text, PlanOptions::default()), (Vec::new(), None));
    let (warnings, _) = told(text, all_stages());
    let rules: Vec<_> = warnings.iter().map(|one| one.split(':').next()).collect();
    assert_eq!(
        rules,
        [
            Some("4 LegacyKeyValueFormat"),
            Some("5 LegacyKeyValueFormat"),
            Some("5 UndefinedVar"),
        ]
    );
}

#[rstest]
#[case(
    "FROM scratch AS Bad\nMAINTAINER me\nBADCMD\n",
    2,
    "dockerfile parse error on line 3: unknown instruction: BADCMD"
)]
#[case(
    "# check=skip=StageNameCasing\nFROM scratch AS Bad\nMAINTAINER me\nBADCMD\n",
    1,
    "dockerfile parse error on line 4: unknown instruction: BADCMD"
)]
#[case(
    "# check=skip=FromAsCasing\nFROM --platform=$BULIDPLATFORM scratch\n",
    1,
    "empty platform value from expression $BULIDPLATFORM (did you mean BUILDPLATFORM?)"
)]
#[case(
    "ARG MY_OS=linux\nARG MY_ARCH=amd64\nFROM --platform=linux/${MYARCH} debian\n",
    1,
    "failed to parse platform linux/${MYARCH}: \"\" is an invalid component of \"linux/\": platform specifier component must match \"^[A-Za-z0-9_.-]+$\": invalid argument (did you mean MY_ARCH?)"
)]
#[case("FROM nosuch AS Bad\n", 1, "resolve")]
#[case(
    "FROM Foo\n",
    1,
    "failed to parse stage name \"Foo\": invalid reference format: repository name (library/Foo) must be lowercase"
)]
#[case(
    "# check=skip\nFROM scratch\n",
    0,
    "failed to parse check options: invalid check option \"skip\""
)]
#[case(
    "# check=what=1\nFROM scratch\n",
    0,
    "failed to parse check options: invalid check option \"what\""
)]
fn warnings_come_with_an_error_as_far_as_it_lets_look(
    #[case] text: &str,
    #[case] warnings: usize,
    #[case] error: &str,
) {
    let (found, message) = told(text, PlanOptions::default());
    assert_eq!(
        (found.len(), message.as_deref()),
        (warnings, Some(error)),
        "{found:?}"
    );
}

#[rstest]
// The file's directive, and the build arg in its place.
#[case("#check=skip=all\nFROM scratch as base\ncopy a .\n", None, &[], None)]
#[case("#check=skip=all;error=true\nFROM scratch as base\ncopy a .\n", None, &[], None)]
#[case("#check=skip=ConsistentInstructionCasing,FromAsCasing;error=true\nFROM scratch as base\ncopy a .\n", None, &[], None)]
#[case("#check=skip=ConsistentInstructionCasing;error=true\nFROM scratch as base\ncopy a .\n", None,
    &["FromAsCasing"], Some("lint violation found for rules: FromAsCasing"))]
#[case("#check=skip=all\nFROM scratch as base\ncopy a .\n", Some("skip=ConsistentInstructionCasing;error=true"),
    &["FromAsCasing"], Some("lint violation found for rules: FromAsCasing"))]
#[case("#check=error=true\nFROM scratch as base\ncopy a .\n", Some("skip=all"), &[], None)]
#[case("# check = skip=all // why\nFROM scratch as base\n", None, &[], None)]
// Experimental rules are off until they are asked for; to skip all does not touch them.
#[case("# check=experimental=InvalidDefinitionDescription;skip=all\n# x y\nARG foo\nFROM scratch as b\n", None,
    &["InvalidDefinitionDescription"], None)]
#[case("# check=experimental=all\n# x y\nARG foo\nFROM scratch AS b\n", None,
    &["InvalidDefinitionDescription"], None)]
#[case("# x y\nARG foo\nFROM scratch AS b\n", None, &[], None)]
// A comment above one instruction is for what that instruction alone is warned of.
#[case("FROM scratch AS b\n# check=skip=FromAsCasing\nFROM scratch as c\n", None, &[], None)]
#[case("FROM scratch\n\n# why\n# check=skip=all\nMAINTAINER x\nMAINTAINER y\n", None, &["MaintainerDeprecated"], None)]
#[case("FROM scratch\n# check=skip=all\ncopy a b\nRUN x\n", None, &["ConsistentInstructionCasing"], None)]
#[case("FROM scratch AS b\n# check=skip=DuplicateStageName\nFROM scratch AS b\n", None, &["DuplicateStageName"], None)]
#[case("# check=skip=UndefinedVar\nFROM scratch\nCOPY $x /\n", None, &[], None)]
#[case("ARG x\n# check=skip=UndefinedVar\nFROM scratch\nCOPY $y /\n", None, &["UndefinedVar"], None)]
#[case("FROM scratch\nCMD [\"a\"]\n# check=skip=MultipleInstructionsDisallowed\nCMD [\"b\"]\n", None, &[], None)]
#[case("FROM scratch\n# check=skip=MultipleInstructionsDisallowed\nCMD [\"a\"]\nCMD [\"b\"]\n", None,
    &["MultipleInstructionsDisallowed"], None)]
#[case("FROM scratch\n# check=error=true\nMAINTAINER x\n", None, &["MaintainerDeprecated"], None)]
#[case("FROM scratch\n# check=nonsense\nMAINTAINER x\n", None, &["MaintainerDeprecated"], None)]
fn checks_are_turned_off_and_on(
    #[case] text: &str,
    #[case] build_arg: Option<&str>,
    #[case] rules: &[&str],
    #[case] error: Option<&str>,
) {
    let options = match build_arg {
        Some(value) => args(&[("BUILDKIT_DOCKERFILE_CHECK", value)]),
        None => PlanOptions::default(),
    };
    let (warnings, message) = told(text, options);
    let found: Vec<_> = warnings
        .iter()
        .filter_map(|warning| warning.split_once(' ')?.1.split(':').next())
        .collect();
    assert_eq!((found.as_slice(), message.as_deref()), (rules, error));
}

#[rstest]
#[case("ARG VERSION\nFROM debian:$VERSION\n", "VERSION=bookworm", true)]
#[case("ARG IMAGE\nFROM $IMAGE\n", "IMAGE=debian", true)]
#[case("ARG SFX=\"ian:\"\nFROM deb${SFX}\n", "SFX=ian:bookworm", true)]
#[case(
    "ARG VERSION=\"bookworm\"\nFROM debian:${VERSION}\n",
    "VERSION=bookworm",
    false
)]
#[case("ARG V\nFROM debian:book${V}\n", "V=worm", false)]
fn a_base_that_only_a_build_arg_makes_good_is_warned_of(
    #[case] text: &str,
    #[case] build_arg: &str,
    #[case] is_warned: bool,
) {
    let (name, value) = build_arg.split_once('=').expect("name and value");
    let (warnings, _) = told(text, args(&[(name, value)]));
    let found = warnings
        .iter()
        .any(|warning| warning.starts_with("2 InvalidDefaultArgInFrom: Default value for ARG "));
    assert_eq!(found, is_warned, "{warnings:?}");
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}
