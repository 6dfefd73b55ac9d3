//! Questions and answers of the domain name system (RFC 1035), as far as they are answered here. Pure.

use std::net::Ipv4Addr;

/// A message's head: id, flags, four counts.
const HEAD_BYTES: usize = 12;
/// The longest name that there can be, in its own form.
const NAME_BYTES: usize = 255;
/// Seconds that an answer may be kept: containers come and go.
const TTL: u32 = 5;

const INTERNET: u16 = 1;
/// Kinds of questions.
pub(super) const ADDRESS: u16 = 1;
const POINTER: u16 = 12;
pub(super) const ADDRESS_6: u16 = 28;

/// What went wrong, as a message's flags tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Fine = 0,
    ServerFailure = 2,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    id: [u8; 2],
    wants_recursion: bool,
    /// In small letters, with dots between its parts.
    pub(super) name: String,
    pub(super) kind: u16,
    class: u16,
    /// As it stood in the message.
    bytes: Vec<u8>,
}

impl Question {
    /// The one question of a message; `None` if it is no plain question.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let head = message.get(..HEAD_BYTES)?;
        let is_query = head[2] & 0b1111_1000 == 0;
        if !is_query || head[4..6] != [0, 1] {
            return None;
        }
        let mut name = String::new();
        let mut at = HEAD_BYTES;
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            // Names of questions are not shortened, and a part has at most 63 bytes.
            if length > 63 || at - HEAD_BYTES + length > NAME_BYTES {
                return None;
            }
            if !name.is_empty() {
                name.push('.');
            }
            for byte in message.get(at..at + length)? {
                name.push(char::from(byte.to_ascii_lowercase()));
            }
            at += length;
        }
        let number = |at: usize| {
            Some(u16::from_be_bytes([
                *message.get(at)?,
                *message.get(at + 1)?,
            ]))
        };
        Some(Self {
            id: [head[0], head[1]],
            wants_recursion: head[2] & 1 == 1,
            name,
            kind: number(at)?,
            class: number(at + 2)?,
            bytes: message.get(HEAD_BYTES..at + 4)?.to_vec(),
        })
    }

    pub(super) fn is_internet(&self) -> bool {
        self.class == INTERNET
    }

    /// The address that a reverse question is about.
    pub(super) fn reverse(&self) -> Option<Ipv4Addr> {
        let digits = self.name.strip_suffix(".in-addr.arpa")?;
        if self.kind != POINTER {
            return None;
        }
        let address: Ipv4Addr = digits.parse().ok()?;
        let [a, b, c, d] = address.octets();
        Some(Ipv4Addr::new(d, c, b, a))
    }

    /// Whether `message` answers this question.
    pub(super) fn is_answered_by(&self, message: &[u8]) -> bool {
        let end = HEAD_BYTES + self.bytes.len();
        let same = |own: &[u8]| own.eq_ignore_ascii_case(&self.bytes);
        message.get(..2) == Some(&self.id)
            && message.get(2).is_some_and(|flags| flags & 0x80 != 0)
            && message.get(HEAD_BYTES..end).is_some_and(same)
    }

    /// An answer without contents.
    pub(super) fn nothing(&self, code: Code) -> Vec<u8> {
        self.answer(code, &[])
    }

    /// The addresses of a name.
    pub(super) fn addresses(&self, addresses: &[Ipv4Addr]) -> Vec<u8> {
        let values: Vec<Vec<u8>> = addresses.iter().map(|one| one.octets().to_vec()).collect();
        self.answer(Code::Fine, &values)
    }

    /// The name of an address.
    pub(super) fn pointer(&self, name: &str) -> Vec<u8> {
        let mut value = Vec::new();
        for part in name
            .split('.')
            .filter(|part| (1..=63).contains(&part.len()))
        {
            value.extend(u8::try_from(part.len()));
            value.extend(part.as_bytes());
        }
        value.push(0);
        self.answer(Code::Fine, &[value])
    }

    fn answer(&self, code: Code, values: &[Vec<u8>]) -> Vec<u8> {
        let mut message = self.id.to_vec();
        // An answer, whose giver knows; recursion is to be had.
        message.push(0x84 | u8::from(self.wants_recursion));
        message.push(0x80 | code as u8);
        let count = u16::try_from(values.len()).unwrap_or(u16::MAX);
        for number in [1, count, 0, 0] {
            message.extend(number.to_be_bytes());
        }
        message.extend(&self.bytes);
        for value in values.iter().take(usize::from(count)) {
            // The name is that of the question.
            message.extend([0xc0, HEAD_BYTES as u8]);
            message.extend(self.kind.to_be_bytes());
            message.extend(INTERNET.to_be_bytes());
            message.extend(TTL.to_be_bytes());
            message.extend(u16::try_from(value.len()).unwrap_or_default().to_be_bytes());
            message.extend(value);
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for part in name.split('.') {
            message.push(part.len() as u8);
            message.extend(part.as_bytes());
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend(INTERNET.to_be_bytes());
        message
    }

    #[test]
    fn a_question_is_read_and_answered_with_addresses() {
        let message = query("Db", ADDRESS);
        let question = Question::parse(&message).expect("a question");
        assert_eq!((question.name.as_str(), question.kind), ("db", ADDRESS));
        let answer = question.addresses(&[Ipv4Addr::new(10, 0, 0, 2)]);
        assert!(question.is_answered_by(&answer));
        assert_eq!(answer[..8], [0x12, 0x34, 0x85, 0x80, 0, 1, 0, 1]);
        assert_eq!(answer[answer.len() - 6..], [0, 4, 10, 0, 0, 2]);
        assert!(!question.is_answered_by(&message));
    }

    #[test]
    fn an_address_is_turned_around() {
        let message = query("2.0.18.172.in-addr.arpa", POINTER);
        let question = Question::parse(&message).expect("a question");
        assert_eq!(question.reverse(), Some(Ipv4Addr::new(172, 18, 0, 2)));
        let answer = question.pointer("db.app");
        assert!(answer.ends_with(b"\x02db\x03app\0"));
    }

    #[test]
    fn what_is_cut_off_or_no_question_is_none() {
        let message = query("db.example", ADDRESS);
        for length in 0..message.len() {
            assert_eq!(Question::parse(&message[..length]), None, "{length}");
        }
        let mut answer = message.clone();
        answer[2] |= 0x80;
        assert_eq!(Question::parse(&answer), None);
        let mut pointer = message.clone();
        pointer[HEAD_BYTES] = 0xc0;
        assert_eq!(Question::parse(&pointer), None);
    }
}
