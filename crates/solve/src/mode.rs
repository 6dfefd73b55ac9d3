//! `--chmod`: octal bits, or symbolic clauses applied to each entry's own mode.

use rbuild_plan::Mode;

/// The mode of directories that a copy has to make on its way.
const NEW_DIRECTORY_MODE: u32 = 0o755;

/// What symbolic clauses need to know of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    /// `X` always applies.
    Directory,
    /// `X` applies where some execute bit is set.
    File,
}

/// The mode of directories that a copy has to make on its way: that of `--chmod` if it is octal. Symbolic clauses are for
/// what is copied (as BuildKit has it).
pub(crate) fn of_new_directory(mode: &Mode) -> u32 {
    match mode {
        Mode::Octal(bits) => *bits,
        Mode::Source | Mode::Symbolic(_) => NEW_DIRECTORY_MODE,
    }
}

/// The mode that an entry with mode `source` gets; `None` if the clauses cannot be read.
pub(crate) fn apply(mode: &Mode, source: u32, node: Node) -> Option<u32> {
    match mode {
        Mode::Source => Some(source),
        Mode::Octal(bits) => Some(*bits),
        Mode::Symbolic(clauses) => clauses
            .split(',')
            .try_fold(source, |bits, clause| apply_clause(clause, bits, node)),
    }
}

/// One clause, `[ugoa]*([-+=][rwxXst]*|[-+=][ugo])+` (chmod(1)).
fn apply_clause(clause: &str, mut bits: u32, node: Node) -> Option<u32> {
    let operator = clause.find(['+', '-', '='])?;
    let (who, mut actions) = clause.split_at(operator);
    let who = classes(who)?;
    while let Some(operator) = actions.chars().next() {
        let rest = &actions[1..];
        let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
        let permissions = permissions(&rest[..end], who, bits, node)?;
        bits = match operator {
            '+' => bits | permissions,
            '-' => bits & !permissions,
            _ => (bits & !(who | special(who))) | permissions,
        };
        actions = &rest[end..];
    }
    Some(bits)
}

/// The permission bits of the named classes, in all three rwx positions.
fn classes(who: &str) -> Option<u32> {
    if who.is_empty() {
        return Some(0o777);
    }
    who.chars().try_fold(0, |mask, class| {
        Some(
            mask | match class {
                'u' => 0o700,
                'g' => 0o070,
                'o' => 0o007,
                'a' => 0o777,
                _ => return None,
            },
        )
    })
}

/// The special bits that belong to the classes in `who`.
const fn special(who: u32) -> u32 {
    let mut mask = 0;
    if who & 0o700 != 0 {
        mask |= 0o4000;
    }
    if who & 0o070 != 0 {
        mask |= 0o2000;
    }
    mask
}

fn permissions(letters: &str, who: u32, bits: u32, node: Node) -> Option<u32> {
    letters.chars().try_fold(0, |mask, letter| {
        Some(
            mask | match letter {
                'r' => 0o444 & who,
                'w' => 0o222 & who,
                'x' => 0o111 & who,
                'X' if node == Node::Directory || bits & 0o111 != 0 => 0o111 & who,
                'X' => 0,
                's' => special(who),
                't' => 0o1000,
                'u' => spread((bits >> 6) & 7) & who,
                'g' => spread((bits >> 3) & 7) & who,
                'o' => spread(bits & 7) & who,
                _ => return None,
            },
        )
    })
}

const fn spread(bits: u32) -> u32 {
    bits << 6 | bits << 3 | bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbolic(clauses: &str, source: u32, node: Node) -> Option<u32> {
        apply(&Mode::Symbolic(clauses.to_owned()), source, node)
    }

    #[test]
    fn capital_x_makes_directories_and_programs_executable_but_not_data() {
        assert_eq!(symbolic("u=rwX,go=rX", 0o600, Node::File), Some(0o644));
        assert_eq!(symbolic("u=rwX,go=rX", 0o700, Node::File), Some(0o755));
        assert_eq!(symbolic("u=rwX,go=rX", 0o700, Node::Directory), Some(0o755));
    }

    #[test]
    fn clauses_add_remove_and_copy_bits() {
        assert_eq!(symbolic("a+x", 0o644, Node::File), Some(0o755));
        assert_eq!(symbolic("go-rwx", 0o755, Node::File), Some(0o700));
        assert_eq!(symbolic("g=u", 0o740, Node::File), Some(0o770));
        assert_eq!(symbolic("u+s", 0o755, Node::File), Some(0o4755));
        assert_eq!(symbolic("+t", 0o777, Node::Directory), Some(0o1777));
    }

    #[test]
    fn directories_on_the_way_take_octal_modes_only() {
        assert_eq!(of_new_directory(&Mode::Octal(0o700)), 0o700);
        assert_eq!(
            of_new_directory(&Mode::Symbolic("go-rwx".to_owned())),
            0o755
        );
        assert_eq!(of_new_directory(&Mode::Source), 0o755);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(symbolic("u", 0o644, Node::File), None);
        assert_eq!(symbolic("q=r", 0o644, Node::File), None);
        assert_eq!(symbolic("u=rq", 0o644, Node::File), None);
    }
}
