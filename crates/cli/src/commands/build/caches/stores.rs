//! `type=s3`, `type=azblob`, `type=gha`: where objects are kept, with BuildKit's fields and variables.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use rbuild_objects::{
    AzureCredentials, AzureOptions, Bucket, BucketStyle, Gha, GhaOptions, Objects, ObjectsError,
    S3Credentials, S3Options, WebOptions,
};

use super::spec::Way;
use crate::commands::build::outputs::boolean;
use crate::commands::filter::duration;

/// The list of entries that is read and written if nothing else is said; the scope of the Actions cache likewise.
const DEFAULT_NAME: &str = "buildkit";
/// Objects that are written again and are older than this get a new date, unless `touch_refresh` says otherwise.
const TOUCH_REFRESH: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a busy Actions cache is asked again, unless `timeout` says otherwise.
const GHA_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How often a request to a cache is sent that a build can do without.
const READ_ATTEMPTS: usize = 3;
/// Fields whose values nobody is to see.
const SECRET_FIELDS: [&str; 4] = ["secret_access_key", "session_token", "token", "ghtoken"];

/// A store of objects, and the lists of entries in it.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) kind: Kind,
    pub(super) names: Vec<String>,
}

/// What keeps the objects.
#[derive(Debug)]
pub(super) enum Kind {
    S3(Box<S3Options>),
    Azure(Box<AzureOptions>),
    Gha(GhaOptions),
    /// Nothing: an Actions cache outside of a workflow.
    Absent,
}

/// What a field or a variable of the environment may be taken from.
pub(super) struct Given<'a> {
    pub(super) fields: BTreeMap<String, String>,
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(super) now: SystemTime,
}

impl Given<'_> {
    fn take(&mut self, field: &str) -> Option<String> {
        self.fields.remove(field)
    }

    /// A field, else a variable.
    fn take_or(&mut self, field: &str, variable: &str) -> Option<String> {
        self.take(field).or_else(|| (self.variable)(variable))
    }

    fn required(&mut self, field: &str, variable: &str) -> anyhow::Result<String> {
        self.take_or(field, variable)
            .with_context(|| format!("it needs a {field}=, or the variable {variable}"))
    }

    fn number(&mut self, field: &str) -> anyhow::Result<Option<usize>> {
        let Some(text) = self.take(field) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => bail!("{field}={text}: it is a number above 0"),
        }
    }

    fn duration(&mut self, field: &str) -> anyhow::Result<Option<Duration>> {
        let Some(text) = self.take(field) else {
            return Ok(None);
        };
        let parsed = duration(&text).with_context(|| format!("{field}={text}: 24h, say"))?;
        Ok(Some(parsed))
    }

    fn names(&mut self) -> Vec<String> {
        let names = self.take("name").unwrap_or_else(|| DEFAULT_NAME.to_owned());
        let names = names.split(';').filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    /// All fields were understood.
    fn finish(self) -> anyhow::Result<()> {
        match self.fields.keys().next() {
            Some(field) => bail!("there is no field {field:?}"),
            None => Ok(()),
        }
    }
}

impl Store {
    /// Whether `kind` is one of these.
    pub(super) fn has_kind(kind: &str) -> bool {
        matches!(kind, "s3" | "azblob" | "gha")
    }

    pub(super) fn parse(kind: &str, given: Given<'_>, way: Way) -> anyhow::Result<Self> {
        match kind {
            "s3" => s3(given, way),
            "azblob" => azure(given, way),
            _ => gha(given),
        }
    }

    /// Opens it; no request is sent yet. `None` where there is none to be had.
    pub(super) fn open(&self, web: WebOptions) -> Result<Option<Arc<dyn Objects>>, ObjectsError> {
        Ok(Some(match &self.kind {
            Kind::S3(options) => Arc::new(Bucket::s3(options, web)?),
            Kind::Azure(options) => Arc::new(Bucket::azure(options, web)?),
            Kind::Gha(options) => Arc::new(Gha::new(options, web)?),
            Kind::Absent => return Ok(None),
        }))
    }
}

