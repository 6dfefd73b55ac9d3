//! How an image wants to be run, and how a container is: `Config`.

use rbuild_container::{ContainerId, Naming, StoredConfig, healthcheck};
use rbuild_image::RuntimeConfig;
use rbuild_store::Container;
use serde_json::{Map, Value, json};

/// The config with the fields that scripts ask for, also where they are empty.
pub(super) fn runtime_config(config: &RuntimeConfig) -> anyhow::Result<Value> {
    const ALWAYS: &[(&str, Value)] = &[
        ("User", Value::String(String::new())),
        ("Env", Value::Null),
        ("Cmd", Value::Null),
        ("Volumes", Value::Null),
        ("WorkingDir", Value::String(String::new())),
        ("Entrypoint", Value::Null),
        ("OnBuild", Value::Null),
        ("Labels", Value::Null),
    ];
    let mut value = serde_json::to_value(config)?;
    if let Some(fields) = value.as_object_mut() {
        for (name, empty) in ALWAYS {
            fields
                .entry((*name).to_owned())
                .or_insert_with(|| empty.clone());
        }
    }
    Ok(value)
}

/// The image's config with what the user asked for in its place.
pub(super) fn own_config(
    id: &ContainerId,
    container: &Container,
    config: &StoredConfig,
) -> anyhow::Result<Value> {
    let options = &config.options;
    let mut value = runtime_config(&config.image)?;
    value["Hostname"] = json!(options.hostname.as_deref().unwrap_or_else(|| id.short()));
    value["Image"] = json!(container.image_name);
    value["Tty"] = json!(options.tty);
    value["OpenStdin"] = json!(options.interactive);
    if let Some(user) = &options.user {
        value["User"] = json!(user);
    }
    if let Some(workdir) = &options.workdir {
        value["WorkingDir"] = json!(workdir);
    }
    if let Some(entrypoint) = &options.entrypoint {
        let parts = Some(entrypoint).filter(|text| !text.is_empty());
        value["Entrypoint"] = json!(parts.map(|text| [text]));
        value["Cmd"] = Value::Null;
    }
    if !options.args.is_empty() {
        value["Cmd"] = json!(options.args);
    }
    if let Some(check) = healthcheck(options, &config.image) {
        value["Healthcheck"] = serde_json::to_value(check)?;
    }
    let anonymous = options.volumes.iter();
    for volume in anonymous.filter(|one| one.naming == Naming::MadeUp) {
        value["Volumes"][volume.target.to_string_lossy().as_ref()] = json!({});
    }
    value["Env"] = json!(merged_env(&config.image, &options.env));
    value["Labels"] = labels(&config.image, &options.labels);
    Ok(value)
}

fn merged_env(image: &RuntimeConfig, own: &[String]) -> Vec<String> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let mut merged: Vec<String> = Vec::new();
    for variable in image.env.iter().flatten().chain(own) {
        match merged
            .iter_mut()
            .find(|known| name(known) == name(variable))
        {
            Some(known) => known.clone_from(variable),
            None => merged.push(variable.clone()),
        }
    }
    merged
}

fn labels(image: &RuntimeConfig, own: &[String]) -> Value {
    let mut all: Map<String, Value> = image
        .labels
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    for label in own {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        all.insert(key.to_owned(), json!(value));
    }
    Value::Object(all)
}
