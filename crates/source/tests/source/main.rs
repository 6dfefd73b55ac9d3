//! What every kind of source gives to a build, read as it is found on disks and in the network.

mod archive;
mod context;
mod git;
mod http;
mod image_archive;
mod oci_layout;
mod watch;
