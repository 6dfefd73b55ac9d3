//! The oldest form of RPM's database: a hash table of BerkeleyDB, of which every page is looked at.
//!
//! ```text
//! page      = 8 bytes, number:u32, previous:u32, next:u32, entries:u16, used:u16, level:u8, type:u8, …   in the writer's byte order
//! page 0    = 12 bytes, magic:u32, version:u32, page_bytes:u32, encryption:u8, …
//! hash page : from byte 26 on, the offset of each entry: u16; keys and values in turn, filled from the page's end
//! entry     = 1 data …                              up to the entry before it
//!           | 3 0*3 page:u32 bytes:u32              in a chain of overflow pages, each with `used` bytes from byte 26 on
//! ```

const MAGIC: u32 = 0x0006_1561;
const VERSIONS: std::ops::RangeInclusive<u32> = 8..=10;
const PAGE_SIZES: std::ops::RangeInclusive<usize> = 512..=65536;
const PAGE_HEADER_BYTES: usize = 26;

/// Page types: tables whose entries are not in order, or are, and overflow pages.
const UNSORTED_TABLE: u8 = 2;
const SORTED_TABLE: u8 = 13;
const OVERFLOW: u8 = 7;

/// Entry types.
const IN_PAGE: u8 = 1;
const IN_CHAIN: u8 = 3;

/// All values of the table.
pub(super) fn values(file: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut table = Table::open(file)?;
    let mut found = Vec::new();
    for page in file.chunks_exact(table.page_bytes).skip(1) {
        if matches!(page[25], UNSORTED_TABLE | SORTED_TABLE) {
            table
                .values_of(page, &mut found)
                .ok_or("one of its pages is damaged")?;
        }
    }
    Ok(found)
}

struct Table<'a> {
    file: &'a [u8],
    order: Order,
    page_bytes: usize,
    /// Overflow pages that were read: each belongs to one value, so work is bounded by the file's size.
    read: Vec<bool>,
}

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn long(self, bytes: &[u8], offset: usize) -> Option<u32> {
        let bytes = *bytes.get(offset..)?.first_chunk::<4>()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }

    fn short(self, bytes: &[u8], offset: usize) -> Option<usize> {
        let bytes = *bytes.get(offset..)?.first_chunk::<2>()?;
        Some(usize::from(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }))
    }
}

impl<'a> Table<'a> {
    fn open(file: &'a [u8]) -> Result<Self, String> {
        let order = [Order::Little, Order::Big]
            .into_iter()
            .find(|order| order.long(file, 12) == Some(MAGIC))
            .ok_or("it is no hash table of BerkeleyDB")?;
        let version = order.long(file, 16);
        if !version.is_some_and(|version| VERSIONS.contains(&version)) {
            return Err("it is of a version that is not known".to_owned());
        }
        if file.get(24).is_some_and(|encryption| *encryption != 0) {
            return Err("it is encrypted".to_owned());
        }
        let page_bytes = order
            .long(file, 20)
            .and_then(|bytes| usize::try_from(bytes).ok())
            .filter(|bytes| PAGE_SIZES.contains(bytes) && bytes.is_power_of_two())
            .ok_or("its pages have a size that none can have")?;
        if !file.len().is_multiple_of(page_bytes) {
            return Err("the file is cut off".to_owned());
        }
        Ok(Self {
            file,
            order,
            page_bytes,
            read: vec![false; file.len() / page_bytes],
        })
    }

    /// Adds the values in a page of the table: every second entry.
    fn values_of(&mut self, page: &'a [u8], found: &mut Vec<Vec<u8>>) -> Option<()> {
        let entries = self.order.short(page, 20)?;
        let offset = |entry: usize| self.order.short(page, PAGE_HEADER_BYTES + 2 * entry);
        let mut places = Vec::new();
        // Entries that lie upon each other would be read again and again.
        let mut end = page.len();
        for key in (0..entries.saturating_sub(1)).step_by(2) {
            let (after, start) = (offset(key)?, offset(key + 1)?);
            if start >= after || after > end {
                return None;
            }
            end = start;
            places.push(start..after);
        }
        for place in places {
            let entry = page.get(place)?;
            match *entry.first()? {
                IN_PAGE => found.push(entry[1..].to_vec()),
                IN_CHAIN => found.push(self.chain(entry)?),
                // A list of values, which rpm does not have.
                _ => {}
            }
        }
        Some(())
    }

    /// The value that an entry says to be elsewhere.
    fn chain(&mut self, entry: &[u8]) -> Option<Vec<u8>> {
        let mut number = self.order.long(entry, 4)?;
        let length = usize::try_from(self.order.long(entry, 8)?).ok()?;
        let mut value = Vec::new();
        while value.len() < length {
            let at = usize::try_from(number).ok()?;
            if std::mem::replace(self.read.get_mut(at)?, true) {
                return None;
            }
            let page = self.file.get(at * self.page_bytes..)?;
            let page = page.get(..self.page_bytes)?;
            let used = self.order.short(page, 22)?;
            if page[25] != OVERFLOW || used == 0 {
                return None;
            }
            value.extend(page.get(PAGE_HEADER_BYTES..)?.get(..used)?);
            number = self.order.long(page, 16)?;
        }
        (value.len() == length).then_some(value)
    }
}
