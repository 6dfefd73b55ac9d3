//! Raw system calls, descriptors, id maps: the only crate of the workspace with `unsafe`.
//!
//! What `rustix` and `nix` offer safely is used from there directly; this crate holds what they
//! do not offer, each call behind a safe face:
//!
//! * [`mount_overlay`]: a detached overlay mount of up to 500 layers;
//! * [`enter_user_namespace`]: how a normal user becomes "root in a namespace";
//! * [`fork`], guarded by [`SingleThreaded`], for the sandbox's init;
//! * small wrappers: seccomp, keyrings, terminals, loopback, descriptors, memory.
//!
//! It decides nothing: no policy, no paths of rbuild, no logging.
//!
//! ```no_run
//! use rbuild_sys::{OverlayFlavor, mount_overlay};
//!
//! # fn main() -> Result<(), rbuild_sys::SysError> {
//! let root = mount_overlay(&["/layers/top", "/layers/bottom"], None, OverlayFlavor::detect())?;
//! // `root` works with openat2; dropping it unmounts.
//! # Ok(())
//! # }
//! ```

mod descriptor;
mod devices;
mod error;
mod id_map;
mod joining;
mod memory;
mod mount;
mod open;
mod overlay;
mod packets;
mod process;
mod seccomp;
mod single_threaded;
mod terminal;
mod text;
mod user_namespace;
mod users;

pub use descriptor::{
    FIRST_AFTER_STDIO, close_for_good_from, close_on_exec_from, duplicate_onto, memory_file,
    sealed_memory_file,
};
pub use devices::{DeviceKind, DeviceRule, restrict_devices};
pub use error::SysError;
pub use id_map::{IdRange, SubordinateIds, all_subordinate_ids, subordinate_ids};
pub use joining::{
    id_maps, join_user_namespace, owns_network_namespace, same_namespace, user_namespace,
    wanted_id_maps,
};
pub use memory::give_back_large_allocations;
pub use mount::{
    Attributes, Recursion, attach, clone_tree, file_system, is_initial_user_namespace,
    make_mounts_private, set_attributes, unshare_mounts,
};
pub use open::openat2;
pub use overlay::{
    MAX_OVERLAY_LOWERS, OVERLAY_OPAQUE_TRUSTED, OVERLAY_OPAQUE_USER, OverlayFlavor, UpperWork,
    mount_overlay,
};
pub use packets::{Door, DoorFile, MAX_PASSED_DESCRIPTORS, Packets, Room};
pub use process::{
    Fork, bring_up_loopback, drop_bounding_capability, exit_now, fork, join_new_session_keyring,
    kill_on_parent_death, reset_signals, rlimit, send_signal, set_child_subreaper, set_groups,
    set_name, set_rlimit, set_user,
};
pub use seccomp::{BpfInstruction, install_seccomp_filter};
pub use single_threaded::SingleThreaded;
pub use terminal::{make_controlling_terminal, open_terminal_peer};
pub use text::release_program_text;
pub use user_namespace::{Entered, IdMap, enter_user_namespace};
pub use users::{MappedOverlay, UserNamespace, as_owner};
