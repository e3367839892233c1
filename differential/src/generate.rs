//! From a seed to a module.

use crate::random::Random;
use wasm_smith::Config;
use wfaas_abi::BoundsStrategy;
use wfaas_compiler::Passes;

/// Calls, loop rounds and bytes of bulk operations an instance may spend before it traps.
/// Recursion this deep fits the stacks of both engines.
const FUEL: u32 = 4000;

/// Largest memory of a module, in bytes: comparing takes time in proportion.
const MAX_MEMORY_BYTES: u32 = 1 << 20;

/// How often a seed's bytes are drawn anew before it has no module.
const TRIES: usize = 8;

/// What modules may import: functions that return fixed values.
const IMPORTS: &str = r#"(module
    (import "host" "nothing" (func))
    (import "host" "note" (func (param i32 i64 f32 f64)))
    (import "host" "i32" (func (param i32) (result i32)))
    (import "host" "i64" (func (param i64 i32) (result i64)))
    (import "host" "f32" (func (result f32)))
    (import "host" "f64" (func (param f64) (result f64)))
    (import "host" "two" (func (param f32) (result i64 i32))))"#;

/// A proposal that modules may use.
#[derive(Debug)]
pub struct Feature {
    /// As on the command line.
    pub name: &'static str,
    /// Whether the peer has it.
    pub peer: bool,
    /// A module that needs it.
    probe: &'static str,
    set: fn(&mut Config),
}

/// All of them; what version 2.0 has besides SIMD is always on.
pub const FEATURES: &[Feature] = &[
    Feature {
        name: "simd",
        peer: true,
        probe: "(module (func (result v128) v128.const i64x2 0 0))",
        set: |config| config.simd_enabled = true,
    },
    Feature {
        name: "tail-call",
        peer: true,
        probe: "(module (func $f return_call $f))",
        set: |config| config.tail_call_enabled = true,
    },
    Feature {
        name: "extended-const",
        peer: true,
        probe: "(module (global i32 (i32.add (i32.const 1) (i32.const 1))))",
        set: |config| config.extended_const_enabled = true,
    },
    Feature {
        name: "memory64",
        peer: true,
        probe: "(module (memory i64 1))",
        set: |config| config.memory64_enabled = true,
    },
    Feature {
        name: "multi-memory",
        peer: true,
        probe: "(module (memory 1) (memory 1))",
        set: |config| config.max_memories = 3,
    },
    Feature {
        name: "wide-arithmetic",
        peer: true,
        probe: "(module (func (param i64) (result i64 i64)
            (i64.mul_wide_s (local.get 0) (local.get 0))))",
        set: |config| config.wide_arithmetic_enabled = true,
    },
    Feature {
        name: "exceptions",
        peer: false,
        probe: "(module (tag $t) (func (throw $t)))",
        set: |config| config.exceptions_enabled = true,
    },
    Feature {
        name: "threads",
        peer: false,
        probe: "(module (memory 1 1 shared))",
        set: |config| config.threads_enabled = true,
    },
];

impl Feature {
    /// Whether the compiler has it.
    pub fn accepted(&self) -> bool {
        wfaas_compiler::compile(self.probe.as_bytes(), &Default::default()).is_ok()
    }
}

/// What to choose from, for each module.
#[derive(Debug, Clone)]
pub struct Choice {
    features: Vec<&'static Feature>,
    pub(crate) strategies: Vec<BoundsStrategy>,
    /// The pass that is left out, "" for none; if not given, the seed says which.
    pub(crate) without_pass: Option<&'static str>,
}

impl Choice {
    /// Everything the compiler accepts.
    pub fn all() -> Choice {
        Choice {
            features: FEATURES.iter().filter(|feature| feature.accepted()).collect(),
            strategies: BoundsStrategy::ALL.to_vec(),
            without_pass: None,
        }
    }

    /// The same with this bounds strategy alone.
    pub fn with_bounds(self, strategy: BoundsStrategy) -> Choice {
        Choice { strategies: vec![strategy], ..self }
    }

