//! Azure Blob Storage.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use tokio::sync::Semaphore;
use url::Url;

use crate::bucket::{Bucket, Layout};
use crate::container::{Container, Who};
use crate::runtime::Runtime;
use crate::s3::retries;
use crate::transport::Connector;
use crate::web::Web;
use crate::{ObjectsError, WebOptions};

/// A container of Azure Blob Storage, as `--cache-to type=azblob,…` describes it.
#[derive(Debug, Clone)]
pub struct AzureOptions {
    /// `https://account.blob.core.windows.net`.
    pub account_url: String,
    /// The account; the first part of the URL's host if it is not given.
    pub account_name: Option<String>,
    /// The container.
    pub container: String,
    /// A directory before all names.
    pub prefix: String,
    /// The directory of blobs, below `prefix`.
    pub blobs_prefix: String,
    /// The directory of all else, below `prefix`.
    pub manifests_prefix: String,
    /// Who we are.
    pub credentials: AzureCredentials,
    /// How many blocks are sent side by side.
    pub upload_parallelism: usize,
    /// How often a request is sent at most.
    pub attempts: usize,
}

impl AzureOptions {
    /// A container with the defaults of all else.
    pub fn new(account_url: impl Into<String>, container: impl Into<String>) -> Self {
        Self {
            account_url: account_url.into(),
            account_name: None,
            container: container.into(),
            prefix: String::new(),
            blobs_prefix: "blobs".to_owned(),
            manifests_prefix: "manifests".to_owned(),
            credentials: AzureCredentials::ManagedIdentity { client_id: None },
            upload_parallelism: 4,
            attempts: 6,
        }
    }
}

/// Who we are to Azure.
#[derive(Clone, PartialEq, Eq)]
pub enum AzureCredentials {
    /// The account's key, in base64.
    Key(String),
    /// A registered application's secret.
    Secret {
        /// `AZURE_TENANT_ID`.
        tenant_id: String,
        /// `AZURE_CLIENT_ID`.
        client_id: String,
        /// `AZURE_CLIENT_SECRET`.
        secret: String,
    },
    /// A token of another authority's, given for one of Azure's.
    WorkloadIdentity {
        /// `AZURE_TENANT_ID`.
        tenant_id: String,
        /// `AZURE_CLIENT_ID`.
        client_id: String,
        /// `AZURE_FEDERATED_TOKEN_FILE`.
        token_file: PathBuf,
    },
    /// What the machine's metadata service gives out.
    ManagedIdentity {
        /// Which one, if the machine has several.
        client_id: Option<String>,
    },
}

impl fmt::Debug for AzureCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key",
            Self::Secret { .. } => "Secret",
            Self::WorkloadIdentity { .. } => "WorkloadIdentity",
            Self::ManagedIdentity { .. } => "ManagedIdentity",
        })
    }
}

impl Bucket {
    /// The container that `options` describe. No request is sent yet; the container is made before the first object.
    pub fn azure(options: &AzureOptions, web: WebOptions) -> Result<Self, ObjectsError> {
        let address = format!(
            "{}/{}",
            options.account_url.trim_end_matches('/'),
            options.container
        );
        let wrong = |reason: String| ObjectsError::Config {
            store: address.clone(),
            reason,
        };
        let url = Url::parse(&options.account_url).map_err(|error| wrong(error.to_string()))?;
        let account = match &options.account_name {
            Some(name) => name.clone(),
            None => first_label(&url).ok_or_else(|| wrong("no account's name in it".to_owned()))?,
        };
        let layout = Layout {
            blobs: directory(&[&options.prefix, &options.blobs_prefix]),
            manifests: directory(&[&options.prefix, &options.manifests_prefix]),
        };
        layout.check().map_err(wrong)?;
        let web = Arc::new(Web::new(web)?);
        let builder = MicrosoftAzureBuilder::new()
            .with_account(&account)
            .with_endpoint(options.account_url.trim_end_matches('/').to_owned())
            .with_container_name(&options.container)
            .with_retry(retries(options.attempts))
            .with_http_connector(Connector(Arc::clone(&web)));
        let built = sign_as(builder, &options.credentials).build();
        let store = built.map_err(|error| wrong(error.to_string()))?;
        let who = match &options.credentials {
            AzureCredentials::Key(key) => Who::Key(
                BASE64_STANDARD
                    .decode(key)
                    .map_err(|_| wrong("the key is not base64".to_owned()))?,
            ),
            _ => Who::Token(Arc::clone(store.credentials())),
        };
        let container = Container {
            url: address.parse().map_err(|_| wrong("not a URL".to_owned()))?,
            web,
            account,
            who,
            is_there: OnceLock::new(),
        };
        Ok(Self {
            store: Arc::new(store),
            runtime: Arc::new(Runtime::new().map_err(|error| wrong(error.to_string()))?),
            layout,
            parts: Arc::new(Semaphore::new(options.upload_parallelism.max(1))),
            refresh: None,
            container: Some(container),
            address,
        })
    }
}

/// `account` of `https://account.blob.core.windows.net`.
fn first_label(url: &Url) -> Option<String> {
    let label = url.domain()?.split('.').next()?;
    Some(label.to_owned()).filter(|label| !label.is_empty())
}

/// `a/b/` of `a/` and `/b`.
fn directory(parts: &[&str]) -> String {
    let parts = parts.iter().flat_map(|part| part.split('/'));
    let kept = parts.filter(|part| !part.is_empty());
    kept.flat_map(|part| [part, "/"]).collect()
}

fn sign_as(builder: MicrosoftAzureBuilder, who: &AzureCredentials) -> MicrosoftAzureBuilder {
    match who {
        AzureCredentials::Key(key) => builder.with_access_key(key),
        AzureCredentials::Secret {
            tenant_id,
            client_id,
            secret,
        } => builder.with_client_secret_authorization(client_id, secret, tenant_id),
        AzureCredentials::WorkloadIdentity {
            tenant_id,
            client_id,
            token_file,
        } => builder
            .with_client_id(client_id)
            .with_tenant_id(tenant_id)
            .with_federated_token_file(token_file.to_string_lossy()),
        AzureCredentials::ManagedIdentity { client_id } => match client_id {
            Some(id) => builder.with_config(AzureConfigKey::ClientId, id),
            None => builder,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_joined_with_one_slash() {
        assert_eq!(directory(&["", "blobs"]), "blobs/");
        assert_eq!(directory(&["/ci//cache/", "/blobs/"]), "ci/cache/blobs/");
        assert_eq!(directory(&["", ""]), "");
    }
}
