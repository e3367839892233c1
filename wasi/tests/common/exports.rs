//! A module that exports every function of preview1 without parameters: each reads its arguments from the
//! beginning of the memory, eight bytes each.

use wfaas_vm::ValType;
use wfaas_wasi::preview1::{FUNCTIONS, MODULE};

/// The text of the module, with imports from `module`, and a memory of so many pages.
pub(crate) fn module_text(module: &str, pages: u64) -> String {
    let mut text = "(module\n".to_owned();
    let mut exports = String::new();
    for function in FUNCTIONS {
        let name = function.name;
        if module != MODULE && name == "sock_accept" {
            continue;
        }
        let mut params = String::new();
        let mut loads = String::new();
        for (index, ty) in function.params.iter().enumerate() {
            let ty = if *ty == ValType::I64 { "i64" } else { "i32" };
            params += &format!(" {ty}");
            loads += &format!(" ({ty}.load (i32.const {}))", index * 8);
        }
        text += &format!(
            "(import \"{module}\" \"{name}\" (func ${name} (param{params}) (result i32)))\n"
        );
        exports += &format!("(func (export \"{name}\") (result i32) (call ${name}{loads}))\n");
    }
    text += &format!("(import \"{module}\" \"proc_exit\" (func $proc_exit (param i32)))\n");
    exports += "(func (export \"proc_exit\") (call $proc_exit (i32.load (i32.const 0))))\n";
    text + &format!("(memory (export \"memory\") {pages})\n{exports})")
}
