//! The plan for people: `--print-plan=dot|json`. Sorted, so that equal plans print equally.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    Access, CacheIdOrigin, CacheUse, ContextSource, CopyAction, Exec, ExecMount, FileAction,
    GitSource, Mode, MountKind, NetworkMode, Operation, Owner, Parents, Plan, Presence, SecretFile,
    SecurityMode, Sharing, Unpack, VertexId, Wildcard, without_credentials,
};

/// The plan as a Graphviz drawing: a box for each vertex, a cluster for each stage, the outputs in bold.
pub fn to_dot(plan: &Plan) -> String {
    let mut dot = String::from(
        "digraph plan {\n  rankdir=LR;\n  node [shape=box, fontname=\"monospace\"];\n",
    );
    for id in plan.vertices() {
        let vertex = plan.vertex(id);
        let style = if plan.outputs.iter().any(|output| output.root == Some(id)) {
            ", style=bold"
        } else {
            ""
        };
        let _ = writeln!(
            dot,
            "  v{} [label={}{style}];",
            number(id),
            quoted(&vertex.name)
        );
    }
    for id in plan.vertices() {
        for (slot, input) in plan.inputs(id).into_iter().enumerate() {
            let _ = writeln!(
                dot,
                "  v{} -> v{} [label=\"{slot}\"];",
                number(input),
                number(id)
            );
        }
    }
    dot.push_str("}\n");
    dot
}

/// The plan as JSON: `{"vertices": [{"id", "name", "operation", "inputs", …}], "outputs": […]}`.
pub fn to_json(plan: &Plan) -> Value {
    let vertices: Vec<Value> = plan
        .vertices()
        .map(|id| {
            let vertex = plan.vertex(id);
            let inputs: Vec<usize> = plan.inputs(id).into_iter().map(number).collect();
            json!({
                "id": number(id),
                "name": vertex.name,
                "stage": &*vertex.stage,
                "platform": vertex.platform.to_string(),
                "inputs": inputs,
                "cache": match vertex.cache_use { CacheUse::Allowed => "allowed", CacheUse::Refused => "refused" },
                "operation": operation_to_json(&vertex.operation),
            })
        })
        .collect();
    let outputs: Vec<Value> = plan
        .outputs
        .iter()
        .map(|output| {
            json!({
                "platform": output.platform.to_string(),
                "root": output.root.map(number),
                "config": output.config,
                "baseHistory": output.base_history,
            })
        })
        .collect();
    json!({ "vertices": vertices, "outputs": outputs })
}

