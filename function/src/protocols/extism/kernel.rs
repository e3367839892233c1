//! The kernel: what one call of a plug-in has on the host's side.

use super::arena::{Arena, PIECE};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use wfaas_vm::untrusted;
use wfaas_wasi::LogEvent;

/// The conditions of a plug-in, the same for all calls.
#[derive(Debug, Default)]
pub(super) struct Terms {
    pub(super) config: BTreeMap<String, String>,
    /// Most bytes of the kernel's memory.
    pub(super) memory: u64,
    /// Most bytes in the log.
    pub(super) log: u64,
}

/// Most bytes of variables, names and values together.
pub(super) const MAX_VARIABLES: usize = 1 << 20;

/// Most bytes of a name, of a setting or a variable.
pub(super) const MAX_NAME: usize = 64 << 10;

/// Bytes that a variable counts besides its own.
const VARIABLE_BYTES: usize = 64;

/// The variables have reached [`MAX_VARIABLES`].
const FULL: &str = "the variables are full";

/// There is no room for a block.
const NO_ROOM: &str = "the memory is full";

/// Bytes that the log adds to a line, about.
const LINE_BYTES: usize = 100;

/// The state of a call. The default, of an instance outside of a call, has no memory at all.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) arena: Arena,
    pub(super) terms: Arc<Terms>,
    /// Address and bytes of the input.
    pub(super) input: (u64, u64),
    /// Bytes of the input that are there before the guest begins.
    filled: usize,
    /// Address and bytes of the output.
    pub(super) output: (u64, u64),
    /// Address of the error; 0 for none.
    pub(super) error: u64,
    variables: HashMap<String, Vec<u8>>,
    variable_bytes: usize,
    log_bytes: u64,
    log_is_full: bool,
    /// The last answer of another server, without its body.
    received: Option<(u16, BTreeMap<String, String>)>,
}

/// The answer of another server.
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Default for Kernel {
    fn default() -> Kernel {
        Kernel::empty(Arc::default())
    }
}

impl Kernel {
    fn empty(terms: Arc<Terms>) -> Kernel {
        Kernel {
            arena: Arena::new(terms.memory),
            terms,
            input: (0, 0),
            filled: 0,
            output: (0, 0),
            error: 0,
            variables: HashMap::new(),
            variable_bytes: 0,
            log_bytes: 0,
            log_is_full: false,
            received: None,
        }
    }

    /// A kernel with room for an input, which is [to be filled](Kernel::fill); `None` if there is none.
    pub(super) fn new(terms: Arc<Terms>, bytes: usize) -> Option<Kernel> {
        let mut kernel = Kernel::empty(terms);
        if bytes > 0 {
            kernel.input = (kernel.arena.alloc(bytes as u64)?, bytes as u64);
        }
        Some(kernel)
    }

    /// Whether it was made for a call under these terms.
    pub(super) fn is_of(&self, terms: &Arc<Terms>) -> bool {
        Arc::ptr_eq(&self.terms, terms)
    }

    /// Copies the next piece of the input; whether all of it is there.
    pub(super) fn fill(&mut self, input: &[u8]) -> bool {
        let piece = &input[self.filled..input.len().min(self.filled + PIECE)];
        if !piece.is_empty() {
            self.arena.fill(self.input.0 + self.filled as u64, piece);
        }
        self.filled += piece.len();
        self.filled == input.len()
    }

    /// The output; nothing if it is not in the memory.
    pub(super) fn output(&self) -> &[u8] {
        self.arena.range(self.output.0, self.output.1).unwrap_or_default()
    }

    /// Why a call that returned `code` failed; `None` if it did not.
    pub(super) fn failure(&self, code: i32) -> Option<String> {
        let message = self.arena.block(self.error);
        if code == 0 && message.is_none() {
            return None;
        }
        // Some bytes more than are shown, so that an ellipsis stands for the rest.
        let beginning = |block: &[u8]| block[..block.len().min(untrusted::MAX_TEXT + 8)].to_vec();
        let message = message.map_or_else(|| b"no error is set".to_vec(), beginning);
        let message = String::from_utf8_lossy(&message);
        Some(untrusted::text(message).to_string())
    }

    /// Bytes `index` and on of the input; zeros outside.
    pub(super) fn load_input<const N: usize>(&self, index: u64) -> [u8; N] {
        match index.checked_add(N as u64) {
            Some(end) if end <= self.input.1 => self.arena.load(self.input.0 + index),
            _ => [0; N],
        }
    }

