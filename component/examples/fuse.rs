//! Fuses a component, to look at the module with other tools:
//! `cargo run -p wfaas-component --example fuse app.wasm fused.wasm`.

use std::error::Error;
use std::time::Instant;
use wasmparser::Validator;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, input, output] = &arguments[..] else {
        return Err("usage: fuse COMPONENT MODULE".into());
    };
    let component = std::fs::read(input)?;
    let started = Instant::now();
    let fused = wfaas_component::fuse(&component)?;
    let took = started.elapsed();
    std::fs::write(output, &fused.module)?;
    let (imports, exports) = (fused.bindings.imports.len(), fused.bindings.exports.len());
    eprintln!(
        "{} to {} bytes in {took:?}; imports: {imports}, exports: {exports}, types: {}",
        component.len(),
        fused.module.len(),
        fused.bindings.types.len(),
    );
    Validator::new().validate_all(&fused.module)?;
    Ok(())
}
