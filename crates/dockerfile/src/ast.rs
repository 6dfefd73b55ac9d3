//! The syntax tree: what the file says, word by word, nothing expanded.
//!
//! ```text
//! Dockerfile ── directives
//!            ├─ global_args: ARG … before the first FROM
//!            └─ stages: From + instructions: Instruction { comments, span, keyword, kind, heredocs }
//! ```

use crate::{Span, Spanned, Word};

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// `# syntax=`, `# escape=`, `# check=`.
    pub directives: Directives,
    /// ARG instructions before the first FROM (`kind` is always [`InstructionKind::Arg`]).
    pub global_args: Vec<Instruction>,
    /// The stages, in the order of the file. Never empty.
    pub stages: Vec<Stage>,
}

/// Parser directives at the top of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=`.
    pub syntax: Option<Word>,
    /// `# escape=`.
    pub escape: Escape,
    /// `# check=`.
    pub check: Option<Word>,
    /// `# check=` right above instructions, in the order of the file.
    pub local_checks: Vec<LocalCheck>,
}

/// A `# check=` comment for one instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalCheck {
    /// The instruction, without its heredoc bodies.
    pub instruction: Span,
    /// What stands behind the equals sign.
    pub value: Word,
}

/// The character that continues lines and escapes in words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Escape {
    /// `\`
    #[default]
    Backslash,
    /// `` ` ``
    Backtick,
}

impl Escape {
    /// The character itself.
    pub const fn char(self) -> char {
        match self {
            Self::Backslash => '\\',
            Self::Backtick => '`',
        }
    }
}

/// FROM and what follows it up to the next FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The FROM instruction's place and comments (`kind` repeats [`Self::from`]).
    pub span: Span,
    /// Comment lines directly above FROM, without `#`.
    pub comments: Vec<Word>,
    /// `FROM` as written, for casing lints.
    pub keyword: Word,
    /// The base.
    pub from: From,
    /// The rest.
    pub instructions: Vec<Instruction>,
}

/// FROM's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// `--platform=`, the value.
    pub platform: Option<Word>,
    /// Image, stage or `scratch`.
    pub base: Word,
    /// `AS` as written.
    pub as_keyword: Option<Word>,
    /// The name after AS, as written; compare in lower case.
    pub name: Option<Word>,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// All of it, heredoc bodies included.
    pub span: Span,
    /// Comment lines directly above, without `#`.
    pub comments: Vec<Word>,
    /// `RUN` as written.
    pub keyword: Word,
    /// The instruction's logical line as BuildKit's history and ONBUILD keep it: continuation lines joined.
    pub original: String,
    /// What it is.
    pub kind: InstructionKind,
}

/// The 17 instructions besides FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Dockerfile reference describes each")]
pub enum InstructionKind {
    Add(Add),
    Arg(Vec<ArgItem>),
    Cmd(Command),
    Copy(Copy),
    Entrypoint(Command),
    Env(KeyValues),
    Expose(Vec<Word>),
    Healthcheck(Healthcheck),
    Label(KeyValues),
    Maintainer(Word),
    Onbuild(Onbuild),
    Run(Run),
    Shell(Vec<Word>),
    Stopsignal(Word),
    User(Word),
    Volume(Vec<Word>),
    Workdir(Word),
}

/// One `NAME[=default]` of ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgItem {
    /// The name.
    pub name: Word,
    /// The default.
    pub default: Option<Word>,
}

/// Shell form or JSON form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// One string for the shell, the flags taken off.
    Shell(Word),
    /// `["a", "b"]`, decoded.
    Json(Vec<Word>),
}

/// ENV's and LABEL's pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValues {
    /// The pairs in order, quotes as written.
    pub pairs: Vec<(Word, Word)>,
    /// `KEY rest of line`.
    pub form: KeyValueForm,
}

/// How pairs were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyValueForm {
    /// `k=v k2=v2`
    Equals,
    /// `k v`, one pair.
    Legacy,
}

