//! What a container uses, as its control groups and its network tell it.

use std::fs;
use std::time::Duration;

use super::{Cgroup, Kind};

/// What a container uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of all its processes.
    pub cpu: Duration,
    /// Bytes of memory, without the cache that can be dropped.
    pub memory: u64,
    /// Bytes that it may use.
    pub memory_limit: Option<u64>,
    /// Processes and threads.
    pub processes: u64,
    /// Bytes of its disks; nothing where the kernel does not count them.
    pub disks: Traffic,
}

/// Bytes that came and went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Received, or read.
    pub received: u64,
    /// Sent, or written.
    pub sent: u64,
}

impl Traffic {
    /// Both together.
    fn plus(self, received: u64, sent: u64) -> Self {
        Self {
            received: self.received.saturating_add(received),
            sent: self.sent.saturating_add(sent),
        }
    }

    /// Of all interfaces but loopback in the network namespace of a process (proc(5), `/proc/[pid]/net/dev`).
    pub(crate) fn of_network(pid: u32) -> Self {
        let table = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
        network(&table)
    }
}

fn network(table: &str) -> Traffic {
    let interfaces = table.lines().filter_map(|line| line.split_once(':'));
    let others = interfaces.filter(|(name, _)| name.trim() != "lo");
    others.fold(Traffic::default(), |sum, (_, counts)| {
        let counts: Vec<u64> = counts
            .split_whitespace()
            .filter_map(|count| count.parse().ok())
            .collect();
        // Eight of what was received, eight of what was sent; bytes come first.
        match (counts.first(), counts.get(8)) {
            (Some(received), Some(sent)) => sum.plus(*received, *sent),
            _ => sum,
        }
    })
}

/// Lines `8:0 rbytes=1 wbytes=2 …`, as version 2 has them.
fn disks_of_unified(text: &str) -> Traffic {
    text.lines().fold(Traffic::default(), |sum, line| {
        let of = |name: &str| -> u64 {
            let values = line.split(' ').filter_map(|word| word.split_once('='));
            let mut named = values.filter(|(key, _)| *key == name);
            named
                .next()
                .and_then(|(_, value)| value.parse().ok())
                .unwrap_or_default()
        };
        sum.plus(of("rbytes"), of("wbytes"))
    })
}

/// Lines `8:0 Read 1`, as version 1 has them.
fn disks_of_separate(text: &str) -> Traffic {
    text.lines().fold(Traffic::default(), |sum, line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, direction, bytes] = words[..] else {
            return sum;
        };
        let bytes = bytes.parse().unwrap_or_default();
        match direction {
            "Read" => sum.plus(bytes, 0),
            "Write" => sum.plus(0, bytes),
            _ => sum,
        }
    })
}

impl Cgroup {
    /// What the container uses; `None` without groups.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let cache = |key| self.keyed("memory", "memory.stat", key).unwrap_or_default();
        let memory = |file, key| {
            let all = self.number("memory", file).unwrap_or_default();
            all.saturating_sub(cache(key))
        };
        let text = |controller, file| {
            let path = self.file(controller, file);
            path.and_then(|path| fs::read_to_string(path).ok())
                .unwrap_or_default()
        };
        let processes = self.number("pids", "pids.current").unwrap_or_default();
        match self.kind {
            Kind::Absent => None,
            Kind::Unified(_) => Some(Usage {
                cpu: self
                    .keyed("cpu", "cpu.stat", "usage_usec")
                    .map(Duration::from_micros)
                    .unwrap_or_default(),
                memory: memory("memory.current", "inactive_file"),
                memory_limit: self.number("memory", "memory.max"),
                processes,
                disks: disks_of_unified(&text("io", "io.stat")),
            }),
            Kind::Separate(_) => Some(Usage {
                cpu: self
                    .number("cpuacct", "cpuacct.usage")
                    .map(Duration::from_nanos)
                    .unwrap_or_default(),
                memory: memory("memory.usage_in_bytes", "total_inactive_file"),
                memory_limit: self
                    .number("memory", "memory.limit_in_bytes")
                    .filter(|bytes| *bytes < 1 << 60),
                processes,
                disks: disks_of_separate(&text("blkio", "blkio.throttle.io_service_bytes")),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn traffic(received: u64, sent: u64) -> Traffic {
        Traffic { received, sent }
    }

    #[test]
    fn what_went_through_its_interfaces_is_summed_up_without_loopback() {
        let table = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes\n\
                     \x20   lo:     500       5    0    0    0     0          0         0      500       5    0    0    0     0       0          0\n\
                     \x20 eth0:    1246      17    0    0    0     0          0         0      126       3    0    0    0     0       0          0\n\
                     \x20 eth1:4 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n";
        assert_eq!(network(table), traffic(1250, 128));
    }

    #[test]
    fn disks_are_summed_up_in_both_versions() {
        let unified =
            "254:0 rbytes=4096 wbytes=10 rios=1 wios=1 dbytes=0 dios=0\n7:0 rbytes=4 wbytes=0\n";
        assert_eq!(disks_of_unified(unified), traffic(4100, 10));
        let separate =
            "254:0 Read 4096\n254:0 Write 10\n254:0 Sync 10\n254:0 Total 4106\nTotal 4106\n";
        assert_eq!(disks_of_separate(separate), traffic(4096, 10));
    }
}
