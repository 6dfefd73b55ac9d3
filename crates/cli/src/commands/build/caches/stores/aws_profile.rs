//! A profile of `~/.aws/credentials` and `~/.aws/config`, as AWS's own tools read them.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rbuild_objects::S3Credentials;

/// Ways of getting keys that other programs have to be asked for.
const FOREIGN: [&str; 6] = [
    "role_arn",
    "sso_session",
    "sso_start_url",
    "credential_process",
    "credential_source",
    "login_session",
];

/// What a profile says; nothing if there is none.
#[derive(Debug, Default)]
pub(super) struct Profile {
    name: String,
    values: BTreeMap<String, String>,
}

impl Profile {
    /// The profile that `AWS_PROFILE` names, else `default`. Fails if the one that is named does not exist.
    pub(super) fn read(variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let chosen = variable("AWS_PROFILE").or_else(|| variable("AWS_DEFAULT_PROFILE"));
        let name = chosen.as_deref().unwrap_or("default");
        let place = |own: &str, usual: &str| {
            let usual = || Some(PathBuf::from(variable("HOME")?).join(".aws").join(usual));
            variable(own).map(PathBuf::from).or_else(usual)
        };
        let config = section(
            place("AWS_CONFIG_FILE", "config").as_deref(),
            &[&format!("profile {name}"), name],
        )?;
        let credentials = section(
            place("AWS_SHARED_CREDENTIALS_FILE", "credentials").as_deref(),
            &[name],
        )?;
        if chosen.is_some() && config.is_none() && credentials.is_none() {
            bail!("AWS_PROFILE={name}: there is no such profile in AWS's files");
        }
        let mut values = config.unwrap_or_default();
        values.extend(credentials.unwrap_or_default());
        Ok(Self {
            name: name.to_owned(),
            values,
        })
    }

    /// `eu-central-1`.
    pub(super) fn region(&self) -> Option<String> {
        self.value("region")
    }

    /// Who the profile says we are; `None` if it says nothing of it.
    pub(super) fn credentials(&self) -> anyhow::Result<Option<S3Credentials>> {
        let key = self.value("aws_access_key_id");
        if let (Some(id), Some(secret)) = (key, self.value("aws_secret_access_key")) {
            let token = self.value("aws_session_token");
            return Ok(Some(S3Credentials::Key { id, secret, token }));
        }
        let token_file = self.value("web_identity_token_file").map(PathBuf::from);
        if let (Some(token_file), Some(role)) = (token_file, self.value("role_arn")) {
            return Ok(Some(S3Credentials::WebIdentity {
                token_file,
                role,
                session: self.value("role_session_name"),
            }));
        }
        if let Some(way) = FOREIGN.iter().find(|way| self.values.contains_key(**way)) {
            bail!(
                "AWS's profile {:?} gets its keys by {way}, which is not supported: put them into the environment with \
                 `eval \"$(aws configure export-credentials --profile {} --format env)\"`",
                self.name,
                self.name
            );
        }
        Ok(None)
    }

    fn value(&self, key: &str) -> Option<String> {
        self.values.get(key).cloned()
    }
}

/// The values of all sections with one of these names; `None` if there are none.
fn section(
    path: Option<&Path>,
    names: &[&str],
) -> anyhow::Result<Option<BTreeMap<String, String>>> {
    let Some(path) = path else {
        return Ok(None);
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let mut found = None;
    let mut is_inside = false;
    for line in text.lines() {
        // What is indented belongs to the value before it; none of ours has such.
        if line.starts_with([' ', '\t', '#', ';']) {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            let header = header.split(']').next().unwrap_or_default();
            let header = header.split_whitespace().collect::<Vec<_>>().join(" ");
            is_inside = names.contains(&header.as_str());
            if is_inside {
                found.get_or_insert_with(BTreeMap::new);
            }
        } else if is_inside
            && let Some(values) = &mut found
            && let Some((key, value)) = line.split_once('=')
        {
            values.insert(key.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "# mine\n[default]\naws_access_key_id = AK1\naws_secret_access_key=s=1\n\n\
        [ci]\naws_access_key_id=AK2\naws_secret_access_key=s2\naws_session_token = t2\n";
    const CONFIG: &str = "[default]\nregion = eu-west-1\ns3 =\n  region = nested\n[profile ci]\nregion=us-east-2\n\
        [profile sso]\nsso_session = corp\nregion=x\n[profile job]\nrole_arn=arn:r\nweb_identity_token_file=/token\n";

    fn read(profile: Option<&str>) -> anyhow::Result<Profile> {
        let home = tempfile::tempdir().expect("a directory");
        fs::create_dir(home.path().join(".aws")).expect("a directory");
        fs::write(home.path().join(".aws/credentials"), CREDENTIALS).expect("a file");
        fs::write(home.path().join(".aws/config"), CONFIG).expect("a file");
        Profile::read(&|name| match name {
            "HOME" => Some(home.path().display().to_string()),
            "AWS_PROFILE" => profile.map(str::to_owned),
            _ => None,
        })
    }

    fn key(profile: &Profile) -> (String, String, Option<String>) {
        match profile.credentials().expect("understood") {
            Some(S3Credentials::Key { id, secret, token }) => (id, secret, token),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_profile_gives_keys_and_region() {
        let default = read(None).expect("a profile");
        assert_eq!(default.region().as_deref(), Some("eu-west-1"));
        assert_eq!(key(&default), ("AK1".into(), "s=1".into(), None));
        let ci = read(Some("ci")).expect("a profile");
        assert_eq!(ci.region().as_deref(), Some("us-east-2"));
        assert_eq!(key(&ci), ("AK2".into(), "s2".into(), Some("t2".into())));
    }

    #[test]
    fn a_role_by_a_token_of_another_authority_is_one() {
        let job = read(Some("job")).expect("a profile");
        let credentials = job.credentials().expect("understood");
        assert!(matches!(
            credentials,
            Some(S3Credentials::WebIdentity { role, .. }) if role == "arn:r"
        ));
    }

    #[test]
    fn what_needs_another_program_is_refused_with_a_way_out() {
        let sso = read(Some("sso")).expect("a profile");
        let error = sso.credentials().expect_err("not supported").to_string();
        assert!(
            error.contains("sso_session") && error.contains("export-credentials"),
            "{error}"
        );
    }

    #[test]
    fn a_profile_that_is_named_must_exist_and_none_is_no_mistake() {
        assert!(read(Some("other")).is_err());
        let nothing = Profile::read(&|_| None).expect("nothing");
        assert!(nothing.credentials().expect("nothing").is_none());
    }
}
