//! Names and lines of guest code for people.
//!
//! * [`demangle`] makes a symbol readable: Rust's of both manglings, and those of C++;
//! * a **debug file** keeps the DWARF of a module beside its artifact. It is a module as well, with
//!   custom sections only, so that tools for DWARF in WebAssembly read it;
//! * a **line** is a place in the source: a function, a file, a line and a column. An instruction has
//!   several where functions were inlined.
//!
//! A debug file is read when a backtrace is printed, and never before. DWARF is input from elsewhere:
//! reading it takes bounded time and memory, and finds less where the DWARF makes no sense.
//!
//! ```
//! let name = wfaas_symbolize::demangle("_ZN3app5solve17h0123456789abcdefE");
//! assert_eq!(name, "app::solve");
//! ```
#![forbid(unsafe_code)]

mod demangle;
mod dwarf;
mod file;

pub use demangle::{MAX_NAME_BYTES, demangle};
pub use dwarf::{Line, MAX_DEPTH};
pub use file::DebugFile;
