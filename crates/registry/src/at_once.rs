//! Several transfers at once.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Runs `transfer` for each of `items`, at most `at_once` at the same time, and gives what they gave in the order of the
/// items. After the first failure no other one is started; it is waited for those that have been, and the failure told.
///
/// On threads of its own: what waits for the network must not hold a thread that others compute on.
///
/// # Errors
/// The first that a transfer gave.
pub fn transfer_all<Item: Sync, Moved: Send, Error: Send>(
    items: &[Item],
    at_once: NonZeroUsize,
    transfer: impl Fn(&Item) -> Result<Moved, Error> + Sync,
) -> Result<Vec<Moved>, Error> {
    let next = AtomicUsize::new(0);
    let moved = Mutex::new(Vec::with_capacity(items.len()));
    let failure = Mutex::new(None);
    let worker = || {
        loop {
            let position = next.fetch_add(1, Ordering::SeqCst);
            let Some(item) = items.get(position) else {
                return;
            };
            match transfer(item) {
                Ok(done) => lock(&moved).push((position, done)),
                Err(error) => {
                    next.store(items.len(), Ordering::SeqCst);
                    lock(&failure).get_or_insert(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..items.len().min(at_once.get()) {
            scope.spawn(worker);
        }
        worker();
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut moved = moved.into_inner().unwrap_or_else(PoisonError::into_inner);
    moved.sort_by_key(|(position, _)| *position);
    Ok(moved.into_iter().map(|(_, done)| done).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: NonZeroUsize = NonZeroUsize::new(3).expect("three");

    #[test]
    fn results_come_in_the_order_of_the_items_and_no_more_run_than_may() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let items: Vec<u64> = (0..20).collect();
        let doubled = transfer_all(&items, THREE, |item| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(20 - item));
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, ()>(item * 2)
        });
        let expected: Vec<u64> = items.iter().map(|item| item * 2).collect();
        assert_eq!(doubled, Ok(expected));
        assert!(most.into_inner() <= 3);
    }

    #[test]
    fn nothing_starts_after_a_failure() {
        let started = AtomicUsize::new(0);
        let items: Vec<u32> = (0..100).collect();
        let result = transfer_all(&items, THREE, |item| {
            started.fetch_add(1, Ordering::SeqCst);
            if *item == 1 { Err("broken") } else { Ok(()) }
        });
        assert_eq!(result, Err("broken"));
        assert!(started.into_inner() < 100);
    }
}
