//! The client against a registry that misbehaves on request: what is sent, asked for again, and refused.

mod auth;
mod common;
mod connections;
mod faults;
mod pull;
mod push;
