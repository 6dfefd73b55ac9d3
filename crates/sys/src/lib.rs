//! Raw system calls, descriptors, id maps.
