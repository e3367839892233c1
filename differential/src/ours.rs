//! Running guests in wfaas.

use crate::build::Build;
use crate::exports::Exports;
use crate::guest::{Ending, Guest, Host, Kind, State, Value, fixed};
use std::time::{Duration, Instant};
use wfaas_abi::TrapCode;
use wfaas_vm::{
    Config, Engine, Error, Extern, ExternType, Faaslet, Instance, Linker, Module, Store, Val,
};

/// Far more than fuel allows: only a bug runs into it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Bytes of stack.
const STACK: usize = 8 << 20;

/// A loaded artifact.
pub(crate) struct Loaded {
    engine: Engine,
    pub(crate) build: Build,
    pub(crate) module: Module,
}

impl Loaded {
    /// Loads an artifact that was built like that in an engine with room for the recursion that fuel allows.
    ///
    /// # Errors
    /// If the VM does not take it.
    pub(crate) fn new(artifact: &[u8], build: Build) -> Result<Loaded, Error> {
        let engine = Engine::new(Config { stack_bytes: STACK, ..Config::default() })?;
        let module = Module::from_bytes(&engine, artifact)?;
        Ok(Loaded { engine, build, module })
    }

    /// Another artifact in the same engine.
    ///
    /// # Errors
    /// If the VM does not take it.
    pub(crate) fn other(&self, artifact: &[u8]) -> Result<Loaded, Error> {
        let module = Module::from_bytes(&self.engine, artifact)?;
        Ok(Loaded { engine: self.engine.clone(), module, ..*self })
    }

    /// Instantiates in a store of its own; the error is how that ended.
    pub(crate) fn instantiate(&self, host: Host) -> Result<Live, Ending> {
        let mut store = Store::new(&self.engine, host);
        store.set_deadline(Some(Instant::now() + DEADLINE));
        let instance = self.linker().instantiate(&mut store, &self.module);
        instance.map(|instance| Live { store, instance }).map_err(|error| failed(&error))
    }

    /// A linker with the functions that the module imports.
    pub(crate) fn linker(&self) -> Linker<Host> {
        let mut linker: Linker<Host> = Linker::new(&self.engine);
        for (from, name, ty) in self.module.imports() {
            let ExternType::Func(ty) = ty else { continue };
            let noted = name.to_owned();
            linker.func_new(from, name, ty, move |mut caller, arguments, results| {
                let arguments: Vec<Value> = arguments.iter().map(value).collect();
                caller.data_mut().note(&noted, &arguments);
                for result in results {
                    *result = val(fixed(value(result)), result);
                }
                Ok(())
            });
        }
        linker
    }
}

/// An instance and its store.
pub(crate) struct Live {
    pub(crate) store: Store<Host>,
    pub(crate) instance: Instance,
}

impl Guest for Live {
    fn call(&mut self, function: &str, arguments: &[Value]) -> Ending {
        call(&mut self.store, self.instance, function, arguments)
    }

    fn state(&mut self, exports: &Exports) -> State {
        state(&mut self.store, self.instance, exports)
    }
}

impl Guest for Faaslet<'_, Host> {
    fn call(&mut self, function: &str, arguments: &[Value]) -> Ending {
        let instance = self.instance();
        call(self.store(), instance, function, arguments)
    }

    fn state(&mut self, exports: &Exports) -> State {
        let instance = self.instance();
        state(self.store(), instance, exports)
    }
}

fn call(
    store: &mut Store<Host>,
    instance: Instance,
    function: &str,
    arguments: &[Value],
) -> Ending {
    store.set_deadline(Some(Instant::now() + DEADLINE));
    let Some(func) = instance.get_func(store, function) else {
        return Ending::Other(format!("no function \"{function}\""));
    };
    let ty = func.ty(store);
    let shapes = ty.params().iter().map(|ty| Val::default_of(*ty));
    let arguments: Vec<Val> =
        arguments.iter().zip(shapes).map(|(value, shape)| val(*value, &shape)).collect();
    match func.call(store, &arguments) {
        Ok(results) => Ending::Returned(results.iter().map(value).collect()),
        Err(error) => failed(&error),
    }
}

fn state(store: &mut Store<Host>, instance: Instance, exports: &Exports) -> State {
    let find = |store: &mut Store<Host>, name: &String| instance.get_export(store, name);
    let globals = exports.globals.iter().map(|name| {
        let global = find(store, name).and_then(Extern::into_global);
        let found = global.and_then(|global| global.get(&*store).ok());
        value(&found.expect("an exported global"))
    });
    let globals = globals.collect();
    let tables = exports.tables.iter().map(|name| {
        let table = find(store, name).and_then(Extern::into_table).expect("an exported table");
        let element = |at| table.get(&*store, at).ok().flatten().expect("in bounds");
        (0..table.size(&*store)).map(|at| value(&element(at)) == NULL).collect()
    });
    let tables = tables.collect();
    let memories = exports.memories.iter().map(|name| {
        let memory = find(store, name).and_then(Extern::into_memory);
        // Shared memories change under everybody's hands and are not looked at.
        memory.map_or(Vec::new(), |memory| memory.data(&*store).to_vec())
    });
    let memories = memories.collect();
    State { globals, tables, memories, host: store.data().clone() }
}

const NULL: Value = Value::Reference { null: true };

fn value(val: &Val) -> Value {
    match val {
        Val::I32(bits) => Value::I32(*bits as u32),
        Val::I64(bits) => Value::I64(*bits as u64),
        Val::F32(bits) => Value::F32(*bits),
        Val::F64(bits) => Value::F64(*bits),
        Val::V128(bits) => Value::V128(*bits),
        other => Value::Reference { null: other.is_null() },
    }
}

/// A value of the type of `shape`; references are those of `shape`.
fn val(value: Value, shape: &Val) -> Val {
    match value {
        Value::I32(bits) => Val::I32(bits as i32),
        Value::I64(bits) => Val::I64(bits as i64),
        Value::F32(bits) => Val::F32(bits),
        Value::F64(bits) => Val::F64(bits),
        Value::V128(bits) => Val::V128(bits),
        Value::Reference { .. } => shape.clone(),
    }
}

fn failed(error: &Error) -> Ending {
    let Some(trap) = error.trap() else {
        let text = error.to_string();
        return Ending::Other(text.lines().next().unwrap_or_default().to_owned());
    };
    Ending::Trapped(match trap.code {
        TrapCode::Unreachable => Kind::Unreachable,
        TrapCode::MemoryOutOfBounds => Kind::MemoryBounds,
        TrapCode::TableOutOfBounds | TrapCode::UndefinedElement => Kind::TableBounds,
        TrapCode::UninitializedElement => Kind::NullCall,
        TrapCode::IndirectCallTypeMismatch => Kind::Signature,
        TrapCode::IntegerDivideByZero => Kind::DivideByZero,
        TrapCode::IntegerOverflow => Kind::Overflow,
        TrapCode::InvalidConversionToInteger => Kind::Conversion,
        TrapCode::StackOverflow => Kind::Stack,
        other => return Ending::Other(other.message().to_owned()),
    })
}
