//! The memory that a program's own code and constants take while it does nothing.

use std::fs;

/// Gives the pages of this program's code and constants back to the page cache: they come back as they are used. For
/// processes that sleep most of their long life. Where the kernel refuses, they stay.
pub fn release_program_text() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let Ok(program) = fs::read_link("/proc/self/exe") else {
        return;
    };
    for line in maps.lines() {
        if let Some((start, length)) = text_of(line, &program.to_string_lossy()) {
            // SAFETY: the range is a mapping of this program's file that can be executed and not written, or the one from
            // the file's beginning on, with its headers and constants, which the linker never makes writable. So each of
            // its pages is a clean copy of the file: dropping them changes nothing but where the next access finds them.
            unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
        }
    }
}

/// Start and length of a line's mapping (proc(5)), if it is code or constants of `program` that nobody can write, nor could
/// when it was loaded: what has been relocated is read-only too, but not as it is in the file.
fn text_of(line: &str, program: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_whitespace();
    let (range, access) = (fields.next()?, fields.next()?);
    let offset = fields.next()?;
    let path = fields.nth(2)?;
    let is_as_in_the_file = match access {
        "r-xp" => true,
        "r--p" => offset.bytes().all(|digit| digit == b'0'),
        _ => false,
    };
    if !is_as_in_the_file || path != program {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    Some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_as_in_the_file_and_cannot_be_written_is_released() {
        let line = |access: &str| format!("1000-3000 {access} 00005000 08:01 42 /bin/rbuild");
        let first = "1000-3000 r--p 00000000 08:01 42 /bin/rbuild";
        assert_eq!(text_of(first, "/bin/rbuild"), Some((0x1000, 0x2000)));
        assert_eq!(
            text_of(&line("r-xp"), "/bin/rbuild"),
            Some((0x1000, 0x2000))
        );
        for access in ["rwxp", "r--p", "rw-p"] {
            assert_eq!(text_of(&line(access), "/bin/rbuild"), None, "{access}");
        }
        assert_eq!(text_of(&line("r-xp"), "/bin/other"), None);
        release_program_text();
    }
}
