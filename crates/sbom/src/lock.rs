//! Lock files of programming languages: what a program was built or is run with.

mod cargo;
mod composer;
mod gem;
mod go;
mod npm;
mod pnpm;
mod poetry;
mod yarn;

use crate::Package;

/// Reads one kind of lock file.
type Reader = fn(&str, &str) -> Result<Vec<Package>, String>;

/// The kinds of lock files, by name.
const KINDS: &[(&str, Reader)] = &[
    ("Cargo.lock", cargo::packages),
    ("Gemfile.lock", gem::packages),
    ("composer.lock", composer::packages),
    ("go.sum", go::packages),
    ("package-lock.json", npm::packages),
    // What npm has installed, in node_modules itself.
    (".package-lock.json", npm::packages),
    ("npm-shrinkwrap.json", npm::packages),
    ("pnpm-lock.yaml", pnpm::packages),
    ("poetry.lock", poetry::packages),
    ("uv.lock", poetry::packages),
    ("yarn.lock", yarn::packages),
];

/// Where the dependencies of programs lie. Their own lock files tell what they were developed with, not what is here.
const DEPENDENCIES: &[&str] = &[
    "/.cargo/registry/",
    "/cargo/registry/",
    "/dist-packages/",
    "/node_modules/",
    "/pkg/mod/",
    "/site-packages/",
];

/// What reads the lock file at `path`, if it is one.
pub(crate) fn reader(path: &str) -> Option<Reader> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let above = format!("/{directory}/");
    let installed = name == ".package-lock.json";
    if !installed && DEPENDENCIES.iter().any(|place| above.contains(place)) {
        return None;
    }
    let kind = KINDS.iter().find(|(known, _)| *known == name);
    kind.map(|(_, reader)| *reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_files_of_dependencies_do_not_count() {
        assert!(reader("app/Cargo.lock").is_some());
        assert!(reader("yarn.lock").is_some());
        assert!(reader("app/node_modules/.package-lock.json").is_some());
        assert!(reader("app/node_modules/x/yarn.lock").is_none());
        assert!(reader("go/pkg/mod/github.com/a@v1/go.sum").is_none());
        assert!(reader("root/.cargo/registry/src/a/Cargo.lock").is_none());
    }
}
