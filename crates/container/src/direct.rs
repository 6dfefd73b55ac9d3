//! Which of the user's streams a process in a container may have itself: pipes, and nothing else.
//!
//! A process can open its streams again (`/proc/self/fd/0`), for more than they were opened for. Root in a container could so
//! write to a file that it was to read, change its mode or owner, be in a directory of the host, or lock all others out of
//! `/dev/null`. A pipe without a name is nothing but what goes through it.

use std::os::fd::BorrowedFd;

use rustix::fs::fstatfs;

/// `PIPEFS_MAGIC` of `linux/magic.h`.
const PIPEFS_MAGIC: u64 = 0x5049_5045;

/// Whether it is a pipe without a name.
pub(crate) fn may_be_given(stream: BorrowedFd<'_>) -> bool {
    fstatfs(stream).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(PIPEFS_MAGIC))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn pipes_without_a_name_are_given_and_nothing_else() {
        let (read, write) = std::io::pipe().expect("two ends");
        assert!(may_be_given(read.as_fd()) && may_be_given(write.as_fd()));
        let place = tempfile::tempdir().expect("a directory");
        let named = place.path().join("named");
        mknodat(CWD, &named, FileType::Fifo, Mode::RWXU, 0).expect("new");
        let both = File::options().read(true).write(true).open(&named);
        assert!(!may_be_given(both.expect("ours").as_fd()));
        for path in ["/dev/null", "/", "/proc/self/status"] {
            let file = File::open(path).expect("it is there");
            assert!(!may_be_given(file.as_fd()), "{path}");
        }
    }
}
