//! An editor with a plug-in: the editor calls `run`, the plug-in calls the editor, which calls the
//! plug-in back for each line. `embed-plugin FILE.wasm` takes another plug-in.

use std::time::{Duration, Instant};
use wfaas_vm::{BoxError, Caller, Config, Engine, Func, Linker, Module, Store};

/// The data of the plug-in's store. It lasts, unlike a request's.
struct Editor {
    lines: Vec<String>,
    marked: Option<usize>,
}

/// Calls `visit` with the number and the length of each line.
fn each_line(mut caller: Caller<'_, Editor>, visit: Option<Func>) -> Result<(), BoxError> {
    let visit = visit.ok_or("null in place of a function")?.typed::<(u32, u32), ()>(&mut caller)?;
    for number in 0..caller.data().lines.len() {
        let length = caller.data().lines[number].len();
        visit.call(&mut caller, (number as u32, length as u32))?;
    }
    Ok(())
}

/// Marks a line, if there is one with this number.
fn mark(mut caller: Caller<'_, Editor>, line: u32) -> Result<(), BoxError> {
    let editor = caller.data_mut();
    editor.lines.get(line as usize).ok_or_else(|| format!("there is no line {line}"))?;
    editor.marked = Some(line as usize);
    Ok(())
}

fn main() -> Result<(), BoxError> {
    let plugin = match std::env::args_os().nth(1) {
        Some(path) => std::fs::read(path)?,
        None => include_bytes!("plugin.wat").to_vec(),
    };
    let built = wfaas_build::build(&plugin, &Default::default(), &Default::default(), &())?;
    let engine = Engine::new(Config::default())?;
    let module = Module::from_bytes(&engine, &built.artifact)?;
    let mut linker = Linker::<Editor>::new(&engine);
    linker.func_wrap("editor", "each_line", each_line);
    linker.func_wrap("editor", "mark", mark);

    let lines = ["a line", "a longer line", "the end"].map(str::to_owned).to_vec();
    let mut store = Store::new(&engine, Editor { lines, marked: None });
    let instance = linker.instantiate(&mut store, &module)?;
    let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
    store.set_deadline(Some(Instant::now() + Duration::from_secs(1)));
    run.call(&mut store, ())?;

    let Editor { lines, marked } = store.data();
    for (number, line) in lines.iter().enumerate() {
        println!("{} {line}", if *marked == Some(number) { ">" } else { " " });
    }
    Ok(())
}
