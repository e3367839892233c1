//! The host of a plug-in, as far as this one needs it: the functions of `extism:host/env`. Addresses
//! there are of a memory of the host's.

#[link(wasm_import_module = "extism:host/env")]
unsafe extern "C" {
    safe fn alloc(len: u64) -> u64;
    safe fn length(block: u64) -> u64;
    safe fn load_u8(address: u64) -> u32;
    safe fn store_u8(address: u64, byte: u32);
    safe fn input_length() -> u64;
    safe fn input_load_u8(index: u64) -> u32;
    safe fn output_set(block: u64, len: u64);
    safe fn error_set(block: u64);
    safe fn config_get(name: u64) -> u64;
    safe fn log_info(message: u64);
}

/// The input.
pub(crate) fn input() -> Vec<u8> {
    (0..input_length()).map(|index| input_load_u8(index) as u8).collect()
}

/// Has these bytes as output.
pub(crate) fn set_output(bytes: &[u8]) {
    output_set(block(bytes), bytes.len() as u64);
}

/// Has this text as the error.
pub(crate) fn set_error(message: &str) {
    error_set(block(message.as_bytes()));
}

/// Writes to the log.
pub(crate) fn info(message: &str) {
    log_info(block(message.as_bytes()));
}

/// The value of a setting.
pub(crate) fn config(name: &str) -> Option<String> {
    let value = config_get(block(name.as_bytes()));
    let bytes = (value..value + length(value)).map(|address| load_u8(address) as u8);
    (value != 0).then(|| String::from_utf8(bytes.collect()).ok()).flatten()
}

/// A block of the host's memory with these bytes.
fn block(bytes: &[u8]) -> u64 {
    let block = alloc(bytes.len() as u64);
    for (address, byte) in (block..).zip(bytes) {
        store_u8(address, u32::from(*byte));
    }
    block
}