    /// The same with all passes but this one, or with all of them for "".
    ///
    /// # Panics
    /// If there is no pass of that name.
    pub fn without_pass(self, name: &'static str) -> Choice {
        assert!(name.is_empty() || Passes::names().any(|pass| pass == name), "no pass {name}");
        Choice { without_pass: Some(name), ..self }
    }

    /// Only these features.
    ///
    /// # Errors
    /// The first name that is unknown, or not accepted by the compiler, with those that are.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Choice, String> {
        let all = Choice::all();
        let find = |name| {
            let found = all.features.iter().find(|feature| feature.name == name).copied();
            found.ok_or_else(|| format!("no feature \"{name}\"; there are: {}", all.names()))
        };
        let features = names.into_iter().map(find).collect::<Result<_, _>>()?;
        Ok(Choice { features, ..all })
    }

    /// The names of the features, separated by commas.
    pub fn names(&self) -> String {
        self.features.iter().map(|feature| feature.name).collect::<Vec<_>>().join(",")
    }
}

/// A module and what is needed to run it.
#[derive(Debug, Clone)]
pub struct Generated {
    /// The binary.
    pub wasm: Vec<u8>,
    /// Whether the peer has all it may use.
    pub peer: bool,
}

/// The module of a seed; `None` if nothing came of it.
pub fn module(seed: u64, choice: &Choice) -> Option<Generated> {
    let mut random = Random::new(seed);
    // The generator gives up on some bytes.
    let tries = std::iter::repeat_with(|| {
        let length = 4096 << random.below(5);
        from_bytes(&random.bytes(length), seed, choice)
    });
    tries.take(TRIES).flatten().next()
}

/// The module that `bytes` describe, with features and sizes that depend on `seed`.
pub fn from_bytes(bytes: &[u8], seed: u64, choice: &Choice) -> Option<Generated> {
    let mut random = Random::new(!seed);
    let mut config = base(&mut random);
    let mut peer = true;
    for feature in &choice.features {
        // Without the peer half of the judgement is lost: rarer.
        if random.coin() && (feature.peer || random.coin()) {
            (feature.set)(&mut config);
            peer &= feature.peer;
        }
    }
    let mut unstructured = arbitrary::Unstructured::new(bytes);
    let mut module = wasm_smith::Module::new(config, &mut unstructured).ok()?;
    module.ensure_termination(FUEL).ok()?;
    Some(Generated { wasm: module.to_bytes(), peer })
}

/// Version 2.0 without SIMD.
fn base(random: &mut Random) -> Config {
    let imports = random.coin();
    let mut config = Config {
        available_imports: imports.then(|| wat::parse_str(IMPORTS).expect("valid text")),
        canonicalize_nans: true,
        disallow_traps: random.coin(),
        export_everything: true,
        allow_start_export: random.coin(),
        // The generator flips a coin for each more than the least: without that, most modules
        // would be empty.
        min_types: 4,
        max_types: 20,
        max_type_size: 10_000,
        min_funcs: 4,
        max_funcs: 4 + random.below(12),
        max_instructions: 20 << random.below(6),
        min_globals: 2,
        max_globals: 12,
        min_memories: u32::from(random.below(8) != 0),
        max_memories: 1,
        min_tables: u32::from(random.coin()),
        max_tables: 3,
        min_data_segments: random.below(2),
        min_element_segments: 0,
        max_imports: if imports { 6 } else { 0 },
        max_data_segments: 6,
        max_element_segments: 6,
        max_elements: 20,
        max_memory32_bytes: MAX_MEMORY_BYTES.into(),
        max_memory64_bytes: MAX_MEMORY_BYTES.into(),
        memory_max_size_required: true,
        max_table_elements: 200,
        table_max_size_required: true,
        ..Config::default()
    };
    for off in [
        &mut config.exceptions_enabled,
        &mut config.gc_enabled,
        &mut config.compact_imports_enabled,
        &mut config.memory64_enabled,
        &mut config.simd_enabled,
        &mut config.relaxed_simd_enabled,
        &mut config.tail_call_enabled,
        &mut config.threads_enabled,
        &mut config.wide_arithmetic_enabled,
        &mut config.extended_const_enabled,
    ] {
        *off = false;
    }
    config
}
