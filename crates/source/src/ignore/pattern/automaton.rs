//! Matching: all tokens of a pattern at once, as a set of states that one pass over the path moves on.

use super::{RAW_BYTE, REPLACEMENT, SLASH, Token, decode};

/// Words of a state set that live on the stack: patterns of up to 255 characters.
const INLINE_WORDS: usize = 4;

/// Feeds `path` to the automaton and asks `verdict` about the states that are left.
pub(super) fn run(tokens: &[Token], path: &[u8], verdict: impl Fn(&States<'_>) -> bool) -> bool {
    let words = tokens.len() / 64 + 1;
    let (mut inline_now, mut inline_next) = ([0; INLINE_WORDS], [0; INLINE_WORDS]);
    let (mut heap_now, mut heap_next) = (Vec::new(), Vec::new());
    let (now, next): (&mut [u64], &mut [u64]) = if words <= INLINE_WORDS {
        (&mut inline_now[..words], &mut inline_next[..words])
    } else {
        heap_now.resize(words, 0);
        heap_next.resize(words, 0);
        (&mut heap_now, &mut heap_next)
    };
    let (mut now, mut next) = (States(now), States(next));
    now.add(tokens, 0);
    let mut rest = path;
    while !rest.is_empty() && !now.is_empty() {
        let (unit, width) = decode(rest);
        rest = &rest[width..];
        now.step(tokens, unit, &mut next);
        std::mem::swap(&mut now, &mut next);
        next.0.fill(0);
    }
    verdict(&now)
}

/// The tokens that may come next, as a bit set; bit `tokens.len()` is "all matched".
pub(super) struct States<'a>(&'a mut [u64]);

impl States<'_> {
    pub(super) fn has(&self, state: usize) -> bool {
        self.0[state / 64] >> (state % 64) & 1 == 1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Adds a state and those that follow it without a character.
    fn add(&mut self, tokens: &[Token], mut state: usize) {
        while !self.has(state) {
            self.0[state / 64] |= 1 << (state % 64);
            match tokens.get(state) {
                Some(Token::Star | Token::Rest) => state += 1,
                Some(Token::Dirs) => {
                    self.add(tokens, state + 1);
                    state += 2;
                }
                _ => return,
            }
        }
    }

    fn step(&self, tokens: &[Token], unit: u32, next: &mut Self) {
        for (index, word) in self.0.iter().enumerate() {
            let mut bits = *word;
            while bits != 0 {
                let state = index * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let Some(token) = tokens.get(state) else {
                    continue;
                };
                match token {
                    Token::Unit(wanted) if *wanted == unit => next.add(tokens, state + 1),
                    Token::Any if unit != SLASH => next.add(tokens, state + 1),
                    Token::Class { negated, ranges } => {
                        let value = if unit >= RAW_BYTE { REPLACEMENT } else { unit };
                        let inside = ranges
                            .iter()
                            .any(|(low, high)| (*low..=*high).contains(&value));
                        if inside != *negated {
                            next.add(tokens, state + 1);
                        }
                    }
                    Token::Star if unit != SLASH => next.add(tokens, state),
                    Token::Rest => next.add(tokens, state),
                    Token::DirsLoop => {
                        next.add(tokens, state);
                        if unit == SLASH {
                            next.add(tokens, state + 1);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}
