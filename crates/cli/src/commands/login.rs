//! `rbuild login`: shows a registry a password, and keeps it if it is taken.

use std::io::{self, Read as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use rbuild_registry::{
    Credential, CredentialFile, KeptIn, LoginName, LoginSecret, OnlyFor, RegistryError,
};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::app::App;
use crate::failure::INTERRUPTED;
use crate::{interrupt, render};

/// The registry behind names without one.
pub(super) const DOCKER_HUB: &str = "docker.io";
/// The names that Docker Hub has besides.
const HUB_ALIASES: &[&str] = &[
    "index.docker.io",
    "registry-1.docker.io",
    "registry.hub.docker.com",
];
/// A password is far below this.
const MAX_PASSWORD_BYTES: u64 = 1 << 20;

// What was typed after `rbuild login`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "In scripts: printenv TOKEN | rbuild login --username NAME --password-stdin REGISTRY\nLogins of docker and podman count as well; rbuild logout forgets one."
)]
pub(crate) struct Args {
    /// The registry, as localhost:5000, or a part of it, as quay.io/team [default: docker.io]
    server: Option<String>,
    /// The user's name
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// The password or token; other users of this machine can see it here
    #[arg(
        short,
        long,
        value_name = "PASSWORD",
        conflicts_with = "password_stdin"
    )]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
}

/// Logs in.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let login = login_name(args.server.as_deref());
    let (username, password) = credential(app, args, &login)?;
    let credential = Credential::Password {
        username: username.clone(),
        password: password.clone(),
    };
    let client = app.registry_as(Arc::new(OnlyFor {
        registry: login.registry.clone(),
        credential,
    }));
    let token = client.log_in(&login.registry);
    let (what, secret) = match token.map_err(|error| explained(&error))? {
        // As with docker, the password is not kept then.
        Some(token) => ("token", LoginSecret::IdentityToken(token)),
        None => ("password", LoginSecret::Password(password)),
    };
    if let KeptIn::File(path) = file(app)?.set(&login, &username, &secret)? {
        render::note(&format!(
            "note: the {what} is kept unencrypted in {}; a credential helper (\"credsStore\") avoids that\n",
            path.display()
        ))?;
    }
    render::out("Login Succeeded\n")?;
    Ok(ExitCode::SUCCESS)
}

/// A denial here means the password, not a missing login.
fn explained(error: &RegistryError) -> anyhow::Error {
    let advice = match error {
        RegistryError::Denied { .. } => Some(
            "check the user name and the password; many registries want an access token in place of the password"
                .to_owned(),
        ),
        other => other.hint(),
    };
    match advice {
        Some(advice) => anyhow!("failed to {error} ({advice})"),
        None => anyhow!("failed to {error}"),
    }
}

/// The file that logins are kept in.
pub(super) fn file(app: &App) -> anyhow::Result<CredentialFile> {
    let path = app.environment.credential_files().into_iter().next();
    let path =
        path.context("no place for credentials: set HOME, DOCKER_CONFIG or REGISTRY_AUTH_FILE")?;
    Ok(CredentialFile::new(path))
}

/// `https://index.docker.io/v1/` and `docker.io` are one registry; `quay.io/team` is a part of one.
pub(super) fn login_name(server: Option<&str>) -> LoginName {
    let server = server.unwrap_or(DOCKER_HUB);
    let (is_url, rest) = match server.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, server),
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_hub = host.is_empty() || HUB_ALIASES.contains(&host);
    let path = path.trim_matches('/');
    let is_api = is_url || matches!(path, "" | "v1" | "v2");
    LoginName {
        registry: if is_hub { DOCKER_HUB } else { host }.to_owned(),
        repository: (!is_api).then(|| path.to_owned()),
    }
}

fn credential(app: &App, args: &Args, login: &LoginName) -> anyhow::Result<(String, String)> {
    let username = args.username.as_deref().filter(|name| !name.is_empty());
    if args.password_stdin {
        let Some(username) = username else {
            bail!("--password-stdin needs --username");
        };
        return Ok((username.to_owned(), password_from_stdin()?));
    }
    if args.password.is_some() {
        render::note(
            "warning: a password on the command line is seen by others; use --password-stdin\n",
        )?;
    }
    if (username.is_none() || args.password.is_none()) && !app.environment.stdin_is_terminal() {
        bail!(
            "nobody can be asked for the password, as standard input is no terminal: use `rbuild login --username NAME --password-stdin {login}`"
        );
    }
    let username = match username {
        Some(username) => username.to_owned(),
        None => ask(&format!("Username for {login}: "))?,
    };
    let password = match &args.password {
        Some(password) => password.clone(),
        None => ask_unseen(&format!("Password for {username} at {login}: "))?,
    };
    for (what, given) in [("user name", &username), ("password", &password)] {
        if given.is_empty() {
            bail!("the {what} is empty");
        }
    }
    Ok((username, password))
}

fn password_from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    io::stdin()
        .take(MAX_PASSWORD_BYTES)
        .read_to_string(&mut text)
        .context("failed to read the password from standard input")?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        bail!("the password on standard input is empty");
    }
    Ok(password.to_owned())
}

fn ask(question: &str) -> anyhow::Result<String> {
    render::note(question)?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks while the terminal shows nothing of the answer; an interrupted question leaves the terminal as it was.
fn ask_unseen(question: &str) -> anyhow::Result<String> {
    let before = tcgetattr(io::stdin()).context("failed to ask for the password")?;
    interrupt::on_interrupt({
        let before = before.clone();
        move || {
            let _ = restore(&before).and_then(|()| render::note("\n")); // the process ends in any case
            std::process::exit(INTERRUPTED.into());
        }
    })?;
    let mut unseen = before.clone();
    unseen.local_modes.remove(LocalModes::ECHO);
    tcsetattr(io::stdin(), OptionalActions::Flush, &unseen)
        .context("failed to ask for the password")?;
    let answer = ask(question);
    restore(&before)?;
    render::note("\n")?;
    answer
}

fn restore(before: &Termios) -> io::Result<()> {
    Ok(tcsetattr(io::stdin(), OptionalActions::Flush, before)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_known_by_each_of_its_names() {
        for name in [
            None,
            Some("docker.io"),
            Some("https://index.docker.io/v1/"),
            Some("index.docker.io/v1/"),
            Some("registry-1.docker.io"),
        ] {
            assert_eq!(login_name(name).to_string(), "docker.io", "{name:?}");
        }
        assert_eq!(
            login_name(Some("https://ghcr.io/v2/")).to_string(),
            "ghcr.io"
        );
        assert_eq!(
            login_name(Some("localhost:5000/")).to_string(),
            "localhost:5000"
        );
    }

    #[test]
    fn a_login_may_be_for_a_part_of_a_registry() {
        let login = login_name(Some("quay.io/team/app"));
        assert_eq!(login.registry, "quay.io");
        assert_eq!(login.repository.as_deref(), Some("team/app"));
    }
}
