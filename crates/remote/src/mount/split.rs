//! A tar taken apart into the heads of its members and their contents, and put together again.

use std::io::{self, Read, Write};

/// Bytes of a tar come in these.
const BLOCK: usize = 512;
/// A head's own data (long names, attributes) that is held in memory; layers' tars have far less.
const MAX_EXTRA_BYTES: u64 = 1 << 20;

/// What follows a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follow {
    /// Another head.
    Head,
    /// So many bytes that belong to the heads: names and attributes of the next member.
    Extra(u64),
    /// So many bytes of contents, then zeros up to the end of a block.
    Content(u64),
}

/// Reads heads, and knows what follows each.
#[derive(Default)]
struct Heads {
    /// The size that an extended header gives the next member.
    size: Option<u64>,
    extra: Extra,
}

/// The data of an extended header, being collected.
#[derive(Default)]
struct Extra {
    kind: u8,
    data: Vec<u8>,
}

impl Heads {
    fn after(&mut self, head: &[u8; BLOCK]) -> io::Result<Follow> {
        let kind = head[156];
        let size = number(&head[124..136])?;
        match kind {
            b'x' | b'g' | b'L' | b'K' => {
                if size > MAX_EXTRA_BYTES {
                    return Err(invalid("an extended header is too large"));
                }
                self.extra = Extra {
                    kind,
                    data: Vec::new(),
                };
                Ok(match padded(size) {
                    0 => Follow::Head,
                    bytes => Follow::Extra(bytes),
                })
            }
            b'0' | 0 | b'7' => Ok(match self.size.take().unwrap_or(size) {
                0 => Follow::Head,
                bytes => Follow::Content(bytes),
            }),
            _ => {
                self.size = None;
                Ok(Follow::Head)
            }
        }
    }

    /// A block of an extended header's data.
    fn extra(&mut self, block: &[u8]) {
        self.extra.data.extend_from_slice(block);
    }

    fn extra_is_over(&mut self) {
        if self.extra.kind == b'x' {
            self.size = pax_size(&self.extra.data);
        }
    }
}

/// `LENGTH size=NUMBER\n` among the records of an extended header.
fn pax_size(mut data: &[u8]) -> Option<u64> {
    while let Some(space) = data.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
        let record = data.get(space + 1..length.checked_sub(1)?)?;
        if let Some(number) = record.strip_prefix(b"size=") {
            return std::str::from_utf8(number).ok()?.parse().ok();
        }
        data = data.get(length..)?;
    }
    None
}

/// Octal digits, or a number in base 256.
fn number(field: &[u8]) -> io::Result<u64> {
    if field[0] & 0x80 != 0 {
        let high = field[..field.len() - 8].iter().skip(1);
        if field[0] != 0x80 || high.clone().any(|byte| *byte != 0) {
            return Err(invalid("a member is too large"));
        }
        let low = field.last_chunk().expect("a field has twelve bytes");
        return Ok(u64::from_be_bytes(*low));
    }
    let digits: Vec<u8> = field
        .iter()
        .copied()
        .skip_while(|byte| *byte == b' ')
        .take_while(|byte| !matches!(byte, 0 | b' '))
        .collect();
    if digits.is_empty() {
        return Ok(0);
    }
    let text = std::str::from_utf8(&digits).map_err(|_| invalid("a size is no number"))?;
    u64::from_str_radix(text, 8).map_err(|_| invalid("a size is no number"))
}

fn padded(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64)
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Where a reader or writer of a tar is.
enum Place {
    /// Within a head.
    Head,
    /// In an extended header's data.
    Extra(u64),
    /// In contents, and so much padding follows.
    Content { left: u64, padding: u64 },
    /// In padding.
    Padding(u64),
}

impl Place {
    fn of(follow: Follow) -> Self {
        match follow {
            Follow::Head => Self::Head,
            Follow::Extra(left) => Self::Extra(left),
            Follow::Content(left) => Self::Content {
                left,
                padding: padded(left) - left,
            },
        }
    }
}

/// Takes a tar apart; to be written to.
pub(super) struct Splitter<H, C> {
    heads: Heads,
    place: Place,
    /// A head that is not complete.
    head: Vec<u8>,
    to_heads: H,
    to_contents: C,
}

