//! A list that grows at its end, and that others may go on from without copying it.
//!
//! ```text
//! stage a   [1 2]◀──┬─[3]     a after the fork
//! stage b           └─[4 5]   b: 1 2 4 5
//! ```

use std::collections::HashSet;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub(crate) struct Lineage<T> {
    before: Option<Arc<Self>>,
    own: Vec<T>,
}

impl<T> Default for Lineage<T> {
    fn default() -> Self {
        Self {
            before: None,
            own: Vec::new(),
        }
    }
}

impl<T> Lineage<T> {
    pub(crate) fn push(&mut self, item: T) {
        self.own.push(item);
    }

    /// A list that begins with all of this one. Both grow apart from here.
    pub(crate) fn fork(&mut self) -> Self {
        if !self.own.is_empty() {
            let shared = Self {
                before: self.before.take(),
                own: std::mem::take(&mut self.own),
            };
            self.before = Some(Arc::new(shared));
        }
        Self {
            before: self.before.clone(),
            own: Vec::new(),
        }
    }

    /// From the first to the last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let pieces: Vec<&Self> = self.pieces().collect();
        pieces.into_iter().rev().flat_map(|piece| &piece.own)
    }

    /// As [`Self::iter`], without the pieces that an earlier call with the same `seen` gave.
    pub(crate) fn iter_unseen(&self, seen: &mut HashSet<*const ()>) -> impl Iterator<Item = &T> {
        let pieces = self.pieces();
        let is_new = |piece: &&Self| seen.insert(std::ptr::from_ref(*piece).cast());
        let pieces: Vec<&Self> = pieces.take_while(is_new).collect();
        pieces.into_iter().rev().flat_map(|piece| &piece.own)
    }

    /// The newest first.
    fn pieces(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |piece| piece.before.as_deref())
    }
}

impl<T> Extend<T> for Lineage<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        self.own.extend(items);
    }
}

/// One piece after the other: thousands of them must not be thousands of calls deep.
impl<T> Drop for Lineage<T> {
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(mut piece) = next.and_then(Arc::into_inner) {
            next = piece.before.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lineage: &Lineage<u32>) -> Vec<u32> {
        lineage.iter().copied().collect()
    }

    #[test]
    fn forks_grow_apart_and_share_what_was_before() {
        let mut a = Lineage::default();
        a.extend([1, 2]);
        let mut b = a.fork();
        let c = a.fork();
        a.push(3);
        b.extend([4, 5]);
        assert_eq!(
            (list(&a), list(&b), list(&c)),
            (vec![1, 2, 3], vec![1, 2, 4, 5], vec![1, 2])
        );
        let pointers = [&a, &b, &c].map(|one| one.before.as_ref().map(Arc::as_ptr));
        assert!(pointers[0].is_some() && pointers.iter().all(|one| *one == pointers[0]));

        let mut seen = HashSet::new();
        assert_eq!(
            b.iter_unseen(&mut seen).copied().collect::<Vec<_>>(),
            [1, 2, 4, 5]
        );
        assert_eq!(a.iter_unseen(&mut seen).copied().collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_very_long_line_is_dropped_without_a_deep_stack() {
        let mut line = Lineage::default();
        for number in 0..200_000 {
            line.push(number);
            line = line.fork();
        }
        assert_eq!(line.iter().count(), 200_000);
        drop(line);
    }
}
