//! The description notices drift: each test declares something once more with the macro that
//! declares it, changed as an accident would change it, and looks for another text and another
//! fingerprint. None of the changes is one of sizes or numbers of fields.

#![expect(dead_code, unreachable_pub)] // the macros declare for other crates

use super::{ABI, Description, Item, List, Record};
use crate::context::{FuncImport, HostContext};
use crate::fingerprint::{ABI_FINGERPRINT, fingerprint};
use std::collections::BTreeSet;
use std::path::Path;

/// The ABI with `drifted` in the place of the record of its name.
#[track_caller]
fn assert_notices_record(drifted: Record) {
    let mut found = 0;
    let mut groups: Vec<Vec<Record>> = ABI.records.iter().map(|group| group.to_vec()).collect();
    for record in groups.iter_mut().flatten().filter(|record| record.name == drifted.name) {
        assert_eq!(record.bytes, drifted.bytes, "sizes alone would show it");
        assert_eq!(record.fields.len(), drifted.fields.len(), "the number of fields would show it");
        *record = drifted;
        found += 1;
    }
    assert_eq!(found, 1, "no record {}", drifted.name);
    let groups: Vec<&[Record]> = groups.iter().map(Vec::as_slice).collect();
    assert_notices(&Description { records: &groups, ..ABI });
}

/// The ABI with these items in the list of this name.
#[track_caller]
fn assert_notices_list(name: &str, drifted: &'static [Item]) {
    let mut lists = ABI.lists.to_vec();
    let list = lists.iter_mut().find(|list| list.name == name).expect("a list of this name");
    *list = List { items: drifted, ..*list };
    assert_notices(&Description { lists: &lists, ..ABI });
}

#[track_caller]
fn assert_notices(drifted: &Description<'_>) {
    assert_ne!(drifted.text().as_str(), ABI.text().as_str());
    assert_ne!(fingerprint(drifted), ABI_FINGERPRINT);
}

/// The only record of a drifted declaration.
fn only(records: &[Record]) -> Record {
    assert_eq!(records.len(), 1);
    records[0]
}

fn declared(name: &str) -> Record {
    *ABI.records.iter().copied().flatten().find(|record| record.name == name).expect("a record")
}

/// `HandlerRecord` as it is, to show that a copy by the macro alone changes nothing, and changed.
mod handler {
    pub(super) mod same {
        use zerocopy::little_endian::U32;
        crate::description::records! {
            RECORDS = derive(Clone);

            /// Nothing is changed.
            HandlerRecord {
                /// First.
                return_offset: U32,
                /// Second.
                handler_offset: U32,
                /// Third.
                frame_bytes: U32,
            }
        }
    }

    pub(super) mod swapped {
        use zerocopy::little_endian::U32;
        crate::description::records! {
            RECORDS = derive(Clone);

            /// The first two fields are swapped.
            HandlerRecord {
                /// Second.
                handler_offset: U32,
                /// First.
                return_offset: U32,
                /// Third.
                frame_bytes: U32,
            }
        }
    }

    pub(super) mod renamed {
        use zerocopy::little_endian::U32;
        crate::description::records! {
            RECORDS = derive(Clone);

            /// The third field has another name, and so another meaning.
            HandlerRecord {
                /// First.
                return_offset: U32,
                /// Second.
                handler_offset: U32,
                /// Third.
                frame_words: U32,
            }
        }
    }

    pub(super) mod retyped {
        use zerocopy::little_endian::{I32, U32};
        crate::description::records! {
            RECORDS = derive(Clone);

            /// The third field has another type, of the same size.
            HandlerRecord {
                /// First.
                return_offset: U32,
                /// Second.
                handler_offset: U32,
                /// Third.
                frame_bytes: I32,
            }
        }
    }
}

#[test]
fn a_record_that_is_declared_again_is_the_same() {
    assert_eq!(only(handler::same::RECORDS), declared("HandlerRecord"));
}

