//! A world's Dockerfile, and what each of its steps is by the rules of the language: everything but the files that it
//! works on.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::world::{Copy, CopyFrom, From, Mount, Run, Script, Step, Text, World};

/// A Dockerfile.
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// By the byte at which an instruction begins: what it does, in words that are equal only for equal steps.
    pub(crate) steps: BTreeMap<u32, String>,
}

/// What instructions leave for those below.
#[derive(Clone)]
struct Scope {
    /// What a command sees: whatever was set last, by ENV or ARG.
    visible: Vec<(String, String)>,
    /// Set by ENV: what stages on top begin with.
    env: Vec<(String, String)>,
    directory: String,
    user: String,
    shell: String,
    /// Whether there is a shell.
    has_programs: bool,
}

impl Scope {
    fn new(has_programs: bool) -> Self {
        Self {
            visible: Vec::new(),
            env: Vec::new(),
            directory: "/".to_owned(),
            user: String::new(),
            shell: String::new(),
            has_programs,
        }
    }

    /// For a stage on top: where an ARG hid an ENV, it sees the ENV again.
    fn inherited(&self) -> Self {
        let mut inherited = self.clone();
        for (name, value) in &self.env {
            set(&mut inherited.visible, name, value.clone());
        }
        inherited
    }

    fn set_env(&mut self, name: &str, value: String) {
        set(&mut self.env, name, value.clone());
        set(&mut self.visible, name, value);
    }

    fn value(&self, name: &str) -> &str {
        self.visible
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    fn expand(&self, text: &Text) -> String {
        match text {
            Text::Plain(text) => (*text).to_owned(),
            Text::With(text, name) => format!("{text}{}", self.value(name)),
        }
    }
}

fn set(list: &mut Vec<(String, String)>, name: &str, value: String) {
    match list.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None => list.push((name.to_owned(), value)),
    }
}

/// The Dockerfile of `world`.
pub(crate) fn render(world: &World) -> Rendered {
    let mut rendered = Rendered {
        text: String::new(),
        steps: BTreeMap::new(),
    };
    for (name, value) in &world.globals {
        let _ = writeln!(rendered.text, "ARG {name}=\"{value}\"");
    }
    let mut scopes: Vec<Scope> = Vec::new();
    for (number, stage) in world.stages.iter().enumerate() {
        let (from, mut scope) = match &stage.from {
            From::Scratch => ("scratch".to_owned(), Scope::new(false)),
            From::Stage(index) if number > 0 => {
                let above = index.index(number);
                (format!("s{above}"), scopes[above].inherited())
            }
            From::Base | From::Stage(_) => ("base".to_owned(), Scope::new(true)),
            From::Trigger => {
                let mut scope = Scope::new(true);
                scope.set_env("C", "trigger".to_owned());
                ("trigger".to_owned(), scope)
            }
        };
        let _ = writeln!(rendered.text, "FROM {from} AS s{number}");
        for step in &stage.steps {
            let start = rendered.text.len() as u32;
            let Some(line) = line(step, number, &scope) else {
                continue;
            };
            if let Some(meaning) = take_in(world, step, &mut scope) {
                rendered.steps.insert(start, meaning);
            }
            rendered.text.push_str(&line);
            rendered.text.push('\n');
        }
        scopes.push(scope);
    }
    rendered
}

/// The effect of `step` on `scope`; what it does, if it makes a layer.
fn take_in(world: &World, step: &Step, scope: &mut Scope) -> Option<String> {
    match step {
        Step::Copy(copy) => {
            return Some(format!(
                "{} in {} to {:?}",
                Copy {
                    destination: Text::Plain(""),
                    ..copy.clone()
                }
                .written(0),
                scope.directory,
                scope.expand(&copy.destination)
            ));
        }
        Step::Heredoc { .. } => return Some(format!("{step:?} in {}", scope.directory)),
        Step::Run(run) => {
            return Some(format!(
                "{:?} in {} by {} with {:?} through {}",
                run, scope.directory, scope.user, scope.visible, scope.shell
            ));
        }
        Step::Arg(name, default) => {
            let global = world.globals.get(name).copied();
            let value = match (world.build_args.get(name), default) {
                (Some(given), _) => Some((*given).to_owned()),
                (None, Some(default)) => Some(scope.expand(default)),
                (None, None) => global.map(str::to_owned),
            };
            if let Some(value) = value {
                set(&mut scope.visible, name, value);
            }
        }
        Step::Env(name, value) => {
            let value = scope.expand(value);
            scope.set_env(name, value);
        }
        Step::Workdir(path) => {
            let path = scope.expand(path);
            scope.directory = if path.starts_with('/') {
                path
            } else {
                format!("{}/{path}", scope.directory.trim_end_matches('/'))
            };
            return Some(format!("go to {} by {}", scope.directory, scope.user));
        }
        Step::User(name) => (*name).clone_into(&mut scope.user),
        Step::Config(text) if text.starts_with("SHELL") => (*text).clone_into(&mut scope.shell),
        Step::Config(_) | Step::OnBuild(_) => {}
    }
    None
}

