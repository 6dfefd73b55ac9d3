//! What RUN steps are connected with.

use rbuild_network::{DEFAULT_NETWORK, Networks};
use rbuild_solve::{NetworkFiles, StepNetwork, StepNetworks};

use super::request::Request;
use crate::app::App;
use crate::commands::network::known;
use crate::commands::run::seed;

/// The networks of the steps; those that are named have to be there.
pub(super) fn of_steps(app: &App, request: &Request) -> anyhow::Result<StepNetworks> {
    let networks = Networks::new(app.store()?.root());
    let network = match request.step_network.as_deref() {
        Some("host") => StepNetwork::Host,
        None => StepNetwork::Private(networks),
        Some(name) => {
            let name = if name == DEFAULT_NETWORK {
                DEFAULT_NETWORK.to_owned()
            } else {
                known(app, &networks, name)?.name
            };
            StepNetwork::Named(networks, name)
        }
    };
    let files = NetworkFiles {
        resolv_conf: app.environment.resolv_conf(),
        servers: app.environment.name_servers(),
    };
    Ok(StepNetworks::new(network, files, seed()?.0))
}
