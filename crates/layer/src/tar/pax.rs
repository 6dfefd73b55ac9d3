//! Pax records: `<length> <key>=<value>\n`, lengths in bytes, values any bytes.
//!
//! (The `tar` crate splits records at newlines, which file capabilities and other binary attributes may hold.)

/// The prefix of extended attributes, star's and everybody's.
pub(crate) const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// Appends one record.
pub(crate) fn put_record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + b" =\n".len();
    let mut length = rest + 1;
    while length != rest + decimal_digits(length) {
        length = rest + decimal_digits(length);
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

const fn decimal_digits(number: usize) -> usize {
    number.ilog10() as usize + 1
}

/// Takes records apart; `None` when they are malformed.
pub(crate) fn parse_records(mut bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    // Some writers fill the block with zeros and count them in.
    while bytes.first().is_some_and(|&first| first != 0) {
        let space = memchr::memchr(b' ', bytes.get(..20.min(bytes.len()))?)?;
        let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
        let (record, rest) = bytes.split_at_checked(length)?;
        let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
        let equals = memchr::memchr(b'=', record)?;
        records.push((&record[..equals], &record[equals + 1..]));
        bytes = rest;
    }
    Some(records)
}

/// An attribute's name as a pax key, which cannot hold `=`; escaped as GNU tar does.
pub(crate) fn xattr_key(name: &[u8]) -> Vec<u8> {
    let mut key = XATTR_PREFIX.to_vec();
    for &byte in name {
        match byte {
            b'=' => key.extend_from_slice(b"%3D"),
            b'%' => key.extend_from_slice(b"%25"),
            byte => key.push(byte),
        }
    }
    key
}

/// The extended attribute that a pax key names.
pub fn xattr_name(key: &[u8]) -> Option<Vec<u8>> {
    let mut rest = key.strip_prefix(XATTR_PREFIX)?;
    let mut name = Vec::with_capacity(rest.len());
    while let Some((&first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"%3D") {
            name.push(b'=');
            rest = after;
        } else if let Some(after) = rest.strip_prefix(b"%25") {
            name.push(b'%');
            rest = after;
        } else {
            name.push(first);
            rest = after;
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_their_own_length() {
        for size in [0, 1, 4, 5, 6, 89, 90, 91, 92, 93, 986, 987, 988, 989, 990] {
            let mut records = Vec::new();
            put_record(&mut records, b"path", &vec![b'x'; size]);
            let text = records
                .split(|&byte| byte == b' ')
                .next()
                .expect("a length");
            let length: usize = String::from_utf8_lossy(text).parse().expect("a number");
            assert_eq!(length, records.len(), "{size}");
            assert_eq!(parse_records(&records).expect("well-formed").len(), 1);
        }
    }

    #[test]
    fn values_may_hold_anything() {
        let mut records = Vec::new();
        put_record(&mut records, b"a", b"1 =\n\0\xff");
        put_record(&mut records, b"b", b"");
        let parsed = parse_records(&records).expect("well-formed");
        assert_eq!(parsed, [(&b"a"[..], &b"1 =\n\0\xff"[..]), (b"b", b"")]);
    }

    #[test]
    fn malformed_records_are_refused() {
        for bytes in [
            &b"4 a=\n"[..],
            b"x a=b\n",
            b"99 a=b\n",
            b"6 a=bc",
            b"3 a\n",
            b"2 ",
        ] {
            assert_eq!(parse_records(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn attribute_names_survive_as_keys() {
        let name = b"user.100%=50%3D";
        assert_eq!(xattr_name(&xattr_key(name)).as_deref(), Some(&name[..]));
    }
}
