//! `load`: from a file to a module, and from nothing to the first result.

use crate::big::{self, Files};
use crate::child::{self, Who};
use crate::peer::{Peer, Requests, deserialize, one_shot_engine};
use crate::report::{Row, measure_in};
use crate::timing::SINGLE;
use std::path::Path;
use wfaas_vm::{Config, Engine, Linker, Module, Store};

/// Measures a small and a big module.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let (small, big) = (big::small_files()?, big::files()?);
    let mut rows = Vec::new();
    for (name, files) in [("small", &small), ("big", &big)] {
        let name = format!("load {name}, {}", bytes(&files.ours)?);
        rows.push(load(&name, files, rounds)?);
    }
    rows.push(process("process, nothing", Who::Nobody, Who::Nobody, &small, rounds)?);
    rows.push(process("process, small", Who::Ours, Who::Peer, &small, rounds)?);
    rows.push(process("process, big", Who::Ours, Who::Peer, &big, rounds)?);
    Ok(rows)
}

/// Loads and drops a module in this process.
fn load(name: &str, files: &Files, rounds: usize) -> anyhow::Result<Row> {
    let engine = Engine::new(Config::default())?;
    let peer_engine = one_shot_engine()?;
    let mut ours = |count| {
        for _ in 0..count {
            drop(Module::from_file(&engine, &files.ours)?);
        }
        Ok(())
    };
    let mut peer = |count| {
        for _ in 0..count {
            drop(deserialize(&peer_engine, &files.peer)?);
        }
        Ok(())
    };
    measure_in(SINGLE, name, rounds, &mut ours, &mut peer)
}

/// Starts a process that loads a module, calls it and ends.
fn process(name: &str, ours: Who, peer: Who, files: &Files, rounds: usize) -> anyhow::Result<Row> {
    let start = |who: Who| {
        let file = if who == Who::Peer { &files.peer } else { &files.ours };
        let file = file.to_str().expect("the bench's own files have names in UTF-8");
        child::run(&["first-result", who.name(), file])
    };
    let (first, second) = (start(ours)?, start(peer)?);
    anyhow::ensure!(first == second, "{name}: {first:?} and {second:?}");
    let repeat = |who: Who, count: u64| {
        for _ in 0..count {
            let result = start(who)?;
            anyhow::ensure!(result == first, "{name}: {result:?} instead of {first:?}");
        }
        Ok(())
    };
    measure_in(SINGLE, name, rounds, &mut |count| repeat(ours, count), &mut |count| {
        repeat(peer, count)
    })
}

/// The hidden command: loads the module, calls `run`, and prints the result.
pub(crate) fn first_result(who: Who, file: &Path) -> anyhow::Result<()> {
    match who {
        Who::Nobody => return Ok(()),
        Who::Ours => {
            let engine = Engine::new(Config::default())?;
            let module = Module::from_file(&engine, file)?;
            let mut store = Store::new(&engine, ());
            let instance = Linker::<()>::new(&engine).instantiate(&mut store, &module)?;
            let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
            println!("{}", run.call(&mut store, 5)?);
        }
        Who::Peer => {
            let engine = one_shot_engine()?;
            let module = deserialize(&engine, file)?;
            println!("{}", Peer::of_module(engine, &module)?.request(5)?);
        }
    }
    Ok(())
}

fn bytes(file: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::metadata(file)?.len();
    Ok(match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    })
}
