//! Running guests in wasmi.

use crate::exports::Exports;
use crate::guest::{Ending, Guest, Host, Kind, State, Value, fixed};
use wasmi::errors::{ErrorKind, InstantiationError, LinkerError};
use wasmi::{
    Config, Engine, Error, ExternType, Instance, Linker, Module, Ref, Store, TrapCode, V128, Val,
};

/// Calls deep that wasmi allows; fuel ends a guest before.
const DEPTH: usize = 100_000;

/// Bytes of wasmi's stack.
const STACK: usize = 64 << 20;

/// A module of the peer.
pub(crate) struct Peer {
    engine: Engine,
    module: Module,
}

impl Peer {
    /// Loads a module.
    ///
    /// # Errors
    /// What the peer says about it.
    pub(crate) fn new(wasm: &[u8]) -> Result<Peer, String> {
        let mut config = Config::default();
        config.set_max_stack_height(STACK).set_max_recursion_depth(DEPTH);
        config.wasm_wide_arithmetic(true);
        let engine = Engine::new(&config);
        let module = Module::new(&engine, wasm).map_err(|error| error.to_string())?;
        Ok(Peer { engine, module })
    }

    /// Instantiates; the error is how that ended.
    pub(crate) fn instantiate(&self) -> Result<Live, Ending> {
        let mut store = Store::new(&self.engine, Host::default());
        let linker = self.linker().map_err(Ending::Other)?;
        let instance = linker.instantiate_and_start(&mut store, &self.module);
        instance.map(|instance| Live { store, instance }).map_err(|error| failed(&error))
    }

    fn linker(&self) -> Result<Linker<Host>, String> {
        let mut linker = Linker::new(&self.engine);
        for import in self.module.imports() {
            let ExternType::Func(ty) = import.ty() else { continue };
            let noted = import.name().to_owned();
            let shapes: Vec<_> = ty.results().to_vec();
            let function = move |mut caller: wasmi::Caller<'_, Host>,
                                 arguments: &[Val],
                                 results: &mut [Val]| {
                let arguments: Vec<Value> = arguments.iter().map(value).collect();
                caller.data_mut().note(&noted, &arguments);
                for (result, ty) in results.iter_mut().zip(&shapes) {
                    let shape = Val::default(*ty);
                    *result = val(fixed(value(&shape)), &shape);
                }
                Ok(())
            };
            let (module, name, ty) = (import.module(), import.name(), ty.clone());
            // Modules may import the same thing several times.
            match linker.func_new(module, name, ty, function) {
                Ok(_) | Err(LinkerError::DuplicateDefinition { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(linker)
    }
}

/// An instance in a store of its own.
pub(crate) struct Live {
    store: Store<Host>,
    instance: Instance,
}

impl Guest for Live {
    fn call(&mut self, function: &str, arguments: &[Value]) -> Ending {
        let Some(func) = self.instance.get_func(&self.store, function) else {
            return Ending::Other(format!("no function \"{function}\""));
        };
        let ty = func.ty(&self.store);
        let shapes = ty.params().iter().map(|ty| Val::default(*ty));
        let arguments: Vec<Val> =
            arguments.iter().zip(shapes).map(|(value, shape)| val(*value, &shape)).collect();
        let mut results: Vec<Val> = ty.results().iter().map(|ty| Val::default(*ty)).collect();
        match func.call(&mut self.store, &arguments, &mut results) {
            Ok(()) => Ending::Returned(results.iter().map(value).collect()),
            Err(error) => failed(&error),
        }
    }

    fn state(&mut self, exports: &Exports) -> State {
        let Live { store, instance } = self;
        let globals = exports.globals.iter().map(|name| {
            value(&instance.get_global(&*store, name).expect("an exported global").get(&*store))
        });
        let tables = exports.tables.iter().map(|name| {
            let table = instance.get_table(&*store, name).expect("an exported table");
            let element = |at| table.get(&*store, at).expect("in bounds");
            (0..table.size(&*store)).map(|at| is_null(&element(at))).collect()
        });
        let memories = exports.memories.iter().map(|name| {
            let memory = instance.get_memory(&*store, name).expect("an exported memory");
            memory.data(&*store).to_vec()
        });
        State {
            globals: globals.collect(),
            tables: tables.collect(),
            memories: memories.collect(),
            host: store.data().clone(),
        }
    }
}

fn is_null(reference: &Val) -> bool {
    matches!(reference, Val::FuncRef(Ref::Null) | Val::ExternRef(Ref::Null))
}

fn value(val: &Val) -> Value {
    match val {
        Val::I32(bits) => Value::I32(*bits as u32),
        Val::I64(bits) => Value::I64(*bits as u64),
        Val::F32(bits) => Value::F32(bits.to_bits()),
        Val::F64(bits) => Value::F64(bits.to_bits()),
        Val::V128(bits) => Value::V128(bits.as_u128()),
        Val::FuncRef(reference) => Value::Reference { null: reference.is_null() },
        Val::ExternRef(reference) => Value::Reference { null: reference.is_null() },
    }
}

/// A value of the type of `shape`; references are those of `shape`.
fn val(value: Value, shape: &Val) -> Val {
    match value {
        Value::I32(bits) => Val::I32(bits as i32),
        Value::I64(bits) => Val::I64(bits as i64),
        Value::F32(bits) => Val::F32(wasmi::F32::from_bits(bits)),
        Value::F64(bits) => Val::F64(wasmi::F64::from_bits(bits)),
        Value::V128(bits) => Val::V128(V128::from(bits)),
        Value::Reference { .. } => shape.clone(),
    }
}

fn failed(error: &Error) -> Ending {
    // Not all that the specification calls a trap is one of wasmi's trap codes.
    match error.kind() {
        ErrorKind::Instantiation(InstantiationError::ElementSegmentDoesNotFit { .. })
        | ErrorKind::Table(_) => return Ending::Trapped(Kind::TableBounds),
        ErrorKind::Memory(_) => return Ending::Trapped(Kind::MemoryBounds),
        _ => {}
    }
    let Some(trap) = error.as_trap_code() else { return Ending::Other(error.to_string()) };
    Ending::Trapped(match trap {
        TrapCode::UnreachableCodeReached => Kind::Unreachable,
        TrapCode::MemoryOutOfBounds => Kind::MemoryBounds,
        TrapCode::TableOutOfBounds => Kind::TableBounds,
        TrapCode::IndirectCallToNull => Kind::NullCall,
        TrapCode::BadSignature => Kind::Signature,
        TrapCode::IntegerDivisionByZero => Kind::DivideByZero,
        TrapCode::IntegerOverflow => Kind::Overflow,
        TrapCode::BadConversionToInteger => Kind::Conversion,
        TrapCode::StackOverflow => Kind::Stack,
        TrapCode::OutOfFuel | TrapCode::GrowthOperationLimited => Kind::Resources,
    })
}