#[test]
fn swapped_fields_of_a_record_are_noticed() {
    assert_notices_record(only(handler::swapped::RECORDS));
}

#[test]
fn a_renamed_field_is_noticed() {
    assert_notices_record(only(handler::renamed::RECORDS));
}

#[test]
fn a_retyped_field_is_noticed() {
    assert_notices_record(only(handler::retyped::RECORDS));
}

#[test]
fn swapped_halves_of_function_references_are_noticed() {
    mod swapped {
        crate::description::records! {
            RECORDS = derive(Clone);

            /// The halves are swapped.
            FuncRef {
                /// Second.
                type_id: u32,
                /// First.
                code: u32,
            }
        }
    }
    assert_notices_record(only(swapped::RECORDS));
}

/// Every two fields of the same size of the header, swapped: its two sizes among them.
#[test]
fn swapped_fields_of_the_header_are_noticed() {
    let header = declared("Header");
    let names: Vec<&str> = header.fields.iter().map(|field| field.name).collect();
    assert!(names.contains(&"state_bytes") && names.contains(&"host_bytes"), "{names:?}");
    let mut swaps = 0;
    for second in 0..header.fields.len() {
        for first in 0..second {
            let mut fields = header.fields.to_vec();
            if fields[first].bytes == fields[second].bytes {
                (fields[first].name, fields[second].name) =
                    (fields[second].name, fields[first].name);
                assert_notices_record(Record { fields: fields.leak(), ..header });
                swaps += 1;
            }
        }
    }
    assert!(swaps > 20, "{swaps}");
}

/// The macros that lay out the state and the host context, with two parts swapped each.
mod areas {
    pub(super) mod state {
        use crate::description::{Field, Record};
        use crate::layout::PAGE;
        use crate::state::StateHeader;
        crate::state::parts! {
            /// Second.
            globals: "16 bytes for each defined global", 16, 16;
            /// First.
            table_sizes: "u64 for each defined table", 8, 8;
            /// Third.
            data_dropped: "u8 for each data segment", 1, 1;
            /// Fourth.
            elem_dropped: "u8 for each element segment", 1, 1;
            /// Fifth.
            table_elements: "u64 for each element of a defined table", 8, PAGE as i64;
        }
    }

    pub(super) mod flags {
        use crate::description::{Field, Record};
        use crate::layout::PAGE;
        use crate::state::StateHeader;
        crate::state::parts! {
            /// First.
            table_sizes: "u64 for each defined table", 8, 8;
            /// Second.
            globals: "16 bytes for each defined global", 16, 16;
            /// Fourth.
            elem_dropped: "u8 for each element segment", 1, 1;
            /// Third.
            data_dropped: "u8 for each data segment", 1, 1;
            /// Fifth.
            table_elements: "u64 for each element of a defined table", 8, PAGE as i64;
        }
    }

    pub(super) mod host {
        use crate::context::*;
        use crate::description::{Field, Record};
        use crate::layout::{MAX_HOST_BYTES, PAGE, page_align};
        crate::context::host_records! {
            /// First.
            funcs: FuncImport;
            /// Second.
            memories: MemoryImport;
            /// Fourth.
            globals: GlobalImport;
            /// Third.
            tables: TableImport;
            /// Fifth.
            tags: TagInstance;
        }
    }
}

#[test]
fn another_order_of_the_state_is_noticed() {
    assert_notices_record(areas::state::STATE_AREA);
    assert_notices_record(areas::flags::STATE_AREA);
}

#[test]
fn another_order_of_the_host_context_is_noticed() {
    assert_notices_record(areas::host::HOST_AREA);
}