impl<H, C> Splitter<H, C>
where
    H: FnMut(&[u8]) -> io::Result<()>,
    C: FnMut(&[u8]) -> io::Result<()>,
{
    pub(super) fn new(to_heads: H, to_contents: C) -> Self {
        Self {
            heads: Heads::default(),
            place: Place::Head,
            head: Vec::with_capacity(BLOCK),
            to_heads,
            to_contents,
        }
    }

    /// Takes in some bytes; tells how many.
    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let up_to = |left: u64| usize::try_from(left).map_or(bytes.len(), |l| l.min(bytes.len()));
        match &mut self.place {
            Place::Head => {
                let taken = bytes.len().min(BLOCK - self.head.len());
                self.head.extend_from_slice(&bytes[..taken]);
                if let Ok(head) = <&[u8; BLOCK]>::try_from(self.head.as_slice()) {
                    (self.to_heads)(head)?;
                    self.place = Place::of(self.heads.after(head)?);
                    self.head.clear();
                }
                Ok(taken)
            }
            Place::Extra(left) => {
                let taken = up_to(*left);
                (self.to_heads)(&bytes[..taken])?;
                self.heads.extra(&bytes[..taken]);
                *left -= taken as u64;
                if *left == 0 {
                    self.heads.extra_is_over();
                    self.place = Place::Head;
                }
                Ok(taken)
            }
            Place::Content { left, padding } => {
                let taken = up_to(*left);
                (self.to_contents)(&bytes[..taken])?;
                *left -= taken as u64;
                if *left == 0 {
                    self.place = match *padding {
                        0 => Place::Head,
                        padding => Place::Padding(padding),
                    };
                }
                Ok(taken)
            }
            Place::Padding(left) => {
                let taken = up_to(*left);
                *left -= taken as u64;
                if *left == 0 {
                    self.place = Place::Head;
                }
                Ok(taken)
            }
        }
    }
}

impl<H, C> Write for Splitter<H, C>
where
    H: FnMut(&[u8]) -> io::Result<()>,
    C: FnMut(&[u8]) -> io::Result<()>,
{
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.take(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts a tar together; to be read from.
pub(super) struct Joiner<H, C> {
    heads: Heads,
    place: Place,
    /// What of a head is still to be read.
    head: Vec<u8>,
    from_heads: H,
    from_contents: C,
}

impl<H: Read, C: Read> Joiner<H, C> {
    pub(super) fn new(from_heads: H, from_contents: C) -> Self {
        Self {
            heads: Heads::default(),
            place: Place::Head,
            head: Vec::new(),
            from_heads,
            from_contents,
        }
    }

    /// The next head; `false` at the end.
    fn next_head(&mut self) -> io::Result<bool> {
        let mut head = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.from_heads.read(&mut head[filled..])? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        self.place = Place::of(self.heads.after(&head)?);
        self.head = head.to_vec();
        Ok(true)
    }
}

impl<H: Read, C: Read> Read for Joiner<H, C> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.head.is_empty() {
                let taken = buffer.len().min(self.head.len());
                buffer[..taken].copy_from_slice(&self.head[..taken]);
                self.head.drain(..taken);
                return Ok(taken);
            }
            let most =
                |left: u64| usize::try_from(left).map_or(buffer.len(), |l| l.min(buffer.len()));
            match &mut self.place {
                Place::Head => {
                    if !self.next_head()? {
                        return Ok(0);
                    }
                }
                Place::Extra(left) => {
                    let most = most(*left);
                    let read = self.from_heads.read(&mut buffer[..most])?;
                    if read == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.heads.extra(&buffer[..read]);
                    *left -= read as u64;
                    if *left == 0 {
                        self.heads.extra_is_over();
                        self.place = Place::Head;
                    }
                    return Ok(read);
                }
                Place::Content { left, padding } => {
                    let most = most(*left);
                    let read = self.from_contents.read(&mut buffer[..most])?;
                    if read == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    *left -= read as u64;
                    if *left == 0 {
                        self.place = match *padding {
                            0 => Place::Head,
                            padding => Place::Padding(padding),
                        };
                    }
                    return Ok(read);
                }
                Place::Padding(left) => {
                    let most = most(*left);
                    buffer[..most].fill(0);
                    *left -= most as u64;
                    if *left == 0 {
                        self.place = Place::Head;
                    }
                    return Ok(most);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
