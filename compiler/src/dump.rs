//! Dumps of intermediate code and assembly, for tests and for people.

use crate::front::layout::Layout;
use crate::front::module::Module;
use crate::front::names;
use crate::front::parse::{Body, binary, parse};
use crate::generate::{Generator, Worker};
use crate::inline::Callees;
use crate::listing::{self, Listing};
use crate::{CompileError, Options};

/// The intermediate code of function `function` of the index space, before optimisation, in
/// Cranelift's text format. The function must be defined in the module.
///
/// # Errors
/// As [`compile`](crate::compile); [`CompileError::Internal`] if there is no such function.
pub fn clif(
    wasm_or_wat: &[u8],
    function: u32,
    options: &Options<'_>,
) -> Result<String, CompileError> {
    with_function(wasm_or_wat, function, options, |generator, worker, body, _| {
        generator.translate(worker, body)?;
        Ok(worker.intermediate())
    })
}

/// The intermediate code behind all passes, from which machine code is generated.
///
/// # Errors
/// As [`clif`].
pub fn optimised(
    wasm_or_wat: &[u8],
    function: u32,
    options: &Options<'_>,
) -> Result<String, CompileError> {
    with_function(wasm_or_wat, function, options, |generator, worker, body, callees| {
        generator.assembly(worker, body, callees)?;
        Ok(worker.intermediate())
    })
}

/// The machine code of function `function` of the index space as assembly, after register
/// allocation. The function must be defined in the module.
///
/// # Errors
/// As [`compile`](crate::compile); [`CompileError::Internal`] if there is no such function.
pub fn assembly(
    wasm_or_wat: &[u8],
    function: u32,
    options: &Options<'_>,
) -> Result<String, CompileError> {
    with_function(wasm_or_wat, function, options, |generator, worker, body, callees| {
        generator.assembly(worker, body, callees)
    })
}

/// Function `function` of the index space, operator by operator. The function must be defined in the
/// module.
///
/// # Errors
/// As [`compile`](crate::compile); [`CompileError::Internal`] if there is no such function.
pub fn listing(
    wasm_or_wat: &[u8],
    function: u32,
    options: &Options<'_>,
) -> Result<Listing, CompileError> {
    with_function(wasm_or_wat, function, options, |generator, worker, body, callees| {
        generator.translate(worker, body.clone())?;
        let clif = worker.intermediate();
        let code = generator.located(worker, body.clone(), callees)?;
        listing::of(generator.module, &body.body, &clif, &code)
    })
}

/// The functions of a module that are defined in it, with their names, if they have any.
///
/// # Errors
/// [`CompileError`] if it is no module.
pub fn functions(
    wasm_or_wat: &[u8],
    options: &Options<'_>,
) -> Result<Vec<(u32, Option<String>)>, CompileError> {
    let wasm = binary(wasm_or_wat)?;
    let (module, _): (Module<'_>, _) = parse(&wasm, options.proposals)?;
    let names = names::of_functions(&module);
    let defined = names.into_iter().skip(module.imported_funcs().count());
    Ok(defined.map(|(index, name)| (index.as_u32(), name)).collect())
}

fn with_function<T>(
    wasm_or_wat: &[u8],
    function: u32,
    options: &Options<'_>,
    look: impl FnOnce(&Generator<'_>, &mut Worker, Body<'_>, &Callees) -> Result<T, CompileError>,
) -> Result<T, CompileError> {
    let wasm = binary(wasm_or_wat)?;
    let (module, bodies): (Module<'_>, _) = parse(&wasm, options.proposals)?;
    let layout = Layout::new(&module)?;
    let generator = Generator::new(&module, &layout, options)?;
    let callees = generator.callees(&bodies);
    let body = bodies.into_iter().find(|body| body.validation.index == function);
    let body = body.ok_or_else(|| {
        CompileError::Internal(format!("function {function} is not defined in this module"))
    })?;
    look(&generator, &mut Worker::new(), body, &callees)
}
