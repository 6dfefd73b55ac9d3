//! `type=azblob`.

use std::path::PathBuf;

use rbuild_objects::{AzureCredentials, AzureOptions};

use super::{Given, Kind, Store, attempts_for};
use crate::commands::build::caches::spec::Way;

/// What `type=azblob,…` says.
pub(super) fn parse(mut given: Given<'_>, way: Way) -> anyhow::Result<Store> {
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
