//! A big module, the same every time, and the files both sides load it from.

use crate::peer;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::time::Instant;
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, Function, FunctionSection,
    MemArg, MemArgTarget, MemorySection, MemoryType, Module, TypeSection, ValType,
};

/// Functions of the big module.
const FUNCTIONS: u32 = 20_000;

/// Operations of each.
const OPERATIONS: u32 = 60;

/// What the artifact has at least.
const ARTIFACT_BYTES: u64 = 20 << 20;

/// One module, compiled by both sides.
pub(crate) struct Files {
    pub(crate) ours: PathBuf,
    pub(crate) peer: PathBuf,
}

/// The big module's files beside this executable, compiled if they are older than it.
pub(crate) fn files() -> anyhow::Result<Files> {
    let files = made("big", wasm)?;
    let bytes = std::fs::metadata(&files.ours)?.len();
    anyhow::ensure!(bytes >= ARTIFACT_BYTES, "the artifact has only {bytes} bytes");
    Ok(files)
}

/// The files of a module of a few bytes.
pub(crate) fn small_files() -> anyhow::Result<Files> {
    let text = r#"(module (memory 1) (func (export "run") (param i32) (result i32)
        (i32.store (i32.const 0) (local.get 0)) (i32.add (local.get 0) (i32.const 1))))"#;
    made("small", || wat::parse_str(text).expect("a module"))
}

fn made(name: &str, wasm: impl Fn() -> Vec<u8>) -> anyhow::Result<Files> {
    let ours = kept(&format!("{name}.faas"), || {
        Ok(wfaas_compiler::compile(&wasm(), &Default::default())?.artifact)
    })?;
    let peer =
        kept(
            &format!("{name}.cwasm"),
            || Ok(peer::one_shot_engine()?.precompile_module(&wasm())?),
        )?;
    Ok(Files { ours, peer })
}

/// The file `name` in a folder beside this executable; made, if it is older than the executable.
pub(crate) fn kept(
    name: &str,
    make: impl FnOnce() -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let folder =
        executable.parent().context("an executable is in a folder")?.join("wfaas-bench-data");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(name);
    if !is_newer(&file, &executable)? {
        eprintln!("compiling {name}");
        let started = Instant::now();
        // Whole or not there, should somebody end this in the middle.
        let unfinished = folder.join(format!("{name}.{}", std::process::id()));
        std::fs::write(&unfinished, make()?)?;
        std::fs::rename(&unfinished, &file)?;
        eprintln!("compiled {name} in {:.1} s", started.elapsed().as_secs_f64());
    }
    Ok(file)
}

fn is_newer(file: &Path, than: &Path) -> anyhow::Result<bool> {
    let Ok(metadata) = std::fs::metadata(file) else { return Ok(false) };
    Ok(metadata.modified()? > std::fs::metadata(than)?.modified()?)
}

fn wasm() -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], [ValType::I32]);
    let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
    let mut random = Random(1);
    for index in 0..FUNCTIONS {
        functions.function(0);
        code.function(&function(index, &mut random));
    }
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 16,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    exports.export("run", ExportKind::Func, FUNCTIONS - 1);
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(0), (0..1 << 20).map(|_| random.below(256) as u8));
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memories).section(&exports);
    module.section(&code).section(&data);
    module.finish()
}

/// A chain of operations on the argument and on memory; the last function calls some others.
fn function(index: u32, random: &mut Random) -> Function {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    for step in 0..OPERATIONS {
        let offset = u64::from(random.below(1 << 19)) & !3;
        let word = MemArg { offset, align: 2, target: MemArgTarget::Memory(0), ordering: None };
        code.local_get(0).i32_const(random.below(1 << 19) as i32).i32_and();
        match random.below(4) {
            0 => code.i32_load(word).local_get(0).i32_add().local_set(0),
            1 => code.local_get(0).i32_store(word),
            2 => code.i32_const(random.below(1 << 30) as i32).i32_mul().local_set(0),
            _ => code.i32_const(random.below(31) as i32).i32_rotl().local_set(0),
        };
        if index == FUNCTIONS - 1 && step % 8 == 0 {
            code.local_get(0).call(step * 97).local_set(0);
        }
    }
    code.local_get(0).end();
    function
}

/// The generator of Knuth's MMIX.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as u32 % limit
    }
}
