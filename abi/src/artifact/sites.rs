//! Sites: the instructions at which guest code can stop, with the reason and the place in the module.
//!
//! A *site* is an instruction that may fault, or the last byte of a call's instruction: one before
//! the return address. Nothing else in the text is looked up by a trap or a backtrace.
//!
//! ```text
//!  .wfaas.siteblocks   SiteBlock  SiteBlock  SiteBlock       searched by text offset
//!                         │          └──────────┐
//!  .wfaas.sites        site site site ...    site site ...   up to SITES_IN_BLOCK, read one by one
//!
//!  site = step [shape] place...
//!    step    text offset − the last site's, times 4, plus the form: 0 a call, 1 an access outside of
//!            memory, 2 any reason with the same number of places, 3 any reason with another number
//!    shape   form 2: the reason, a `TrapCode` or zero for a call, as a byte;
//!            form 3: the same, and a byte with the number of places, times 16, plus how many stay
//!    place   place − the last one at its depth. Forms 0 to 2 change the innermost place only
//! ```
//!
//! Inlined code has several *places*: the outermost, in the function that the text belongs to, is the
//! one of the call that was inlined, and so on, up to the innermost with the instruction itself.
//! Numbers are LEB128, differences of places in zigzag. A block starts with the block's text offset as
//! the last site's, no places, and zeros as the last ones; so each is read by itself.
//!
//! The bytes come from a file: whatever they hold, reading ends, inside of them.

use super::records::SiteBlock;
use crate::trap::TrapCode;

/// Sites in a block, at most. A lookup reads half of them on average.
pub const SITES_IN_BLOCK: usize = 64;

/// Places of a site, at most: inlined functions in one another, and the one they are in.
pub const MAX_PLACES: usize = 8;

const CALL: u64 = 0;
const ACCESS: u64 = 1;
const OTHER: u64 = 2;
const RESHAPED: u64 = 3;

/// An instruction at which guest code can stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site {
    /// Bytes from the start of the text: of an instruction that may fault, or of a call's last byte.
    pub text_offset: u32,
    /// The reason of the fault; `None` for a call.
    pub trap: Option<TrapCode>,
    places: Places,
}

/// Bytes from the start of the module, outermost first. Those behind `len` are former ones, from
/// which the next differences are.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    all: [u32; MAX_PLACES],
    len: usize,
}

impl Places {
    fn get(&self) -> &[u32] {
        &self.all[..self.len]
    }
}

impl PartialEq for Places {
    fn eq(&self, other: &Places) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Places {}

impl Site {
    /// A site with these places, outermost first; `None` if there are more than [`MAX_PLACES`].
    pub fn new(text_offset: u32, trap: Option<TrapCode>, places: &[u32]) -> Option<Site> {
        let mut all = [0; MAX_PLACES];
        all.get_mut(..places.len())?.copy_from_slice(places);
        Some(Site { text_offset, trap, places: Places { all, len: places.len() } })
    }

    /// The places in the module that the instruction comes from, in bytes from its start, outermost
    /// first. There is none for code that comes from nowhere in it.
    pub fn places(&self) -> &[u32] {
        self.places.get()
    }

    /// The state before the first site of a block.
    fn before(text_offset: u32) -> Site {
        Site { text_offset, trap: None, places: Places::default() }
    }
}

/// Writes sites, ascending by text offset.
#[derive(Debug)]
pub struct SiteWriter {
    blocks: Vec<SiteBlock>,
    bytes: Vec<u8>,
    last: Site,
    /// Sites in the last block.
    count: usize,
}

impl Default for SiteWriter {
    fn default() -> Self {
        SiteWriter {
            blocks: Vec::new(),
            bytes: Vec::new(),
            last: Site::before(0),
            count: SITES_IN_BLOCK,
        }
    }
}

impl SiteWriter {
    /// Appends a site.
    ///
    /// # Panics
    /// If it is not behind the last one.
    pub fn push(&mut self, site: &Site) {
        assert!(self.bytes.is_empty() || site.text_offset > self.last.text_offset);
        if self.count == SITES_IN_BLOCK {
            self.start_block(site.text_offset);
        }
        self.count += 1;
        let (len, same) = (site.places.len, shared(&self.last.places, &site.places));
        let reshaped = len != self.last.places.len || same + 1 < len || len == 0;
        let form = match site.trap {
            _ if reshaped => RESHAPED,
            None => CALL,
            Some(TrapCode::MemoryOutOfBounds) => ACCESS,
            Some(_) => OTHER,
        };
        let step = site.text_offset - self.last.text_offset;
        write(&mut self.bytes, u64::from(step) << 2 | form);
        if form >= OTHER {
            self.bytes.push(site.trap.map_or(0, |trap| trap as u8));
        }
        let first = if form == RESHAPED { same } else { len - 1 };
        if form == RESHAPED {
            self.bytes.push((len << 4 | same) as u8); // both are at most MAX_PLACES
        }
        for (place, last) in site.places()[first..].iter().zip(&mut self.last.places.all[first..]) {
            write(&mut self.bytes, zigzag(place.wrapping_sub(*last)).into());
            *last = *place;
        }
        self.last.places.len = len;
        self.last.text_offset = site.text_offset;
    }

