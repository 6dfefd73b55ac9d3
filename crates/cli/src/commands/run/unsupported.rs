//! Options of `docker run` that are refused by name.

use crate::refused::{Refusal, Table, flag, option};

const LIMITS: &str = "this limit is not supported";
const ADDRESSES: &str =
    "private networks have IPv4 addresses, from which those of interfaces follow";
const LINKS: &str = "containers of one network (rbuild network create) know each other by name";
const DEVICES: &str = "devices can be given whole (--device), without rules for their use";
const DRIVERS: &str = "volumes are directories of this machine";
const WINDOWS: &str = "it is for Windows";

/// See [`Table`].
pub(crate) struct OfRun;

impl Table for OfRun {
    const REFUSED: &'static [Refusal] = &[
        option(
            "annotation",
            "no runtime reads annotations: --label is kept with the container",
        ),
        option("blkio-weight", LIMITS),
        option("blkio-weight-device", LIMITS),
        option(
            "cgroup-parent",
            "containers have groups of their own below rbuild",
        ),
        option("cpu-count", WINDOWS),
        option("cpu-percent", WINDOWS),
        option("cpu-rt-period", LIMITS),
        option("cpu-rt-runtime", LIMITS),
        option("device-cgroup-rule", DEVICES),
        option("device-read-bps", LIMITS),
        option("device-read-iops", LIMITS),
        option("device-write-bps", LIMITS),
        option("device-write-iops", LIMITS),
        option("domainname", "give the whole name with --hostname"),
        option("gpus", "devices are given by their names, with --device"),
        option("io-maxbandwidth", WINDOWS),
        option("io-maxiops", WINDOWS),
        option("ip6", ADDRESSES),
        option("isolation", WINDOWS),
        option("kernel-memory", LIMITS),
        option("link", LINKS),
        option("link-local-ip", ADDRESSES),
        option("mac-address", ADDRESSES),
        option("memory-swappiness", LIMITS),
        flag(
            "oom-kill-disable",
            "--oom-score-adj says how willingly it is ended when memory runs out",
        ),
        option("runtime", "there is one runtime, and it is rbuild"),
        option(
            "storage-opt",
            "a container may use the disk that its store is on",
        ),
        flag(
            "use-api-socket",
            "there is no engine, and so no socket of one",
        ),
        option("volume-driver", DRIVERS),
    ];
}