fn s3(mut given: Given<'_>, way: Way) -> anyhow::Result<Store> {
    let bucket = given.required("bucket", "AWS_BUCKET")?;
    let region = match given.take_or("region", "AWS_REGION") {
        Some(region) => region,
        None => given.required("region", "AWS_DEFAULT_REGION")?,
    };
    let mut options = S3Options::new(bucket, region);
    options.endpoint_url = given.take_or("endpoint_url", "AWS_ENDPOINT_URL_S3");
    if let Some(text) = given.take("use_path_style")
        && boolean("use_path_style", &text)?
    {
        options.style = BucketStyle::Path;
    }
    options.prefix = given.take("prefix").unwrap_or_default();
    if let Some(prefix) = given.take("blobs_prefix") {
        options.blobs_prefix = prefix;
    }
    if let Some(prefix) = given.take("manifests_prefix") {
        options.manifests_prefix = prefix;
    }
    let refresh = given.duration("touch_refresh")?.unwrap_or(TOUCH_REFRESH);
    options.refresh_before = given.now.checked_sub(refresh);
    if let Some(number) = given.number("upload_parallelism")? {
        options.upload_parallelism = number;
    }
    let attempts = given.number("retry_max_attempts")?;
    options.attempts = attempts.unwrap_or(attempts_for(way, options.attempts));
    match given.take("retry_mode").as_deref() {
        None | Some("standard") => {}
        Some(other) => bail!("retry_mode={other} is not supported: it is standard"),
    }
    if let Some(text) = given.take("disable_accept_encoding") {
        // The header is never sent.
        boolean("disable_accept_encoding", &text)?;
    }
    options.credentials = s3_credentials(&mut given)?;
    let names = given.names();
    given.finish()?;
    let kind = Kind::S3(Box::new(options));
    Ok(Store { kind, names })
}

