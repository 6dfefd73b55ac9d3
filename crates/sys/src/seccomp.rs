//! Installing a seccomp filter that somebody else compiled.

use crate::SysError;

/// One instruction of classic BPF; the layout of `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BpfInstruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

/// Mirrors `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: libc::c_ushort,
    instructions: *const BpfInstruction,
}

/// Puts this thread under `program` for good. Needs `CAP_SYS_ADMIN` or `no_new_privs`.
///
/// # Errors
/// [`SysError::Call`]; `EINVAL` also for a program that the kernel finds invalid.
pub fn install_seccomp_filter(program: &[BpfInstruction]) -> Result<(), SysError> {
    const SECCOMP_SET_MODE_FILTER: libc::c_ulong = 1;
    /// Without it old kernels slow the program down against speculative store bypass.
    const SECCOMP_FILTER_FLAG_SPEC_ALLOW: libc::c_ulong = 1 << 2;
    let length = u16::try_from(program.len()).map_err(|_| {
        SysError::call(
            "install a seccomp filter",
            std::io::Error::from_raw_os_error(libc::E2BIG),
        )
    })?;
    let header = Program {
        length,
        instructions: program.as_ptr(),
    };
    // SAFETY: the header and the instructions it points to outlive the call, the length is
    // theirs, and the layouts are those of the kernel; the kernel copies and verifies them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            &raw const header,
        )
    };
    if result == -1 {
        return Err(SysError::call(
            "install a seccomp filter",
            std::io::Error::last_os_error(),
        ));
    }
    Ok(())
}
