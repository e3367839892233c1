//! `wasi:random@0.3`, which has the functions of 0.2.

use crate::preview2::{Function, Interface, random};

pub(super) const RANDOM: Interface = Interface {
    name: "wasi:random/random@0.3",
    functions: &[
        Function { name: "get-random-bytes", call: random::bytes },
        Function { name: "get-random-u64", call: random::number },
    ],
};

pub(super) const INSECURE: Interface = Interface {
    name: "wasi:random/insecure@0.3",
    functions: &[
        Function { name: "get-insecure-random-bytes", call: random::bytes },
        Function { name: "get-insecure-random-u64", call: random::number },
    ],
};

pub(super) const INSECURE_SEED: Interface = Interface {
    name: "wasi:random/insecure-seed@0.3",
    functions: &[Function { name: "get-insecure-seed", call: random::seed }],
};
