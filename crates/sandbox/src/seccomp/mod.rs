//! Docker's default filter on system calls: a table, rules, and a compiler to classic BPF.
//!
//! ```text
//!   syscalls   name → number on each architecture, and what group it is in
//!   profile    capabilities → number → rule
//!   compiler   rules → a binary search over numbers
//! ```
//!
//! A program is compiled once for a set of capabilities and kept in a sealed memory file, which
//! every init of the process reads.

mod compiler;
mod profile;
mod syscalls;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rbuild_sys::{BpfInstruction, sealed_memory_file};

use crate::{Capabilities, SandboxError};

/// Bytes of an instruction: u16, u8, u8, u32.
const INSTRUCTION_BYTES: usize = 8;

/// The compiled filter for processes with at most these capabilities, as a sealed file.
pub(crate) fn filter_file(capabilities: Capabilities) -> Result<Arc<OwnedFd>, SandboxError> {
    static COMPILED: Mutex<BTreeMap<Capabilities, Arc<OwnedFd>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = compiled.get(&capabilities) {
        return Ok(Arc::clone(file));
    }
    let program = compiler::compile(&profile::native(capabilities));
    let file = sealed_memory_file("rbuild-seccomp", &encode(&program))
        .map_err(|error| SandboxError::Prepare(io::Error::other(error)))?;
    let file = Arc::new(file);
    compiled.insert(capabilities, Arc::clone(&file));
    Ok(file)
}

fn encode(program: &[BpfInstruction]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(program.len() * INSTRUCTION_BYTES);
    for instruction in program {
        bytes.extend(instruction.code.to_ne_bytes());
        bytes.extend([instruction.jump_true, instruction.jump_false]);
        bytes.extend(instruction.operand.to_ne_bytes());
    }
    bytes
}

/// Reads what `encode` wrote.
pub(crate) fn decode(bytes: &[u8]) -> Vec<BpfInstruction> {
    let (chunks, _) = bytes.as_chunks::<INSTRUCTION_BYTES>();
    chunks
        .iter()
        .map(
            |&[c0, c1, jump_true, jump_false, k0, k1, k2, k3]| BpfInstruction {
                code: u16::from_ne_bytes([c0, c1]),
                jump_true,
                jump_false,
                operand: u32::from_ne_bytes([k0, k1, k2, k3]),
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_survives_its_file() {
        let program = compiler::compile(&profile::native(Capabilities::DEFAULT));
        assert_eq!(decode(&encode(&program)), program);
    }
}
