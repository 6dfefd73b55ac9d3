//! How the allocator keeps memory.

/// An allocation of at least this many bytes is a mapping of its own.
const LARGE_BYTES: libc::c_int = 1 << 20;

/// From now on, what is allocated in large pieces (1 MiB and more) goes back to the kernel as soon as it is freed.
///
/// By itself glibc raises the size from which it does so to that of the largest piece that was freed, and keeps all others for
/// later, in one heap per thread: a program that handles layers in pieces of some MiB holds twice of what it uses.
/// See mallopt(3), `M_MMAP_THRESHOLD`.
pub fn give_back_large_allocations() {
    // SAFETY: it sets a number of the allocator under the allocator's own lock. That it refuses is possible only for
    // numbers above half a heap; then all stays as it was.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_bytes() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
        let pages: usize = text
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse().ok())
            .expect("the second number is the resident set");
        pages * rustix::param::page_size()
    }

    #[test]
    fn what_was_freed_is_not_kept() {
        give_back_large_allocations();
        let before = resident_bytes();
        for round in 0..4 {
            drop(vec![round + 1_u8; 16 << 20]);
            let grown = resident_bytes().saturating_sub(before);
            assert!(grown < 4 << 20, "{grown} bytes after round {round}");
        }
    }
}
