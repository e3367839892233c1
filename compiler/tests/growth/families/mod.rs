//! Families of hostile modules: of each there is one for any size, and none may take more than
//! proportionally long to compile.

mod control;
mod module;
mod values;

/// A family of modules.
pub(crate) struct Family {
    /// Its name.
    pub(crate) name: &'static str,
    /// The smallest size that is measured.
    pub(crate) size: usize,
    /// The text of the module of a size.
    pub(crate) module: fn(usize) -> String,
}

impl Family {
    /// Whether its modules access their memories.
    pub(crate) fn has_accesses(&self) -> bool {
        let module = (self.module)(self.size);
        module.contains(".load") || module.contains(".store")
    }
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Family> {
    [control::FAMILIES, values::FAMILIES, module::FAMILIES].into_iter().flatten()
}

const fn family(name: &'static str, size: usize, module: fn(usize) -> String) -> Family {
    Family { name, size, module }
}

/// A module with a function of one parameter, local 0, and `locals` more of type `i32`.
fn func(locals: usize, body: &str) -> String {
    format!(
        "(module (import \"m\" \"f\" (func $f)) (import \"m\" \"g\" (func $g (result i32)))
            (import \"m\" \"h\" (func $h (param i32))) (memory 1) (table 1 funcref) (tag $t)
            (func (param i32) (local {}) {body}))",
        "i32 ".repeat(locals)
    )
}

/// The texts for all numbers below `n`, one after the other.
fn each(n: usize, text: impl Fn(usize) -> String) -> String {
    (0..n).map(text).collect()
}

/// `inner` in so many blocks.
fn wrap(start: &str, inner: &str, times: usize) -> String {
    format!("{}{inner}{}", start.repeat(times), ")".repeat(times))
}

/// A binary module, as text.
fn binary(sections: &[&[u8]]) -> String {
    let module = [b"\0asm\x01\0\0\0", &sections.concat()[..]].concat();
    let escaped: String = module.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(module binary \"{escaped}\")")
}

/// A number in five bytes of LEB128.
fn number(n: usize) -> [u8; 5] {
    [0, 7, 14, 21, 28].map(|shift| (n >> shift) as u8 & 0x7f | if shift < 28 { 0x80 } else { 0 })
}

/// A section with so many items.
fn section(id: u8, count: usize, items: &[u8]) -> Vec<u8> {
    [&[id][..], &number(5 + items.len()), &number(count), items].concat()
}
