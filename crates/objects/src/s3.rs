//! S3, and what speaks its protocol.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use rbuild_web::is_loopback;
use tokio::sync::Semaphore;
use ureq::http::{HeaderMap, HeaderValue};
use url::Url;

use crate::bucket::{Bucket, Layout, Refresh};
use crate::runtime::Runtime;
use crate::transport::Connector;
use crate::web::Web;
use crate::{ObjectsError, WebOptions};

/// A bucket of S3, as `--cache-to type=s3,…` describes it.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// The bucket's name.
    pub bucket: String,
    /// `eu-central-1`.
    pub region: String,
    /// Where the service is, if not at AWS: `https://minio.example:9000`.
    pub endpoint_url: Option<String>,
    /// How the bucket is named in addresses.
    pub style: BucketStyle,
    /// Before all keys, as it stands.
    pub prefix: String,
    /// Before keys of blobs, after `prefix`.
    pub blobs_prefix: String,
    /// Before all other keys, after `prefix`.
    pub manifests_prefix: String,
    /// Who we are.
    pub credentials: S3Credentials,
    /// Objects that are written again and were written before this get a new date, so that rules which delete old
    /// objects spare them.
    pub refresh_before: Option<SystemTime>,
    /// How many parts are sent side by side.
    pub upload_parallelism: usize,
    /// How often a request is sent at most.
    pub attempts: usize,
}

impl S3Options {
    /// A bucket at AWS with the defaults of all else.
    pub fn new(bucket: impl Into<String>, region: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            region: region.into(),
            endpoint_url: None,
            style: BucketStyle::Host,
            prefix: String::new(),
            blobs_prefix: "blobs/".to_owned(),
            manifests_prefix: "manifests/".to_owned(),
            credentials: S3Credentials::Instance,
            refresh_before: None,
            upload_parallelism: 4,
            attempts: 6,
        }
    }
}

/// How a bucket is named in addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketStyle {
    /// `https://bucket.host/key`. Where that cannot be (the host is an address, the bucket's name has dots), as `Path`.
    Host,
    /// `https://host/bucket/key`.
    Path,
}

/// Who we are to S3.
#[derive(Clone, PartialEq, Eq)]
pub enum S3Credentials {
    /// A key, and for a temporary one its token.
    Key {
        /// `AWS_ACCESS_KEY_ID`.
        id: String,
        /// `AWS_SECRET_ACCESS_KEY`.
        secret: String,
        /// `AWS_SESSION_TOKEN`.
        token: Option<String>,
    },
    /// A token of another authority's, given for a role's temporary key.
    WebIdentity {
        /// `AWS_WEB_IDENTITY_TOKEN_FILE`.
        token_file: PathBuf,
        /// `AWS_ROLE_ARN`.
        role: String,
        /// `AWS_ROLE_SESSION_NAME`.
        session: Option<String>,
    },
    /// What the container's host gives out, at a path of its own service.
    Container {
        /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`.
        path: String,
    },
    /// What a cluster's agent gives out.
    Pod {
        /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
        url: String,
        /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`.
        token_file: PathBuf,
    },
    /// What the machine's metadata service gives out.
    Instance,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key { .. } => "Key",
            Self::WebIdentity { .. } => "WebIdentity",
            Self::Container { .. } => "Container",
            Self::Pod { .. } => "Pod",
            Self::Instance => "Instance",
        })
    }
}

impl Bucket {
    /// The bucket that `options` describe. No request is sent yet.
    pub fn s3(options: &S3Options, web: WebOptions) -> Result<Self, ObjectsError> {
        let address = format!("s3://{}", options.bucket);
        let wrong = |reason: String| ObjectsError::Config {
            store: address.clone(),
            reason,
        };
        let layout = Layout {
            blobs: format!("{}{}", options.prefix, options.blobs_prefix),
            manifests: format!("{}{}", options.prefix, options.manifests_prefix),
        };
        layout.check().map_err(wrong)?;
        let (endpoint, host_style) = endpoint(options).map_err(wrong)?;
        let connector = Connector(Arc::new(Web::new(web)?));
        let build = |client| {
            let builder = AmazonS3Builder::new()
                .with_bucket_name(&options.bucket)
                .with_region(&options.region)
                .with_endpoint(&endpoint)
                .with_virtual_hosted_style_request(host_style)
                .with_retry(retries(options.attempts))
                .with_client_options(client)
                .with_http_connector(connector.clone());
            let built = sign_as(builder, &options.credentials).build();
            built.map_err(|error| wrong(error.to_string()))
        };
        let refresh = match options.refresh_before {
            None => None,
            Some(before) => Some(Refresh {
                before,
                copier: Arc::new(build(copying())?),
            }),
        };
        Ok(Self {
            store: Arc::new(build(ClientOptions::new())?),
            runtime: Arc::new(Runtime::new().map_err(|error| wrong(error.to_string()))?),
            layout,
            parts: Arc::new(Semaphore::new(options.upload_parallelism.max(1))),
            refresh,
            container: None,
            address,
        })
    }
}

