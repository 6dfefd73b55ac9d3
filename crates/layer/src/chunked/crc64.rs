//! CRC-64 with ISO 3309's polynomial, eight bytes at a time: what tar-split writes of a file's bytes.

const POLYNOMIAL: u64 = 0xd800_0000_0000_0000;

static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = tables[0][(before & 0xff) as usize] ^ (before >> 8);
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// A checksum of what comes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Crc64(u64);

impl Crc64 {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        let mut crc = !self.0;
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            let mixed = crc ^ word;
            crc = 0;
            for (place, table) in TABLES.iter().rev().enumerate() {
                crc ^= table[(mixed >> (8 * place) & 0xff) as usize];
            }
        }
        for &byte in words.remainder() {
            crc = TABLES[0][((crc ^ u64::from(byte)) & 0xff) as usize] ^ (crc >> 8);
        }
        self.0 = !crc;
    }

    /// As Go's `hash/crc64` sums it up: big-endian.
    pub(super) fn sum(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_standard() {
        let mut crc = Crc64::default();
        crc.update(b"123456789");
        assert_eq!(crc.sum(), 0xb909_56c7_75a4_1001_u64.to_be_bytes());
        let mut halves = Crc64::default();
        halves.update(b"1234");
        halves.update(b"56789");
        assert_eq!(halves.sum(), crc.sum());
        assert_eq!(Crc64::default().sum(), [0; 8]);
    }
}
