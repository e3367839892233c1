//! The agreements between the compiler and the VM of wfaas, and nothing else.
//!
//! * a **slot** is an address-space reservation; [`layout`] draws it and gives its constants;
//! * **state** is everything of an instance but its linear memory (globals, tables, sizes), at
//!   constant negative offsets from *BASE*, the address of linear memory 0; see [`state`];
//! * the **host context** holds the absolute pointers compiled code needs; see [`context`];
//! * a [`FuncRef`] is a function reference as eight bytes of plain data;
//! * a [`TrapCode`] is the reason for which guest code stopped; [`hostcall`] lists the calls that it
//!   may make to the VM;
//! * an [`Artifact`] is a compiled module; [`artifact`] has its format, writer and reader;
//! * the [`component`] bindings of an artifact say how its module speaks the canonical ABI;
//! * the [`checkpoint`] of an artifact has everything outside of its memory that a program that waits has;
//! * text that is [`untrusted`] is escaped and bounded before anybody sees it;
//! * the [`description`] of all this is `layout.txt`, and its hash the [`fingerprint`].
//!
//! Everything here encodes, decodes or looks up. There is no I/O and no unsafe code.
//!
//! ```
//! use wfaas_abi::FuncRef;
//!
//! let add_one = FuncRef::new(0x40, FuncRef::type_id(0));
//! assert!(!add_one.is_null());
//! assert_eq!(FuncRef::from_bits(add_one.to_bits()), add_one);
//! assert!(FuncRef::NULL.is_null());
//! ```
#![forbid(unsafe_code)]

pub mod artifact;
pub mod bounds;
pub mod checkpoint;
pub mod component;
pub mod context;
pub mod continuation;
pub mod cpu;
pub mod description;
pub mod fingerprint;
pub mod funcref;
pub mod hostcall;
pub mod image;
pub mod layout;
pub mod memories;
pub mod state;
pub mod trap;
pub mod types;
pub mod untrusted;

pub use artifact::{Artifact, ArtifactError};
pub use bounds::{BoundsStats, BoundsStrategy, CheckFate};
pub use funcref::FuncRef;
pub use hostcall::Hostcall;
pub use trap::TrapCode;
pub use types::{FuncType, HeapType, RefType, TypeHash, ValType};
