//! A runtime for the `object_store` crate, owned by the one store that needs it.

use std::io;

/// Threads that sign and wait; what blocks has threads of its own.
const WORKERS: usize = 2;

/// A runtime that does not wait for unfinished work when it is dropped.
#[derive(Debug)]
pub(crate) struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("objects")
            .enable_time()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Waits for `future` on the caller's thread.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.handle().block_on(future)
    }

    pub(crate) fn handle(&self) -> &tokio::runtime::Handle {
        let runtime = self.0.as_ref();
        runtime.expect("it is there until it is dropped").handle()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
