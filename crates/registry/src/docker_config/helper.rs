//! The `docker-credential-*` programs: one verb as argument, a question on standard input, an answer on standard output.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde::{Deserialize, Serialize};

use super::host_of;
use crate::{Credential, RegistryError};

/// The user name with which a helper says that its secret is an identity token.
const TOKEN_USERNAME: &str = "<token>";
/// What helpers say of a registry that they do not know.
const NOT_FOUND: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Known {
    username: String,
    secret: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct New<'a> {
    #[serde(rename = "ServerURL")]
    server: &'a str,
    username: &'a str,
    secret: &'a str,
}

/// What the helper knows of `server`.
pub(super) fn get(helper: &str, server: &str) -> Result<Option<Credential>, RegistryError> {
    let output = ask(helper, "get", server, server.as_bytes())?;
    if !output.status.success() {
        return if is_unknown(&output) {
            Ok(None)
        } else {
            Err(ended(helper, server, &output))
        };
    }
    let known: Known = serde_json::from_slice(&output.stdout)
        .map_err(|_| fail(helper, server, "its answer is not the JSON of a credential"))?;
    Ok(match (known.username.as_str(), known.secret) {
        ("", secret) if secret.is_empty() => None,
        (TOKEN_USERNAME, secret) => Some(Credential::IdentityToken(secret)),
        (_, password) => Some(Credential::Password {
            username: known.username,
            password,
        }),
    })
}

/// Has the helper keep a password.
pub(super) fn store(
    helper: &str,
    server: &str,
    username: &str,
    password: &str,
) -> Result<(), RegistryError> {
    let new = New {
        server,
        username,
        secret: password,
    };
    let question = serde_json::to_vec(&new).expect("texts are JSON");
    let output = ask(helper, "store", server, &question)?;
    if !output.status.success() {
        return Err(ended(helper, server, &output));
    }
    Ok(())
}

/// Has the helper forget `server`; tells whether it knew it.
pub(super) fn erase(helper: &str, server: &str) -> Result<bool, RegistryError> {
    if get(helper, server)?.is_none() {
        return Ok(false);
    }
    let output = ask(helper, "erase", server, server.as_bytes())?;
    if output.status.success() || is_unknown(&output) {
        return Ok(true);
    }
    Err(ended(helper, server, &output))
}

/// Runs `docker-credential-<helper> <verb>`. Its standard output holds secrets and is never quoted.
fn ask(helper: &str, verb: &str, server: &str, question: &[u8]) -> Result<Output, RegistryError> {
    if helper.contains('/') {
        return Err(fail(helper, server, "a helper is named without a path"));
    }
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| fail(helper, server, error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read is judged by what it answers.
        let _ = stdin.write_all(question);
    }
    child
        .wait_with_output()
        .map_err(|error| fail(helper, server, error))
}

fn is_unknown(output: &Output) -> bool {
    String::from_utf8_lossy(&output.stdout).contains(NOT_FOUND)
}

fn ended(helper: &str, server: &str, output: &Output) -> RegistryError {
    fail(helper, server, format!("it ended with {}", output.status))
}

fn fail(helper: &str, server: &str, reason: impl std::fmt::Display) -> RegistryError {
    RegistryError::Credentials {
        registry: host_of(server).to_owned(),
        reason: format!("docker-credential-{helper}: {reason}"),
    }
}
