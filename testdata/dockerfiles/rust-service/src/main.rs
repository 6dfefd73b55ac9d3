//! Says hello on the port that PORT names.

use tiny_http::{Response, Server};

fn main() {
    let port = std::env::var("PORT").unwrap_or_else(|_| "8000".to_owned());
    let server = Server::http(format!("0.0.0.0:{port}")).expect("the port is free");
    for request in server.incoming_requests() {
        let text = format!("hello from {}\n", request.url());
        // A client that went away needs no answer.
        let _ = request.respond(Response::from_string(text));
    }
}
