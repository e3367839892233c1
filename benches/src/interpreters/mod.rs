//! `interpreters`: a script of 1 KB, executed by an interpreter that nobody else has used: from a new process,
//! from the interpreter's start in an instance, and from where it waits for its script.

mod peer;
mod wasi;

use crate::big;
use crate::child::{self, Who};
use crate::report::{Row, measure_in};
use crate::timing::{SINGLE, interleave};
use peer::Peer;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wfaas_build::{Init, Options as BuildOptions, Until};
use wfaas_function::{ByteSize, Limits as SpecLimits, Spec};
use wfaas_sandbox::{Exit, Limits, Options, Sandbox};
use wfaas_vm::{Config, Engine, Module};

/// The program of the interpreter: executes its standard input. Something small runs before.
const PROGRAM: &str = "import os, sys, json, math, re, io, collections, heapq\n\
    exec(compile('x = [str(n) for n in range(9)]', 'warm', 'exec'), {})\n\
    pieces = []\n\
    while piece := os.read(0, 65536): pieces.append(piece)\n\
    exec(compile(b''.join(pieces), 'script', 'exec'), {})\n\
    sys.stdout.flush()\n\
    os._exit(0)\n";

/// The output of [`script`].
const EXPECTED: &str = "[[\"word7\", 4], [\"word0\", 3], [\"word1\", 3]] 328350\n";

/// A script of about 1 KB, as a model writes them.
fn script() -> String {
    let code = "counts = collections.Counter()\n\
        for number in [7, 0, 1, 7, 0, 1, 7, 0, 1, 7]:\n    counts[f'word{number}'] += 1\n\
        def squares(most):\n    return sum(number * number for number in range(most))\n\
        print(json.dumps(counts.most_common(3)), squares(100))\n";
    let imports = "import collections, json\n";
    let comment = "# This line is here because people and models explain what they do.\n";
    let mut text = imports.to_owned();
    while text.len() + code.len() < 1024 {
        text += comment;
    }
    text + code
}

/// Scripts of ours that make the percentiles of `python_continued_alone`.
const ALONE: usize = 1000;

/// The interpreter as each side needs it, compiled.
struct Files {
    /// Ours: each instance starts it.
    start: PathBuf,
    /// Ours: each instance goes on where it waits for its script.
    waiting: PathBuf,
    /// The peer's, for a pool.
    pooled: PathBuf,
    /// The peer's, for one instance in a process.
    process: PathBuf,
}

impl Files {
    /// The files of an interpreter, kept beside this executable.
    fn of(wasm: &[u8]) -> anyhow::Result<Files> {
        let mut key = DefaultHasher::new();
        (wasm, PROGRAM).hash(&mut key);
        let key = key.finish();
        let kept = |kind: &str, make: &dyn Fn() -> anyhow::Result<Vec<u8>>| {
            big::kept(&format!("python-{key:016x}-{kind}"), make)
        };
        Ok(Files {
            start: kept("start.faas", &|| artifact(wasm, None))?,
            waiting: kept("waiting.faas", &|| artifact(wasm, Some(Until::Stdin)))?,
            pooled: kept("pooled.cwasm", &|| Peer::precompile_for_pool(wasm))?,
            process: kept("process.cwasm", &|| Peer::precompile(wasm))?,
        })
    }
}

/// Measures with the interpreter in this file, CPython for WASI with its library inside.
pub(crate) fn run(interpreter: &Path, rounds: usize) -> anyhow::Result<Vec<Row>> {
    let files = Files::of(&std::fs::read(interpreter)?)?;
    let peer = Peer::pooled(&files.pooled)?;
    let mut rows = Vec::new();
    for (name, file) in [("python_start", &files.start), ("python_continued", &files.waiting)] {
        eprintln!("measuring {name}");
        let ours = sandbox(file)?;
        rows.push(measure_in(
            SINGLE,
            name,
            rounds,
            &mut |count| (0..count).try_for_each(|_| execute(&ours)),
            &mut |count| (0..count).try_for_each(|_| check(&peer.run(script().as_bytes())?)),
        )?);
    }
    eprintln!("measuring python_continued_alone");
    let ours = sandbox(&files.waiting)?;
    let mut times =
        interleave(ALONE, SINGLE, &mut [&mut |count| (0..count).try_for_each(|_| execute(&ours))])?;
    rows.push(Row::alone("python_continued_alone", &times.remove(0)));
    eprintln!("measuring python_process");
    let child = |who: Who, file: &PathBuf| -> anyhow::Result<()> {
        let file = file.to_str().unwrap_or_default();
        check(child::run(&["interpret-once", who.name(), file])?.as_bytes())
    };
    rows.push(measure_in(
        SINGLE,
        "python_process",
        rounds,
        &mut |count| (0..count).try_for_each(|_| child(Who::Ours, &files.waiting)),
        &mut |count| (0..count).try_for_each(|_| child(Who::Peer, &files.process)),
    )?);
    Ok(rows)
}

/// In a child: executes the script once, and prints its output.
pub(crate) fn once(who: Who, file: &Path) -> anyhow::Result<()> {
    let output = match who {
        Who::Ours => sandbox(file)?.run(script())?.stdout,
        Who::Peer => Peer::of_file(file)?.run(script().as_bytes())?,
        Who::Nobody => EXPECTED.as_bytes().to_vec(),
    };
    print!("{}", String::from_utf8(output)?);
    Ok(())
}

fn artifact(wasm: &[u8], until: Option<Until>) -> anyhow::Result<Vec<u8>> {
    let args = arguments();
    let limits = SpecLimits { memory: Some(ByteSize(128 << 20)), ..SpecLimits::default() };
    let spec = Spec { args, limits, ..Spec::default() };
    let init = Some(Init { until, ..Init::default() });
    let options = BuildOptions { init, ..BuildOptions::default() };
    Ok(wfaas_build::build(wasm, &spec, &options, &())?.artifact)
}

fn arguments() -> Vec<String> {
    ["-I", "-c", PROGRAM].map(str::to_owned).to_vec()
}

fn sandbox(file: &Path) -> anyhow::Result<Sandbox> {
    let engine = Engine::new(Config::default())?;
    let module = Module::from_file(&engine, file)?;
    let (memory, cpu) = (128 << 20, Duration::from_secs(60));
    let limits = Limits { memory, cpu, time: cpu, ..Limits::default() };
    let options = Options { limits, args: arguments(), ..Options::default() };
    Ok(Sandbox::new(&engine, &module, options)?)
}

fn execute(sandbox: &Sandbox) -> anyhow::Result<()> {
    let output = sandbox.run(script())?;
    anyhow::ensure!(output.exit == Exit::Code(0), "{:?}", output.exit);
    check(&output.stdout)
}

fn check(output: &[u8]) -> anyhow::Result<()> {
    anyhow::ensure!(output == EXPECTED.as_bytes(), "{:?}", String::from_utf8_lossy(output));
    Ok(())
}
