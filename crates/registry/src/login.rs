//! Finding out whether a registry takes our credential.

use ureq::http::Method;

use crate::client::attempt;
use crate::transport::Call;
use crate::{Client, RegistryError};

impl Client {
    /// Shows `registry` (`docker.io`, `localhost:5000`) the client's credential, as distribution-spec's `end-1` wants it.
    /// A registry that wants none takes any.
    ///
    /// Gives the identity token that is to be kept in place of the password, where the registry's token server has one for us.
    ///
    /// Fails with [`RegistryError::Denied`] if it is not taken.
    pub fn log_in(&self, registry: &str) -> Result<Option<String>, RegistryError> {
        let endpoint = self.own_endpoint(registry, None);
        let attempt = attempt("log in to", registry.to_owned(), &endpoint);
        let call = Call::new(&endpoint, &attempt, Method::GET);
        self.transport().offline.want();
        let answer = self.transport().send(&call, "");
        let token = self.transport().offline.take();
        answer.map(|_| token)
    }
}