/// Where requests go, and whether the bucket's name is in it.
fn endpoint(options: &S3Options) -> Result<(String, bool), String> {
    let bucket = &options.bucket;
    let own = || {
        let china = options.region.starts_with("cn-");
        let domain = if china {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        format!("https://s3.{}.{domain}", options.region)
    };
    let given = options.endpoint_url.clone().unwrap_or_else(own);
    let mut url = Url::parse(&given).map_err(|error| format!("endpoint {given:?}: {error}"))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    if !matches!(url.scheme(), "http" | "https") || host.is_empty() {
        return Err(format!("endpoint {given:?}: not an http or https URL"));
    }
    let bare = host.trim_matches(['[', ']']);
    let nameable = bare.parse::<IpAddr>().is_err() && !is_loopback(&host) && !bucket.contains('.');
    let host_style = options.style == BucketStyle::Host && nameable;
    if host_style {
        url.set_host(Some(&format!("{bucket}.{host}")))
            .map_err(|error| format!("bucket {bucket:?}: {error}"))?;
    }
    Ok((url.as_str().trim_end_matches('/').to_owned(), host_style))
}

fn sign_as(builder: AmazonS3Builder, credentials: &S3Credentials) -> AmazonS3Builder {
    use AmazonS3ConfigKey as Key;
    let path = |path: &PathBuf| path.to_string_lossy().into_owned();
    match credentials {
        S3Credentials::Key { id, secret, token } => {
            let builder = builder
                .with_access_key_id(id)
                .with_secret_access_key(secret);
            match token {
                Some(token) => builder.with_token(token),
                None => builder,
            }
        }
        S3Credentials::WebIdentity {
            token_file,
            role,
            session,
        } => {
            let builder = builder
                .with_config(Key::WebIdentityTokenFile, path(token_file))
                .with_config(Key::RoleArn, role);
            match session {
                Some(session) => builder.with_config(Key::RoleSessionName, session),
                None => builder,
            }
        }
        S3Credentials::Container { path } => {
            builder.with_config(Key::ContainerCredentialsRelativeUri, path)
        }
        S3Credentials::Pod { url, token_file } => builder
            .with_config(Key::ContainerCredentialsFullUri, url)
            .with_config(Key::ContainerAuthorizationTokenFile, path(token_file)),
        S3Credentials::Instance => builder,
    }
}

/// A copy onto itself is refused unless something changes: the metadata do, from none to none.
fn copying() -> ClientOptions {
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-amz-metadata-directive",
        HeaderValue::from_static("REPLACE"),
    );
    ClientOptions::new().with_default_headers(headers)
}

pub(crate) fn retries(attempts: usize) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(250),
            max_backoff: Duration::from_secs(8),
            base: 2.0,
        },
        max_retries: attempts.saturating_sub(1),
        retry_timeout: Duration::from_secs(120),
    }
}

#[cfg(test)]
mod tests {
    use super::BucketStyle::{Host, Path};
    use super::*;

    #[test]
    fn the_bucket_is_in_the_host_where_it_can_be() {
        let of = |bucket: &str, region: &str, url: Option<&str>, style| {
            let options = S3Options {
                endpoint_url: url.map(str::to_owned),
                style,
                ..S3Options::new(bucket, region)
            };
            endpoint(&options)
        };
        let good = |bucket, region, url, style| of(bucket, region, url, style).expect("it is good");
        for (bucket, region, url, style, expected) in [
            (
                "b",
                "eu-west-1",
                None,
                Host,
                ("https://b.s3.eu-west-1.amazonaws.com", true),
            ),
            (
                "b",
                "cn-north-1",
                None,
                Host,
                ("https://b.s3.cn-north-1.amazonaws.com.cn", true),
            ),
            (
                "b.c",
                "eu-west-1",
                None,
                Host,
                ("https://s3.eu-west-1.amazonaws.com", false),
            ),
            (
                "b",
                "x",
                Some("https://s3.example:9000/"),
                Host,
                ("https://b.s3.example:9000", true),
            ),
            (
                "b",
                "x",
                Some("https://s3.example:9000/"),
                Path,
                ("https://s3.example:9000", false),
            ),
            (
                "b",
                "x",
                Some("http://127.0.0.1:9000"),
                Host,
                ("http://127.0.0.1:9000", false),
            ),
            (
                "b",
                "x",
                Some("http://[::1]:9000"),
                Host,
                ("http://[::1]:9000", false),
            ),
            (
                "b",
                "x",
                Some("http://localhost:9000"),
                Host,
                ("http://localhost:9000", false),
            ),
        ] {
            assert_eq!(
                good(bucket, region, url, style),
                (expected.0.to_owned(), expected.1)
            );
        }
        for bad in ["minio:9000", "ftp://minio", "nothing"] {
            assert!(of("b", "x", Some(bad), Host).is_err(), "{bad}");
        }
    }
}