/// `step` as it is written in stage `number`; nothing for what cannot run there.
fn line(step: &Step, number: usize, scope: &Scope) -> Option<String> {
    Some(match step {
        Step::Copy(copy) => copy.written(number),
        Step::Heredoc {
            destination,
            text,
            chmod,
        } => {
            let chmod = chmod
                .map(|mode| format!("--chmod={mode} "))
                .unwrap_or_default();
            format!("COPY {chmod}<<EOF {destination}\n{text}EOF")
        }
        Step::Run(_) if !scope.has_programs => return None,
        Step::Run(run) => run.written(number),
        Step::Arg(name, None) => format!("ARG {name}"),
        Step::Arg(name, Some(default)) => format!("ARG {name}=\"{}\"", default.written()),
        Step::Env(name, value) => format!("ENV {name}=\"{}\"", value.written()),
        Step::Workdir(path) => format!("WORKDIR {}", path.written()),
        Step::User(name) => format!("USER {name}"),
        Step::Config(text) => (*text).to_owned(),
        // A heredoc would need lines of its own.
        Step::OnBuild(inner) => match &**inner {
            Step::Run(run) if run.heredoc => return None,
            Step::Heredoc { .. } => return None,
            inner => format!("ONBUILD {}", line(inner, number, scope)?),
        },
    })
}

impl Text {
    fn written(&self) -> String {
        match self {
            Self::Plain(text) => (*text).to_owned(),
            Self::With(text, name) => format!("{text}${{{name}}}"),
        }
    }
}

impl CopyFrom {
    /// The name that a stage `number` uses.
    fn name(&self, number: usize) -> Option<String> {
        match self {
            Self::Context => None,
            Self::Extra => Some("extra".to_owned()),
            Self::Image => Some("base".to_owned()),
            Self::Stage(_) if number == 0 => None,
            Self::Stage(index) => Some(format!("s{}", index.index(number))),
        }
    }
}

impl Copy {
    fn written(&self, number: usize) -> String {
        let mut words = vec![if self.add { "ADD" } else { "COPY" }.to_owned()];
        if let (Some(from), false) = (self.from.name(number), self.add) {
            words.push(format!("--from={from}"));
        }
        words.extend(self.link.then(|| "--link".to_owned()));
        words.extend(self.chmod.map(|mode| format!("--chmod={mode}")));
        words.extend(self.chown.map(|owner| format!("--chown={owner}")));
        words.extend(self.excludes.iter().map(|text| format!("--exclude={text}")));
        words.extend(self.parents.then(|| "--parents".to_owned()));
        words.extend(self.sources.iter().map(|&source| source.to_owned()));
        let mut destination = self.destination.written();
        let several =
            self.sources.len() > 1 || self.sources.iter().any(|one| one.contains(['*', '?']));
        if several && !destination.ends_with('/') {
            destination.push('/');
        }
        words.push(destination);
        words.join(" ")
    }
}

impl Run {
    fn written(&self, number: usize) -> String {
        let mount = match &self.mount {
            None => String::new(),
            Some(Mount::Bind(from, source)) => {
                let from = from
                    .name(number)
                    .map(|name| format!("from={name},"))
                    .unwrap_or_default();
                format!("--mount=type=bind,{from}source={source},target=/m ")
            }
            Some(Mount::Cache) => "--mount=type=cache,id=c,target=/m ".to_owned(),
            Some(Mount::Tmpfs) => "--mount=type=tmpfs,target=/m ".to_owned(),
        };
        // What a cache mount holds must not show in the result.
        let command = match (&self.mount, self.script.written()) {
            (Some(Mount::Cache), command) if command.contains("/m") => {
                format!("echo {} >> /m/log", self.idle)
            }
            (_, command) => command,
        };
        let command = format!(": {}; ({command}) 2>/dev/null || true", self.idle);
        if self.heredoc {
            format!("RUN {mount}<<EOF\n{command}\nEOF")
        } else {
            format!("RUN {mount}{command}")
        }
    }
}

impl Script {
    fn written(&self) -> String {
        match self {
            Self::Variables(to) => format!("env | grep -E '^[ABC]=' | sort > {to}"),
            Self::Concatenate(from, to) => {
                format!("cat {from} {from}/* > /tmp/all; cp /tmp/all {to}; rm /tmp/all")
            }
            Self::Size(from, to) => {
                format!("cat {from} {from}/* | wc -c > /tmp/all; cp /tmp/all {to}; rm /tmp/all")
            }
            Self::Constant(to) => format!("echo constant > {to}"),
            Self::Remove(path) => format!("rm -rf {path}"),
            Self::Replace(path) => format!("rm -rf {path}; mkdir -p {path}; echo new > {path}/new"),
            Self::Move(from, to) => format!("mv {from} {to}"),
            Self::Chmod(path) => format!("chmod -R g+w,o-r {path}"),
            Self::Chown(path) => format!("chown -R 5:6 {path}"),
            Self::Hardlink(from, to) => format!("ln {from} {to}"),
            Self::Symlink(from, to) => format!("ln -s {from} {to}"),
            Self::Attributes(from, to) => format!(
                "find {from} | sort | while read f; do stat -c '%n %a %u:%g %F' \"$f\"; readlink \"$f\" || true; done > /tmp/all; cp /tmp/all {to}; rm /tmp/all"
            ),
            Self::Append(to) => format!("echo more >> {to}"),
            Self::Identity(to) => format!("(id; pwd; umask; hostname) > {to}"),
            Self::Xattr(path) => format!("setfattr -n user.of -v run {path}"),
            Self::Touch(path) => format!("touch {path}"),
        }
    }
}