#[test]
fn another_order_of_hostcalls_is_noticed() {
    mod swapped {
        use crate::description::Item;
        use crate::hostcall::{HostcallType, define_hostcalls};
        macro_rules! swap {
            (
                $(#[$a_doc:meta])* $a:ident $a_name:ident $a_args:tt;
                $(#[$b_doc:meta])* $b:ident $b_name:ident $b_args:tt -> $b_ret:ident;
                $($rest:tt)*
            ) => {
                define_hostcalls! {
                    $(#[$b_doc])* $b $b_name $b_args -> $b_ret;
                    $(#[$a_doc])* $a $a_name $a_args;
                    $($rest)*
                }
            };
        }
        crate::for_each_hostcall!(swap);
        pub(super) const ITEMS: &[Item] = SIGNATURES;
    }
    let (was, now) = (crate::hostcall::SIGNATURES, swapped::ITEMS);
    assert_eq!((was[0].name, was[1].name), (now[1].name, now[0].name), "the first two are swapped");
    assert_eq!(was[2..], now[2..]);
    assert_notices_list("hostcalls", now);
}

#[test]
fn swapped_arguments_of_a_hostcall_are_noticed() {
    mod swapped {
        use crate::hostcall::{HostcallType, define_hostcalls};
        define_hostcalls! {
            /// From `dst` to `src`.
            MemoryCopy memory_copy(dst_memory: I32, src_memory: I32, src: I64, dst: I64, len: I64);
        }
        pub(super) const COPY: &str = SIGNATURES[0].name;
    }
    let mut items = crate::hostcall::SIGNATURES.to_vec();
    let copy = items.iter_mut().find(|item| item.name.starts_with("memory_copy ")).unwrap();
    assert_eq!(copy.name.len(), swapped::COPY.len());
    copy.name = swapped::COPY;
    assert_notices_list("hostcalls", items.leak());
}

#[test]
fn another_order_of_trap_codes_is_noticed() {
    mod swapped {
        crate::trap::trap_codes! {
            /// Its number was the second one's.
            Unreachable = 2, "unreachable";
            /// Its number was the first one's.
            MemoryOutOfBounds = 1, "out of bounds memory access";
        }
    }
    let mut items = swapped::CODES.to_vec();
    items.extend(&crate::trap::CODES[2..]);
    assert_notices_list("trap codes", items.leak());
}

/// Every list, with two neighbours swapped, and every item with another name or number.
#[test]
fn changed_lists_are_noticed() {
    for list in ABI.lists {
        assert!(list.items.len() > 1, "{}", list.name);
        for index in 0..list.items.len() {
            let mut renamed = list.items.to_vec();
            renamed[index].name = "another";
            assert_notices_list(list.name, renamed.leak());
            let mut renumbered = list.items.to_vec();
            renumbered[index].number += 1;
            assert_notices_list(list.name, renumbered.leak());
            if index > 0 {
                let mut swapped = list.items.to_vec();
                (swapped[index].name, swapped[index - 1].name) =
                    (swapped[index - 1].name, swapped[index].name);
                assert_notices_list(list.name, swapped.leak());
            }
        }
    }
}

/// A struct that is declared without the macro would be described by nobody.
#[test]
fn shared_structs_are_declared_by_the_macro() {
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut with_layout = BTreeSet::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if std::fs::read_to_string(&path).unwrap().contains("#[repr(C)]\n") {
            with_layout.insert(path.file_name().unwrap().to_owned());
        }
    }
    let macros = Path::new(file!()).with_file_name("mod.rs");
    assert_eq!(Vec::from_iter(with_layout), [macros.file_name().unwrap()]);
}

#[test]
fn names_of_records_and_lists_are_theirs_alone() {
    let records = ABI.records.iter().copied().flatten().map(|record| record.name);
    let names: Vec<&str> = records.chain(ABI.lists.iter().map(|list| list.name)).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    let offset = declared("FuncImport").fields[1].offset;
    assert_eq!(offset, core::mem::offset_of!(FuncImport, base) as i64);
    assert_eq!(declared("HostContext").bytes, size_of::<HostContext>());
}