    /// The text of a block, which has `most` bytes at the most.
    pub(super) fn text(&self, address: u64, most: usize) -> Result<&str, &'static str> {
        let block = self.arena.block(address).ok_or("there is no block at this address")?;
        let block =
            Some(block).filter(|block| block.len() <= most).ok_or("the block is too long")?;
        str::from_utf8(block).map_err(|_| "the block is no text in UTF-8")
    }

    /// The text at the beginning of a block: the rest of it is not looked at.
    fn beginning(&self, address: u64, most: usize) -> Result<&str, &'static str> {
        let block = self.arena.block(address).ok_or("there is no block at this address")?;
        let bytes = &block[..block.len().min(most)];
        let bytes = match str::from_utf8(bytes) {
            // The end is within a character.
            Err(error) if error.error_len().is_none() && bytes.len() < block.len() => {
                &bytes[..error.valid_up_to()]
            }
            _ => bytes,
        };
        str::from_utf8(bytes).map_err(|_| "the block is no text in UTF-8")
    }

    /// The address of a block with an answer; 0 for none.
    pub(super) fn answer(&mut self, value: Option<&[u8]>) -> Result<u64, &'static str> {
        match value {
            None | Some([]) => Ok(0),
            Some(bytes) => self.arena.put(bytes).ok_or(NO_ROOM),
        }
    }

    /// Gives all blocks back. Variables stay.
    pub(super) fn reset(&mut self) {
        self.arena = Arena::new(self.terms.memory);
        (self.input, self.output, self.error) = ((0, 0), (0, 0), 0);
    }

    /// Takes the head of an answer; the address of the block for its body, 0 if that is empty.
    pub(super) fn take_received(&mut self, received: &mut Received) -> Result<u64, &'static str> {
        self.received = Some((received.status, std::mem::take(&mut received.headers)));
        if received.body.is_empty() {
            return Ok(0);
        }
        let block = self.arena.begin_alloc(received.body.len() as u64);
        Ok(block.ok_or(NO_ROOM)?.address)
    }

    /// Status of the last answer; 0 if there was none.
    pub(super) fn received_status(&self) -> u16 {
        self.received.as_ref().map_or(0, |(status, _)| *status)
    }

    /// The address of the headers of the last answer, a JSON object; 0 if there was none.
    pub(super) fn received_headers(&mut self) -> Result<u64, &'static str> {
        let Some((_, headers)) = &self.received else { return Ok(0) };
        let json = serde_json::to_vec(headers).map_err(|_| "the headers are no JSON")?;
        self.answer(Some(&json))
    }

    /// The value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<&[u8]> {
        self.variables.get(name).map(Vec::as_slice)
    }

    /// Sets a variable to the bytes of a block, or removes it: 0 is no block.
    pub(super) fn set_variable_to(&mut self, name: u64, value: u64) -> Result<(), &'static str> {
        let name = self.text(name, MAX_NAME)?.to_owned();
        let value = match value {
            0 => None,
            address => {
                let block = self.arena.block(address);
                Some(block.ok_or("there is no block for the value at this address")?)
            }
        };
        if value.is_some_and(|value| value.len() > MAX_VARIABLES) {
            return Err(FULL);
        }
        self.set_variable(name, value.map(<[u8]>::to_vec))
    }

    /// Sets a variable, or removes it.
    fn set_variable(&mut self, name: String, value: Option<Vec<u8>>) -> Result<(), &'static str> {
        let bytes = |name: &str, value: &[u8]| name.len() + value.len() + VARIABLE_BYTES;
        if let Some(old) = self.variables.remove(&name) {
            self.variable_bytes -= bytes(&name, &old);
        }
        let Some(value) = value else { return Ok(()) };
        let more = bytes(&name, &value);
        if self.variable_bytes + more > MAX_VARIABLES {
            return Err(FULL);
        }
        self.variable_bytes += more;
        self.variables.insert(name, value);
        Ok(())
    }

    /// The event for the log of the message in a block; none after the limit was reached.
    pub(super) fn log(
        &mut self,
        level: &str,
        message: u64,
    ) -> Result<Option<LogEvent>, &'static str> {
        if self.log_is_full {
            return Ok(None);
        }
        let message = self.beginning(message, untrusted::MAX_LINE)?;
        let line = untrusted::line(format_args!("{level}: {message}")).to_string();
        let bytes = self.log_bytes.saturating_add((line.len() + LINE_BYTES) as u64);
        if bytes > self.terms.log {
            self.log_is_full = true;
            return Ok(Some(LogEvent::Limit));
        }
        self.log_bytes = bytes;
        Ok(Some(LogEvent::Line(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(terms: Terms) -> Kernel {
        let input = b"0123456789";
        let mut kernel =
            Kernel::new(Arc::new(Terms { memory: 1 << 20, ..terms }), input.len()).unwrap();
        assert!(kernel.fill(input), "it is one piece");
        kernel
    }

    #[test]
    fn a_large_input_comes_in_pieces() {
        let input: Vec<u8> = (0..2 * PIECE + 3).map(|at| (at % 251) as u8).collect();
        let terms = Arc::new(Terms { memory: 1 << 20, ..Terms::default() });
        let mut kernel = Kernel::new(terms, input.len()).unwrap();
        let complete = [(); 3].map(|()| kernel.fill(&input));
        assert_eq!(complete, [false, false, true]);
        assert_eq!(kernel.arena.block(kernel.input.0), Some(&input[..]));
    }

    #[test]
    fn input_is_read_within_itself() {
        let kernel = kernel(Terms::default());
        assert_eq!(kernel.load_input::<8>(2), *b"23456789");
        assert_eq!(kernel.load_input::<8>(3), [0; 8]);
        assert_eq!(kernel.load_input::<1>(u64::MAX), [0]);
        assert!(Kernel::new(Arc::default(), 1).is_none(), "no memory");
        assert!(Kernel::new(Arc::default(), 0).is_some_and(|mut kernel| kernel.fill(b"")));
    }

    #[test]
    fn variables_have_a_limit_and_are_counted_once() {
        let mut kernel = kernel(Terms::default());
        let half = vec![0; MAX_VARIABLES / 2];
        for _ in 0..5 {
            kernel.set_variable("a".to_owned(), Some(half.clone())).unwrap();
        }
        assert!(kernel.set_variable("b".to_owned(), Some(half.clone())).is_err());
        kernel.set_variable("a".to_owned(), None).unwrap();
        kernel.set_variable("b".to_owned(), Some(half)).unwrap();
        assert_eq!(
            (kernel.variable("a"), kernel.variable("b").map(<[u8]>::len)),
            (None, Some(MAX_VARIABLES / 2))
        );
        let mut small = 0;
        while kernel.set_variable(small.to_string(), Some(vec![])).is_ok() {
            small += 1;
        }
        assert!(small < MAX_VARIABLES / 64, "{small}");
    }

    #[test]
    fn the_log_ends_with_its_limit() {
        let mut kernel = kernel(Terms { log: 250, ..Terms::default() });
        let line = LogEvent::Line("info: a\\u{1b}b".to_owned());
        let message = kernel.arena.put(b"a\x1bb").unwrap();
        assert_eq!(kernel.log("info", message), Ok(Some(line.clone())));
        assert_eq!(kernel.log("info", message), Ok(Some(line)));
        assert_eq!(kernel.log("info", message), Ok(Some(LogEvent::Limit)));
        assert_eq!(kernel.log("info", message), Ok(None));
    }

    #[test]
    fn the_rest_of_a_long_block_is_not_looked_at() {
        let mut kernel = kernel(Terms { log: 1 << 20, ..Terms::default() });
        let mut long = "é".repeat(untrusted::MAX_LINE).into_bytes();
        long.push(0xff);
        let long = kernel.arena.put(&[b"x", &long[..]].concat()).unwrap();
        assert!(matches!(kernel.log("info", long), Ok(Some(LogEvent::Line(_)))));
        assert_eq!(kernel.text(long, MAX_NAME), Err("the block is no text in UTF-8"));
        assert_eq!(kernel.text(long, untrusted::MAX_LINE), Err("the block is too long"));
        let cut = kernel.arena.put(b"x\xc3").unwrap();
        assert!(kernel.log("info", cut).is_err(), "it ends within a character itself");
    }

    #[test]
    fn long_errors_are_cut() {
        let mut kernel = kernel(Terms::default());
        kernel.error = kernel.arena.put(&[0xff; 512 << 10]).unwrap();
        let message = kernel.failure(1).unwrap();
        assert!(message.starts_with('\u{fffd}') && message.ends_with('…'));
        assert!(message.len() <= untrusted::MAX_TEXT + "…".len(), "{}", message.len());
    }
}