fn number(id: VertexId) -> usize {
    id.0.index()
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// One operation as JSON. Credentials in addresses are left out.
pub fn operation_to_json(operation: &Operation) -> Value {
    match operation {
        Operation::Image(source) => json!({
            "type": "image",
            "manifest": source.image.manifest.to_string(),
            "layers": source.diff_ids().len(),
        }),
        Operation::Context(ContextSource::Main) => json!({ "type": "context" }),
        Operation::Context(ContextSource::Named(name)) => {
            json!({ "type": "context", "name": name })
        }
        Operation::Git(source) => git(source),
        Operation::Http(source) => json!({
            "type": "http",
            "url": without_credentials(&source.url),
            "fileName": source.file_name,
            "checksum": source.checksum.map(|digest| digest.to_string()),
        }),
        Operation::Exec(step) => exec(step),
        Operation::File(file) => json!({
            "type": "file",
            "base": file.base.map(|input| input.0),
            "actions": file.actions.iter().map(action).collect::<Vec<_>>(),
        }),
        Operation::Merge => json!({ "type": "merge" }),
    }
}

fn git(source: &GitSource) -> Value {
    json!({
        "type": "git",
        "url": without_credentials(&source.url),
        "ref": source.reference,
        "subdirectory": source.subdirectory,
        "checksum": source.checksum,
    })
}

fn exec(step: &Exec) -> Value {
    json!({
        "type": "exec",
        "args": step.args.iter().map(AsRef::as_ref).collect::<Vec<&str>>(),
        "env": step.env.iter().collect::<Vec<_>>(),
        "cwd": &*step.cwd,
        "user": &*step.user,
        "network": match step.network {
            NetworkMode::Default => "default",
            NetworkMode::None => "none",
            NetworkMode::Host => "host",
        },
        "security": match step.security {
            SecurityMode::Sandbox => "sandbox",
            SecurityMode::Insecure => "insecure",
        },
        "mounts": step.mounts.iter().map(mount).collect::<Vec<_>>(),
    })
}

fn mount(mount: &ExecMount) -> Value {
    let mut value = match &mount.kind {
        MountKind::Bind {
            from,
            source,
            access,
        } => {
            json!({ "type": "bind", "from": from.0, "source": source, "access": access_name(*access) })
        }
        MountKind::Cache {
            id,
            id_origin,
            sharing,
            from,
            source,
            owner,
            mode,
            access,
        } => json!({
            "type": "cache",
            "id": id,
            "idGiven": *id_origin == CacheIdOrigin::Given,
            "sharing": match sharing {
                Sharing::Shared => "shared",
                Sharing::Private => "private",
                Sharing::Locked => "locked",
            },
            "from": from.map(|input| input.0),
            "source": source,
            "owner": format!("{}:{}", owner.0, owner.1),
            "mode": format!("{mode:04o}"),
            "access": access_name(*access),
        }),
        MountKind::Tmpfs { size } => json!({ "type": "tmpfs", "size": size }),
        MountKind::Secret {
            id,
            file,
            env,
            presence,
            owner,
            mode,
        } => json!({
            "type": "secret",
            "id": id,
            "file": *file == SecretFile::Mounted,
            "env": env,
            "required": *presence == Presence::Required,
            "owner": format!("{}:{}", owner.0, owner.1),
            "mode": format!("{mode:04o}"),
        }),
        MountKind::Ssh {
            id,
            presence,
            owner,
            mode,
        } => json!({
            "type": "ssh",
            "id": id,
            "required": *presence == Presence::Required,
            "owner": format!("{}:{}", owner.0, owner.1),
            "mode": format!("{mode:04o}"),
        }),
        MountKind::Inline { data, mode } => {
            json!({ "type": "inline", "bytes": data.len(), "mode": format!("{mode:04o}") })
        }
    };
    value["target"] = json!(mount.target);
    value
}

fn access_name(access: Access) -> &'static str {
    match access {
        Access::ReadOnly => "ro",
        Access::ReadWrite => "rw",
    }
}

fn action(action: &FileAction) -> Value {
    match action {
        FileAction::Copy(copy) => copy_action(copy),
        FileAction::MakeDirectory { path, mode, owner } => json!({
            "type": "mkdir",
            "path": path,
            "mode": format!("{mode:04o}"),
            "owner": owner_name(owner),
        }),
        FileAction::MakeFile {
            path,
            name,
            data,
            mode,
            owner,
        } => json!({
            "type": "mkfile",
            "path": path,
            "name": name,
            "bytes": data.len(),
            "mode": mode_name(mode),
            "owner": owner_name(owner),
        }),
    }
}

fn copy_action(copy: &CopyAction) -> Value {
    json!({
        "type": "copy",
        "from": copy.from.0,
        "source": copy.source,
        "destination": copy.destination,
        "owner": owner_name(&copy.owner),
        "mode": mode_name(&copy.mode),
        "parents": copy.parents == Parents::Kept,
        "excludes": copy.excludes,
        "unpack": copy.unpack == Unpack::Archives,
        "wildcard": copy.wildcard == Wildcard::Pattern,
    })
}

fn owner_name(owner: &Owner) -> String {
    match owner {
        Owner::Source => "source".to_owned(),
        Owner::Ids { uid, gid } => format!("{uid}:{gid}"),
        Owner::Named(name) => name.clone(),
    }
}

fn mode_name(mode: &Mode) -> String {
    match mode {
        Mode::Source => "source".to_owned(),
        Mode::Octal(bits) => format!("{bits:04o}"),
        Mode::Symbolic(text) => text.clone(),
    }
}
