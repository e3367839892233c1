//! The description of the ABI: each record, list and number that compiler and VM share, in a form
//! that can be printed and hashed.
//!
//! Shared structs are declared by `records!`, which makes the struct and its [`Record`] from one
//! text; shared enums are declared by macros of their own, which make a list of [`Item`]s beside
//! the enum. [`ABI`] collects them all. [`layout_text`] is the description as text, kept in
//! `layout.txt`, and [`ABI_FINGERPRINT`](crate::fingerprint::ABI_FINGERPRINT) the hash of exactly
//! this text.

mod abi;
mod text;

// These tests hash long texts again and again, and read source files: not for an interpreter without
// files. There is no unsafe code in them that it could judge.
#[cfg(all(test, not(miri)))]
mod tests;

pub use abi::ABI;
pub(crate) use text::Text;

/// A field of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name.
    pub name: &'static str,
    /// Type, as it is written.
    pub ty: &'static str,
    /// Bytes from the origin of the record.
    pub offset: i64,
    /// Bytes.
    pub bytes: usize,
}

/// A struct that compiler and VM share, or an area that is laid out at build time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Name.
    pub name: &'static str,
    /// Bytes.
    pub bytes: usize,
    /// Alignment in bytes.
    pub align: usize,
    /// The fields, in the order of their declaration.
    pub fields: &'static [Field],
}

/// A member of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Name, with everything about it that both sides rely on.
    pub name: &'static str,
    /// The number that stands for it.
    pub number: i64,
}

/// An enum, a set of bits or constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    /// Name.
    pub name: &'static str,
    /// The members, in order.
    pub items: &'static [Item],
}

/// Everything that compiler and VM have to agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description<'a> {
    /// [`FORMAT_VERSION`](crate::artifact::FORMAT_VERSION).
    pub version: u32,
    /// Records, by the file that declares them.
    pub records: &'a [&'a [Record]],
    /// Lists.
    pub lists: &'a [List],
}

impl Description<'_> {
    /// The description as text: a line for each field and item.
    pub(crate) const fn text(&self) -> Text {
        let mut text = Text::new();
        text.str("format version ").number(self.version as i64).str("\n");
        let mut group = 0;
        while group < self.records.len() {
            let mut index = 0;
            while index < self.records[group].len() {
                write_record(&mut text, &self.records[group][index]);
                index += 1;
            }
            group += 1;
        }
        let mut index = 0;
        while index < self.lists.len() {
            write_list(&mut text, &self.lists[index]);
            index += 1;
        }
        text
    }
}

const fn write_record(text: &mut Text, record: &Record) {
    text.str("\nrecord ").str(record.name).str(": ").number(record.bytes as i64);
    text.str(" bytes, align ").number(record.align as i64).str("\n");
    let mut index = 0;
    while index < record.fields.len() {
        let Field { name, ty, offset, bytes } = record.fields[index];
        text.str("  ").number(offset).str(" +").number(bytes as i64);
        text.str(" ").str(name).str(": ").str(ty).str("\n");
        index += 1;
    }
}

const fn write_list(text: &mut Text, list: &List) {
    text.str("\nlist ").str(list.name).str("\n");
    let mut index = 0;
    while index < list.items.len() {
        let Item { name, number } = list.items[index];
        text.str("  ").number(number).str(" ").str(name).str("\n");
        index += 1;
    }
}

/// The description of this build's ABI.
pub fn layout_text() -> String {
    ABI.text().as_str().to_owned()
}

/// Declares shared structs, `#[repr(C)]`, and a constant with their [`Record`]s.
macro_rules! records {
    (
        $records:ident = $derive:meta;
        $($(#[doc = $doc:literal])+ $name:ident {
            $($(#[doc = $field_doc:literal])+ $field:ident: $ty:ty,)*
        })*
    ) => {
        $(
            $(#[doc = $doc])+
            #[$derive]
            #[repr(C)]
            pub struct $name { $($(#[doc = $field_doc])+ pub $field: $ty,)* }
        )*

        pub(crate) const $records: &[$crate::description::Record] = &[$(
            $crate::description::Record {
                name: stringify!($name),
                bytes: size_of::<$name>(),
                align: align_of::<$name>(),
                fields: &[$($crate::description::Field {
                    name: stringify!($field),
                    ty: stringify!($ty),
                    offset: core::mem::offset_of!($name, $field) as i64,
                    bytes: size_of::<$ty>(),
                },)*],
            },
        )*];
    };
}

/// The [`Item`]s of constants: their names as they are written, and their values.
macro_rules! numbers {
    ($($number:path,)*) => {
        &[$($crate::description::Item { name: stringify!($number), number: $number as i64 },)*]
    };
}

pub(crate) use {numbers, records};
