//! What the store promises: each file is a kind of thing that it keeps, or a kind of trouble.

mod bases;
mod cache_mounts;
mod common;
mod format;
mod fsck;
mod images;
mod layers;
mod locks;
mod making_room;
mod processes;
mod records;
