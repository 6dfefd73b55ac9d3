//! Evidence that a process has one thread, which `fork` and user namespaces ask for.

use std::marker::PhantomData;

use crate::SysError;

/// Shown by who needs a process without other threads. It cannot leave its thread.
#[derive(Debug, Clone, Copy)]
pub struct SingleThreaded {
    not_send: PhantomData<*const ()>,
}

impl SingleThreaded {
    /// Looks at the kernel's list of this process's threads; `purpose` names the caller in the
    /// error. Who holds the value promises to start no thread while it lives.
    ///
    /// # Errors
    /// [`SysError::ManyThreads`] when there is more than one.
    pub fn check(purpose: &'static str) -> Result<Self, SysError> {
        // The link count of this directory is two more than the number of threads.
        let stat = rustix::fs::stat("/proc/self/task")
            .map_err(|error| SysError::call("look at /proc/self/task", error))?;
        if stat.st_nlink > 3 {
            return Err(SysError::ManyThreads(purpose));
        }
        Ok(Self {
            not_send: PhantomData,
        })
    }
}