    fn start_block(&mut self, text_offset: u32) {
        let start = u32::try_from(self.bytes.len()).expect("fewer bytes than the text has");
        self.blocks.push(SiteBlock { text_offset: text_offset.into(), start: start.into() });
        self.last = Site::before(text_offset);
        self.count = 0;
    }

    /// The records of the blocks.
    pub fn blocks(&self) -> &[SiteBlock] {
        &self.blocks
    }

    /// The bytes of the sites.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The number of outermost places that are the same.
fn shared(last: &Places, next: &Places) -> usize {
    last.get().iter().zip(next.get()).take_while(|(last, next)| last == next).count()
}

/// The sites of an artifact.
#[derive(Debug, Clone, Copy)]
pub struct Sites<'a> {
    blocks: &'a [SiteBlock],
    bytes: &'a [u8],
}

impl<'a> Sites<'a> {
    /// A view of the bytes of a [`SiteWriter`], or of any others.
    pub fn new(blocks: &'a [SiteBlock], bytes: &'a [u8]) -> Sites<'a> {
        Sites { blocks, bytes }
    }

    /// The last site that is not behind `text_offset`.
    pub fn last_to(&self, text_offset: u32) -> Option<Site> {
        let after = self.blocks.partition_point(|block| block.text_offset.get() <= text_offset);
        let mut reader = self.block(after.checked_sub(1)?)?;
        let mut found = false;
        while reader.advance(text_offset).is_some() {
            found = true;
        }
        found.then_some(reader.last)
    }

    /// All sites, in order.
    pub fn iter(&self) -> impl Iterator<Item = Site> + use<'a> {
        let sites = *self;
        let blocks = (0..sites.blocks.len()).filter_map(move |index| sites.block(index));
        blocks.flat_map(|mut reader| {
            std::iter::from_fn(move || reader.advance(u32::MAX).map(|()| reader.last))
        })
    }

    fn block(&self, index: usize) -> Option<Reader<'a>> {
        let block = self.blocks.get(index)?;
        let end = self.blocks.get(index + 1).map(|next| next.start.get() as usize);
        let bytes = self.bytes.get(block.start.get() as usize..end.unwrap_or(self.bytes.len()))?;
        Some(Reader { bytes, last: Site::before(block.text_offset.get()), left: SITES_IN_BLOCK })
    }
}

/// Reads a block.
struct Reader<'a> {
    bytes: &'a [u8],
    last: Site,
    left: usize,
}

impl Reader<'_> {
    /// Goes to the next site, unless it is behind `text_offset` or there is none that makes sense.
    fn advance(&mut self, text_offset: u32) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        let step = self.number()?;
        let offset = u64::from(self.last.text_offset).checked_add(step >> 2)?;
        self.last.text_offset =
            u32::try_from(offset).ok().filter(|offset| *offset <= text_offset)?;
        let form = step & 3;
        self.last.trap = match form {
            CALL => None,
            ACCESS => Some(TrapCode::MemoryOutOfBounds),
            _ => match self.byte()? {
                0 => None,
                code => Some(TrapCode::from_u8(code)?),
            },
        };
        let first =
            if form == RESHAPED { self.shape()? } else { self.last.places.len.checked_sub(1)? };
        for depth in first..self.last.places.len {
            let difference = unzigzag(self.number()? as u32);
            let place = &mut self.last.places.all[depth];
            *place = place.wrapping_add(difference);
        }
        Some(())
    }

    /// The first place that changes.
    fn shape(&mut self) -> Option<usize> {
        let shape = self.byte()? as usize;
        self.last.places.len = Some(shape >> 4).filter(|len| *len <= MAX_PLACES)?;
        Some(shape & 15)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes.split_off_first().copied()
    }

    /// A LEB128 number.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Small numbers of either sign as small numbers.
fn zigzag(difference: u32) -> u32 {
    difference << 1 ^ (difference.cast_signed() >> 31).cast_unsigned()
}

fn unzigzag(number: u32) -> u32 {
    number >> 1 ^ (number & 1).wrapping_neg()
}
