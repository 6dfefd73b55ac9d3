//! Rules to classic BPF: per architecture a binary search over system call numbers, with every
//! leaf spelled out in place, so that no jump crosses the tree.

use rbuild_sys::BpfInstruction;

use super::profile::{Profile, Rule};

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const IF_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const RETURN_KILL: u32 = 0x8000_0000; // SECCOMP_RET_KILL_PROCESS
const RETURN_ERRNO: u32 = 0x0005_0000;
const RETURN_ALLOW: u32 = 0x7FFF_0000;

// Offsets in struct seccomp_data; both architectures are little-endian.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;
const ARGUMENT_BYTES: u32 = 8;

/// The program: the profile of the caller's architecture decides, a stranger's program dies.
pub(super) fn compile(profiles: &[Profile]) -> Vec<BpfInstruction> {
    let mut program = vec![statement(LOAD, ARCHITECTURE)];
    for profile in profiles {
        let mut body = vec![statement(LOAD, NUMBER)];
        body.extend(search(&profile.rules));
        program.extend(unless(IF_EQUAL, profile.architecture, body.len()));
        program.extend(body);
    }
    program.push(statement(RETURN, RETURN_KILL));
    program
}

/// Code that finds the rule for the number in the accumulator.
fn search(rules: &[(u32, Rule)]) -> Vec<BpfInstruction> {
    match rules {
        [] => vec![statement(RETURN, RETURN_KILL)],
        [(_, rule)] => leaf(*rule),
        _ => {
            let (low, high) = rules.split_at(rules.len() / 2);
            let high_code = search(high);
            let mut code = unless(IF_AT_LEAST, high[0].0, high_code.len());
            code.extend(high_code);
            code.extend(search(low));
            code
        }
    }
}

/// Skips the next `length` instructions unless the comparison holds.
fn unless(comparison: u16, operand: u32, length: usize) -> Vec<BpfInstruction> {
    if let Ok(short) = u8::try_from(length) {
        return vec![branch(comparison, operand, 0, short)];
    }
    let far = u32::try_from(length).expect("a filter has a few thousand instructions at most");
    vec![branch(comparison, operand, 1, 0), statement(JUMP, far)]
}

fn leaf(rule: Rule) -> Vec<BpfInstruction> {
    let allow = statement(RETURN, RETURN_ALLOW);
    let refuse = |errno: u16| statement(RETURN, RETURN_ERRNO | u32::from(errno));
    let forbid = refuse(libc::EPERM as u16);
    match rule {
        Rule::Allow => vec![allow],
        Rule::Refuse(errno) => vec![refuse(errno)],
        Rule::AllowWithout { argument, bits } => {
            vec![
                load(argument),
                branch(IF_ANY_BIT, bits, 1, 0),
                allow,
                forbid,
            ]
        }
        Rule::AllowExcept { argument, value } => {
            vec![load(argument), branch(IF_EQUAL, value, 1, 0), allow, forbid]
        }
        Rule::AllowValues { argument, values } => {
            let mut code = vec![load(argument)];
            for (index, value) in values.iter().enumerate() {
                let to_allow =
                    u8::try_from(values.len() - index).expect("rules list a handful of values");
                code.push(branch(IF_EQUAL, *value, to_allow, 0));
            }
            code.extend([forbid, allow]);
            code
        }
    }
}

fn load(argument: u8) -> BpfInstruction {
    statement(LOAD, ARGUMENTS + ARGUMENT_BYTES * u32::from(argument))
}

fn statement(code: u16, operand: u32) -> BpfInstruction {
    branch(code, operand, 0, 0)
}

fn branch(code: u16, operand: u32, jump_true: u8, jump_false: u8) -> BpfInstruction {
    BpfInstruction {
        code,
        jump_true,
        jump_false,
        operand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capabilities;
    use crate::seccomp::profile::native;

    /// What the kernel would do with `program` for this call.
    fn run(program: &[BpfInstruction], architecture: u32, number: u32, argument: u32) -> u32 {
        let mut accumulator = 0;
        let mut at = 0;
        loop {
            let BpfInstruction {
                code,
                jump_true,
                jump_false,
                operand,
            } = program[at];
            at += 1;
            let taken = match code {
                LOAD => {
                    accumulator = match operand {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        ARGUMENTS => argument,
                        other => panic!("load of {other}"),
                    };
                    continue;
                }
                RETURN => return operand,
                JUMP => {
                    at += operand as usize;
                    continue;
                }
                IF_EQUAL => accumulator == operand,
                IF_AT_LEAST => accumulator >= operand,
                IF_ANY_BIT => accumulator & operand != 0,
                other => panic!("code {other}"),
            };
            at += usize::from(if taken { jump_true } else { jump_false });
        }
    }

    #[test]
    fn every_number_gets_the_rule_of_the_profile() {
        for capabilities in [Capabilities::DEFAULT, Capabilities::NONE, Capabilities::ALL] {
            let profiles = native(capabilities);
            let program = compile(&profiles);
            assert!(program.len() < 4096, "the kernel's limit");
            for profile in &profiles {
                for number in 0..1000 {
                    let after = profile.rules.partition_point(|(start, _)| *start <= number);
                    let rule = profile.rules[after - 1].1;
                    for argument in [0, 8, 17, 40, 0x1000_0000, 0x0002_0000, u32::MAX] {
                        let action = run(&program, profile.architecture, number, argument);
                        assert_eq!(action, expected(rule, argument), "call {number}");
                    }
                }
            }
        }
    }

    fn expected(rule: Rule, argument: u32) -> u32 {
        let forbid = RETURN_ERRNO | libc::EPERM as u32;
        let allowed = match rule {
            Rule::Allow => true,
            Rule::Refuse(errno) => return RETURN_ERRNO | u32::from(errno),
            Rule::AllowWithout { bits, .. } => argument & bits == 0,
            Rule::AllowValues { values, .. } => values.contains(&argument),
            Rule::AllowExcept { value, .. } => argument != value,
        };
        if allowed { RETURN_ALLOW } else { forbid }
    }

    #[test]
    fn programs_of_other_architectures_are_killed() {
        let program = compile(&native(Capabilities::DEFAULT));
        assert_eq!(run(&program, 0xdead_beef, 0, 0), RETURN_KILL);
        // The x32 calling convention has a bit of its own: those calls do not exist.
        let x32_read = 0x4000_0000;
        let first = native(Capabilities::DEFAULT)[0].architecture;
        let action = run(&program, first, x32_read, 0);
        assert_eq!(action, RETURN_ERRNO | libc::ENOSYS as u32);
    }
}
