//! Demangling: Rust's legacy and v0 symbols, and those of C++ (Itanium ABI).

use cpp_demangle::{DemangleOptions, ParseOptions};
use std::borrow::Cow;
use std::fmt::{self, Write};

/// Longest name, in bytes. Symbols can stand for names that are exponentially longer.
pub const MAX_NAME_BYTES: usize = 1024;

/// Nested parts of a C++ symbol: each takes stack.
const MAX_NESTED: u32 = 64;

/// The name that a symbol stands for: the symbol itself where it is not mangled. It is cut at
/// [`MAX_NAME_BYTES`].
pub fn demangle(symbol: &str) -> Cow<'_, str> {
    let symbol = cut(symbol);
    if !symbol.starts_with('_') && !symbol.starts_with('R') {
        return Cow::Borrowed(symbol);
    }
    if let Ok(rust) = rustc_demangle::try_demangle(symbol) {
        // Without the hash at the end.
        return Cow::Owned(bounded(|name| write!(name, "{rust:#}")));
    }
    cpp(symbol).map_or(Cow::Borrowed(symbol), Cow::Owned)
}

fn cpp(symbol: &str) -> Option<String> {
    if !symbol.starts_with("_Z") {
        return None;
    }
    let options = ParseOptions::default().recursion_limit(MAX_NESTED);
    let parsed = cpp_demangle::Symbol::new_with_options(symbol, &options).ok()?;
    let options = DemangleOptions::default().recursion_limit(MAX_NESTED);
    let name = bounded(|name| parsed.structured_demangle(name, &options));
    (!name.is_empty()).then_some(name)
}

/// The start of a name, up to the end of a character.
pub(crate) fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME_BYTES)]
}

/// A name that stops growing.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0.push_str(cut(part));
        if self.0.len() < MAX_NAME_BYTES {
            return Ok(());
        }
        self.0.truncate(self.0.floor_char_boundary(MAX_NAME_BYTES));
        Err(fmt::Error) // ends the formatting
    }
}

/// The name that `write` writes, or the start of it.
fn bounded(write: impl FnOnce(&mut Bounded) -> fmt::Result) -> String {
    let mut name = Bounded(String::new());
    let _ = write(&mut name);
    name.0
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAME_BYTES, demangle};

    #[test]
    fn names_of_all_manglings_are_readable() {
        for (symbol, name) in [
            ("_ZN4core9panicking5panic17hbb3a1d2c4e5f6789E", "core::panicking::panic"),
            ("_RNvCs1234_7mycrate4main", "mycrate::main"),
            ("_ZN3foo3barEi", "foo::bar(int)"),
            ("_Z3addIiET_S0_S0_", "int add<int>(int, int)"),
            ("main", "main"),
            ("_start", "_start"),
            ("_Zgarbage", "_Zgarbage"),
            ("", ""),
        ] {
            assert_eq!(demangle(symbol), name, "{symbol}");
        }
    }

    #[test]
    fn names_are_bounded() {
        let long = "é".repeat(5000);
        assert_eq!(demangle(&long).len(), MAX_NAME_BYTES);
        // Each template refers twice to the one before: the name has 2^30 parts.
        let mut bomb = String::from("_Z1fI1AIiiE");
        for index in 0..30 {
            let of = if index == 0 { "S0_".into() } else { format!("S{:X}_", index) };
            bomb += &format!("1AI{of}{of}E");
        }
        bomb += "Evv";
        assert!(demangle(&bomb).len() <= MAX_NAME_BYTES);
        let deep = format!("_Z1f{}i", "P".repeat(900));
        assert!(demangle(&deep).len() <= MAX_NAME_BYTES);
        let deep = format!("_RNvC1a{}", "Nv".repeat(450));
        assert!(demangle(&deep).len() <= MAX_NAME_BYTES);
    }
}