fn s3_credentials(given: &mut Given<'_>) -> anyhow::Result<S3Credentials> {
    let own = (given.take("access_key_id"), given.take("secret_access_key"));
    let token = given.take("session_token");
    let variable = |name: &str| (given.variable)(name);
    let from_environment = || {
        Some(S3Credentials::Key {
            id: variable("AWS_ACCESS_KEY_ID")?,
            secret: variable("AWS_SECRET_ACCESS_KEY")?,
            token: variable("AWS_SESSION_TOKEN"),
        })
    };
    let web_identity = || {
        Some(S3Credentials::WebIdentity {
            token_file: PathBuf::from(variable("AWS_WEB_IDENTITY_TOKEN_FILE")?),
            role: variable("AWS_ROLE_ARN")?,
            session: variable("AWS_ROLE_SESSION_NAME"),
        })
    };
    let container = || {
        let path = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")?;
        Some(S3Credentials::Container { path })
    };
    let pod = || {
        Some(S3Credentials::Pod {
            url: variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")?,
            token_file: PathBuf::from(variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")?),
        })
    };
    match own {
        (Some(id), Some(secret)) => Ok(S3Credentials::Key { id, secret, token }),
        (None, None) => Ok(from_environment()
            .or_else(web_identity)
            .or_else(container)
            .or_else(pod)
            .unwrap_or(S3Credentials::Instance)),
        _ => bail!("access_key_id= and secret_access_key= belong together"),
    }
}

fn azure(mut given: Given<'_>, way: Way) -> anyhow::Result<Store> {
    let url = given.required("account_url", "BUILDKIT_AZURE_STORAGE_ACCOUNT_URL")?;
    let container = given
        .take_or("container", "BUILDKIT_AZURE_STORAGE_CONTAINER")
        .unwrap_or_else(|| "buildkit-cache".to_owned());
    let mut options = AzureOptions::new(url, container);
    options.account_name = given.take_or("account_name", "BUILDKIT_AZURE_STORAGE_ACCOUNT_NAME");
    options.prefix = given
        .take_or("prefix", "BUILDKIT_AZURE_STORAGE_PREFIX")
        .unwrap_or_default();
    if let Some(prefix) = given.take("blobs_prefix") {
        options.blobs_prefix = prefix;
    }
    if let Some(prefix) = given.take("manifests_prefix") {
        options.manifests_prefix = prefix;
    }
    if let Some(number) = given.number("upload_parallelism")? {
        options.upload_parallelism = number;
    }
    options.attempts = attempts_for(way, options.attempts);
    let key = given.take("secret_access_key");
    let variable = |name: &str| (given.variable)(name);
    let secret = || {
        Some(AzureCredentials::Secret {
            tenant_id: variable("AZURE_TENANT_ID")?,
            client_id: variable("AZURE_CLIENT_ID")?,
            secret: variable("AZURE_CLIENT_SECRET")?,
        })
    };
    let workload = || {
        Some(AzureCredentials::WorkloadIdentity {
            tenant_id: variable("AZURE_TENANT_ID")?,
            client_id: variable("AZURE_CLIENT_ID")?,
            token_file: PathBuf::from(variable("AZURE_FEDERATED_TOKEN_FILE")?),
        })
    };
    let key = key.map(AzureCredentials::Key);
    options.credentials = key.or_else(secret).or_else(workload).unwrap_or_else(|| {
        let client_id = variable("AZURE_CLIENT_ID");
        AzureCredentials::ManagedIdentity { client_id }
    });
    let names = given.names();
    given.finish()?;
    let kind = Kind::Azure(Box::new(options));
    Ok(Store { kind, names })
}

fn gha(mut given: Given<'_>) -> anyhow::Result<Store> {
    let scope = given.take("scope");
    let scope = scope.unwrap_or_else(|| DEFAULT_NAME.to_owned());
    let url = given.take_or("url_v2", "ACTIONS_RESULTS_URL");
    // That of version 1, which is no more.
    given.take("url");
    let token = given.take_or("token", "ACTIONS_RUNTIME_TOKEN");
    if let Some(version) = given.take("version").filter(|version| version != "2") {
        bail!("version={version} is not supported: GitHub has version 2");
    }
    let timeout = given.duration("timeout")?.unwrap_or(GHA_TIMEOUT);
    // For asking GitHub's API what is there: the cache itself is asked.
    given.take("repository");
    given.take("ghtoken");
    let since = given.now.duration_since(SystemTime::UNIX_EPOCH);
    let nanoseconds = since.map_or(0, |since| since.as_nanos());
    let writer = format!("{nanoseconds:x}-{:x}", std::process::id());
    given.finish()?;
    let kind = match (url, token) {
        (Some(url), Some(token)) => Kind::Gha(GhaOptions {
            url,
            token,
            scope,
            timeout,
            writer,
        }),
        _ => Kind::Absent,
    };
    let names = vec![DEFAULT_NAME.to_owned()];
    Ok(Store { kind, names })
}

fn attempts_for(way: Way, patient: usize) -> usize {
    match way {
        Way::From => READ_ATTEMPTS,
        Way::To => patient,
    }
}

/// What was typed, without what nobody is to see.
pub(super) fn shown(text: &str) -> String {
    let fields = text.split(',').map(|field| {
        let name = field.split('=').next().unwrap_or_default();
        let bare = name.trim().trim_start_matches('"').to_lowercase();
        if SECRET_FIELDS.contains(&bare.as_str()) {
            format!("{name}=…")
        } else {
            field.to_owned()
        }
    });
    fields.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::build::request::fields;

    fn parse(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Store> {
        let mut fields: BTreeMap<String, String> = fields(text).into_iter().collect();
        let kind = fields.remove("type").expect("a type");
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let given = Given {
            fields,
            variable: &find,
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000),
        };
        Store::parse(&kind, given, Way::To)
    }

    #[test]
    fn fields_come_before_variables() {
        let variables = [
            ("AWS_BUCKET", "other"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ];
        let text = "type=s3,bucket=own,prefix=ci/,name=main;pr,use_path_style=true,touch_refresh=1h,upload_parallelism=2,retry_max_attempts=9";
        let store = parse(text, &variables).expect("valid");
        assert_eq!(store.names, ["main", "pr"]);
        let Kind::S3(options) = store.kind else {
            panic!("{:?}", store.kind);
        };
        assert_eq!(
            (options.bucket.as_str(), options.region.as_str()),
            ("own", "eu-west-1")
        );
        assert_eq!(
            (options.prefix.as_str(), options.style),
            ("ci/", BucketStyle::Path)
        );
        assert_eq!((options.upload_parallelism, options.attempts), (2, 9));
        let hour_before = SystemTime::UNIX_EPOCH + Duration::from_secs(996_400);
        assert_eq!(options.refresh_before, Some(hour_before));
        assert!(matches!(
            options.credentials,
            S3Credentials::Key { token: None, .. }
        ));
    }

    #[test]
    fn outside_of_a_workflow_there_is_no_actions_cache() {
        let store = parse("type=gha,scope=x", &[]).expect("valid");
        assert!(matches!(store.kind, Kind::Absent));
        let variables = [
            ("ACTIONS_RESULTS_URL", "https://results.example/"),
            ("ACTIONS_RUNTIME_TOKEN", "secret"),
        ];
        let store = parse("type=gha,scope=x,ghtoken=t,repository=a/b", &variables);
        assert!(matches!(store.expect("valid").kind, Kind::Gha(options) if options.scope == "x"));
    }

    #[test]
    fn mistakes_are_told() {
        for (text, word) in [
            ("type=s3,region=x", "bucket="),
            ("type=s3,bucket=b", "region="),
            ("type=s3,bucket=b,region=x,colour=red", "\"colour\""),
            (
                "type=s3,bucket=b,region=x,access_key_id=i",
                "belong together",
            ),
            ("type=s3,bucket=b,region=x,upload_parallelism=0", "above 0"),
            (
                "type=s3,bucket=b,region=x,retry_mode=adaptive",
                "retry_mode",
            ),
            ("type=azblob", "account_url="),
            ("type=gha,version=1", "version 2"),
            ("type=gha,timeout=soon", "timeout=soon"),
        ] {
            let told = format!("{:#}", parse(text, &[]).expect_err(text));
            assert!(told.contains(word), "{text}: {told}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let text = "type=s3,access_key_id=i,secret_access_key=hunter2,\"token=hunter3\",mode=max";
        let shown = shown(text);
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(shown.ends_with("mode=max"), "{shown}");
    }
}
