//! Everything on disk: blobs, layers, images, records, cache mounts, leases, garbage.
#![forbid(unsafe_code)]