/// HEALTHCHECK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`
    None,
    /// `HEALTHCHECK [flags] CMD …`; durations in nanoseconds as Go parses them.
    Cmd {
        /// The command.
        command: Command,
        /// `--interval`
        interval: Option<i64>,
        /// `--timeout`
        timeout: Option<i64>,
        /// `--start-period`
        start_period: Option<i64>,
        /// `--start-interval`
        start_interval: Option<i64>,
        /// `--retries`
        retries: Option<i64>,
    },
}

/// ONBUILD: the payload is parsed when it fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// The payload's text, as it goes into the image config.
    pub expression: String,
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command; with heredocs, the text of the line.
    pub command: Command,
    /// `<<EOF` bodies.
    pub heredocs: Vec<Heredoc>,
    /// `--mount=` values, unparsed (they are expanded first).
    pub mounts: Vec<Word>,
    /// `--network=`
    pub network: Option<Word>,
    /// `--security=`
    pub security: Option<Word>,
    /// `--device=` values.
    pub devices: Vec<Word>,
}

/// A heredoc: `<<-'NAME'` and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The name, quotes taken off.
    pub name: Word,
    /// The whole body, line ends included, tabs stripped for `<<-`.
    pub body: Word,
    /// The body as it stands in the file, tabs kept: what a shell that does the heredoc itself is given.
    pub written: String,
    /// Whether `$` is expanded in the body: not if the name was quoted.
    pub expansion: Expansion,
    /// `<<-`
    pub tabs: Tabs,
    /// The file descriptor digit before `<<` (0 if absent).
    pub descriptor: u32,
}

/// What a RUN with heredocs comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunScript<'a> {
    /// No heredoc: [`Run::command`] is all there is.
    Command,
    /// Nothing but `<<EOF`: the body is the shell's one argument (or, if it opens with `#!`, a file to execute).
    Body(&'a Heredoc),
    /// Words beside the heredocs: this text, with which the shell does the heredocs itself.
    Text(String),
}

impl Run {
    /// How the command and its heredocs go together.
    pub fn script(&self) -> RunScript<'_> {
        let (Command::Shell(line), Some(first)) = (&self.command, self.heredocs.first()) else {
            return RunScript::Command;
        };
        if crate::heredoc::HeredocWord::parse(&line.value).is_some() {
            return RunScript::Body(first);
        }
        RunScript::Text(crate::heredoc::reassemble(&line.value, &self.heredocs))
    }
}

/// Whether variables are expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expansion {
    /// `<<EOF`
    Expanded,
    /// `<<'EOF'`
    Literal,
}

/// What becomes of leading tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tabs {
    /// `<<EOF`
    Kept,
    /// `<<-EOF`
    Stripped,
}

/// A source of COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path, pattern or URL.
    Path(Word),
    /// A heredoc: a file named by it.
    Heredoc(Heredoc),
}

/// What COPY and ADD have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// What to copy. Never empty.
    pub sources: Vec<CopySource>,
    /// Where to.
    pub destination: Word,
    /// `--chown=`
    pub chown: Option<Word>,
    /// `--chmod=`
    pub chmod: Option<Word>,
    /// `--link`
    pub link: Option<Spanned<bool>>,
    /// `--exclude=` values.
    pub excludes: Vec<Word>,
}

/// COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Sources, destination, shared flags.
    pub transfer: Transfer,
    /// `--from=`
    pub from: Option<Word>,
    /// `--parents`
    pub parents: Option<Spanned<bool>>,
}

/// ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// Sources, destination, shared flags.
    pub transfer: Transfer,
    /// `--checksum=`
    pub checksum: Option<Word>,
    /// `--keep-git-dir`
    pub keep_git_dir: Option<Spanned<bool>>,
    /// `--unpack`
    pub unpack: Option<Spanned<bool>>,
}
