//! Whether memory ran out while a command ran: the kernel then ends a process, which sees no reason.

/// How many processes the kernel has ended for want of memory since it was started: the machine's, or that of a control group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kills(u64);

impl Kills {
    /// Those until now; none where the kernel does not count them.
    pub(crate) fn until_now() -> Self {
        Self(in_text(
            &std::fs::read_to_string("/proc/vmstat").unwrap_or_default(),
        ))
    }

    /// Whether there are more by now.
    pub(crate) fn are_more_now(self) -> bool {
        Self::until_now().0 > self.0
    }
}

/// The number in the text of /proc/vmstat (proc_vmstat(5)).
fn in_text(text: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_count_is_found_among_others() {
        assert_eq!(in_text("pgfault 7\noom_kill 3\noom_kill_other 9\n"), 3);
        assert_eq!(in_text("pgfault 7\n"), 0);
    }
}
