//! A guest of a pool, which calls what it is told to.

use super::executor::block_on;
use super::exports::module_text;
use super::source::Source;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use wfaas_vm::{Config, Engine, Faaslet, Linker, Memory, Module, Pool, TrapCode};
use wfaas_wasi::preview1::{MODULE, UNSTABLE};
use wfaas_wasi::{Exit, HasWasi, Wasi, add_to_linker, add_to_linker_async};

/// Wasm pages of the guest's memory, and their bytes.
const PAGES: u64 = 4;
pub(crate) const MEMORY: u64 = PAGES * 65536;

/// Longest time of a call, if nobody says otherwise: some wait for what never comes.
const TIME: Duration = Duration::from_millis(15);

/// The data of a guest's store.
#[derive(Default)]
pub(crate) struct Data(Wasi);

impl HasWasi for Data {
    fn wasi(&mut self) -> &mut Wasi {
        &mut self.0
    }
}

/// How a guest calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Whether its imports are those of before preview1.
    pub(crate) unstable: bool,
    /// Whether it is suspended while it waits.
    pub(crate) suspends: bool,
}

impl Kind {
    pub(crate) fn choose(source: &mut Source<'_>) -> Kind {
        Kind { unstable: source.one_in(4), suspends: source.one_in(2) }
    }

    fn pool(self) -> &'static Pool<Data> {
        static POOLS: LazyLock<[Pool<Data>; 4]> = LazyLock::new(|| {
            [(false, false), (false, true), (true, false), (true, true)]
                .map(|(unstable, suspends)| pool(Kind { unstable, suspends }))
        });
        &POOLS[usize::from(self.unstable) * 2 + usize::from(self.suspends)]
    }
}

fn pool(kind: Kind) -> Pool<Data> {
    static ENGINE: LazyLock<Engine> =
        LazyLock::new(|| Engine::new(Config::default()).expect("an engine"));
    let text = module_text(if kind.unstable { UNSTABLE } else { MODULE }, PAGES);
    let compiled = wfaas_compiler::compile(text.as_bytes(), &Default::default());
    let artifact = compiled.expect("a module").artifact;
    let module = Module::from_bytes(&ENGINE, &artifact).expect("an artifact");
    let mut linker = Linker::new(&ENGINE);
    match kind.suspends {
        true => add_to_linker_async(&mut linker),
        false => add_to_linker(&mut linker),
    }
    Pool::new(&linker, &module).expect("a pool")
}

/// End of a call.
pub(crate) enum Ended {
    /// The function has answered.
    Answered(u16),
    /// The deadline has come, and the guest can go on.
    Late,
    /// The guest has exited, or is not there any more.
    Over,
}

pub(crate) struct Guest<'a> {
    faaslet: Faaslet<'a, Data>,
    memory: Memory,
    kind: Kind,
    /// Longest time of a call.
    pub(crate) time: Duration,
    /// Descriptors that it has opened.
    pub(crate) opened: Vec<u64>,
}

impl Guest<'_> {
    /// A guest from the pool of its kind.
    pub(crate) fn new(kind: Kind, wasi: Wasi) -> Guest<'static> {
        let mut faaslet = kind.pool().acquire(Data(wasi)).expect("a slot");
        let instance = faaslet.instance();
        let memory = instance.get_memory(faaslet.store(), "memory").expect("a memory");
        Guest { faaslet, memory, kind, time: TIME, opened: Vec::new() }
    }

    /// Takes note of what a function has opened or closed.
    pub(crate) fn succeeded(&mut self, function: &str, args: &[u64]) {
        match (function, args) {
            ("path_open" | "sock_accept", [.., result]) => {
                let number = self.get(*result, 4).try_into().map(u32::from_le_bytes);
                self.opened.extend(number.map(u64::from));
            }
            ("fd_close", [closed]) => self.opened.retain(|fd| fd != closed),
            ("fd_renumber", [from, to]) if from != to => self.opened.retain(|fd| fd != from),
            _ => {}
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Calls a function of preview1.
    pub(crate) fn call(&mut self, name: &str, args: &[u64]) -> Ended {
        for (index, arg) in args.iter().enumerate() {
            self.put(index as u64 * 8, &arg.to_le_bytes());
        }
        let (kind, deadline) = (self.kind, Instant::now() + self.time);
        let (instance, store) = (self.faaslet.instance(), self.faaslet.store());
        store.set_deadline(Some(deadline));
        let result = if name == "proc_exit" {
            let function = instance.get_typed_func::<(), ()>(&mut *store, name).expect("an export");
            function.call(&mut *store, ()).map(|()| 0)
        } else {
            let function =
                instance.get_typed_func::<(), i32>(&mut *store, name).expect("an export");
            match kind.suspends {
                true => block_on(function.call_async(&mut *store, ())),
                false => function.call(&mut *store, ()),
            }
        };
        match result {
            Ok(errno) => Ended::Answered(u16::try_from(errno).expect("an error number")),
            Err(error) => match error.trap() {
                Some(trap) if trap.code == TrapCode::DeadlineExceeded => Ended::Late,
                _ if error.downcast_ref::<Exit>().is_some() => Ended::Over,
                _ => panic!("{name} {args:?}: {error}"),
            },
        }
    }

    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = at as usize;
        let memory = self.memory.data_mut(self.faaslet.store());
        memory[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn get(&mut self, at: u64, len: usize) -> Vec<u8> {
        self.memory.data(self.faaslet.store())[at as usize..at as usize + len].to_vec()
    }

    /// Whether the bytes are anywhere in its memory.
    pub(crate) fn sees(&mut self, bytes: &[u8]) -> bool {
        let memory = self.memory.data(self.faaslet.store());
        memory.windows(bytes.len()).any(|window| window == bytes)
    }
}
