//! One file for each verb.

mod annotation;
pub(crate) mod build;
pub(crate) mod cache;
mod documents;
pub(crate) mod du;
mod fetch;
pub(crate) mod filter;
mod format;
pub(crate) mod fsck;
pub(crate) mod history;
pub(crate) mod images;
pub(crate) mod imagetools;
pub(crate) mod inspect;
pub(crate) mod login;
pub(crate) mod logout;
mod lookup;
pub(crate) mod prune;
pub(crate) mod ps;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod rm;
pub(crate) mod rmi;
pub(crate) mod run;
pub(crate) mod tag;
pub(crate) mod version;
