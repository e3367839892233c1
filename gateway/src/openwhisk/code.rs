//! The code of an action: a module or an artifact, as it is, in base64, or in a zip archive.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::io::{Cursor, Read};

/// Most entries of an archive.
const MOST_ENTRIES: usize = 4096;

/// Endings of the names of code in an archive, other runtimes' too: those are refused by name.
const CODE: [&str; 5] = [".wasm", ".faas", ".cwasm", ".wasmu", ".aot"];

/// Code, out of its wrapping.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// A module, as a binary or as text.
    Module(Vec<u8>),
    /// A native artifact.
    Artifact(Vec<u8>),
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodeError {
    #[error("the code is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("the archive cannot be read: {0}")]
    Zip(#[from] zip::result::ZipError),
    #[error("the archive cannot be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("the archive has {0} entries, at most {MOST_ENTRIES} are looked at")]
    Entries(usize),
    #[error("the archive has to have one .wasm file, it has {0}")]
    Modules(usize),
    #[error("the code is larger than {0} bytes")]
    Size(u64),
    #[error("the code was compiled for {0}, which is not supported: send the .wasm module")]
    Foreign(&'static str),
}

/// Takes the code out of its wrapping; at most `limit` bytes of it.
///
/// # Errors
/// [`CodeError`] says which wrapping is broken.
pub(super) fn unwrap(code: &str, is_binary: bool, limit: u64) -> Result<Code, CodeError> {
    if !is_binary {
        return Ok(Code::Module(code.as_bytes().to_vec()));
    }
    // Platforms may break it into lines.
    let code: Vec<u8> = code.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(code)?;
    let bytes = if bytes.starts_with(b"PK") { unzip(&bytes, limit)? } else { bytes };
    if bytes.len() as u64 > limit {
        return Err(CodeError::Size(limit));
    }
    match runtime(&bytes) {
        Some(OURS) => Ok(Code::Artifact(bytes)),
        Some(other) => Err(CodeError::Foreign(other)),
        None => Ok(Code::Module(bytes)),
    }
}

/// What artifacts of this program are made for.
const OURS: &str = "faascli";

/// The runtime that an artifact is made for; `None` for a module.
fn runtime(bytes: &[u8]) -> Option<&'static str> {
    const MAGICS: [(&[u8], &str); 3] =
        [(b"\0aot", "WAMR"), (b"\0wasmer", "Wasmer"), (b"WASMER", "Wasmer")];
    // Those of Wasmtime are ELF files too.
    if bytes.starts_with(b"\x7fELF") {
        let is_ours = wfaas_abi::Artifact::parse(bytes).is_ok();
        let wasmtime = bytes.windows(9).any(|word| word == b".wasmtime");
        return Some(if wasmtime && !is_ours { "Wasmtime" } else { OURS });
    }
    MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, runtime)| *runtime)
}

/// The one file of an archive that is a module or an artifact.
fn unzip(bytes: &[u8], limit: u64) -> Result<Vec<u8>, CodeError> {
    // Reading an archive takes memory for each entry, and each has a header in the directory.
    let headers = bytes.windows(4).filter(|word| word == b"PK\x01\x02").count();
    if headers > MOST_ENTRIES {
        return Err(CodeError::Entries(headers));
    }
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))?;
    if archive.len() > MOST_ENTRIES {
        return Err(CodeError::Entries(archive.len()));
    }
    let is_code = |name: &Cow<'_, str>| CODE.iter().any(|ending| name.ends_with(ending));
    // A name that cannot be read is none of code.
    let names = archive.file_names().filter_map(Result::ok).filter(is_code);
    let names: Vec<String> = names.map(Cow::into_owned).collect();
    let [name] = &names[..] else { return Err(CodeError::Modules(names.len())) };
    let file = archive.by_name(name)?;
    // What the archive says about its size is a claim.
    let mut code = Vec::new();
    file.take(limit + 1).read_to_end(&mut code)?;
    if code.len() as u64 > limit {
        return Err(CodeError::Size(limit));
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    fn archive(files: &[(&str, &[u8])]) -> String {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        }
        STANDARD.encode(archive.finish().unwrap().into_inner())
    }

    #[test]
    fn a_module_is_there_in_every_wrapping() {
        let module = || Code::Module(b"\0asm".to_vec());
        assert_eq!(unwrap("AGFzbQ==", true, 4).unwrap(), module());
        assert_eq!(unwrap("AGFz\r\nbQ==\n", true, 4).unwrap(), module());
        assert_eq!(unwrap("(module)", false, 9).unwrap(), Code::Module(b"(module)".to_vec()));
        let zip = archive(&[("README", b"x"), ("src/a.wasm", b"\0asm")]);
        assert_eq!(unwrap(&zip, true, 4).unwrap(), module());
        let elf = archive(&[("a.faas", b"\x7fELF")]);
        assert_eq!(unwrap(&elf, true, 4).unwrap(), Code::Artifact(b"\x7fELF".to_vec()));
    }

    #[test]
    fn artifacts_of_other_runtimes_are_refused_by_name() {
        for (bytes, runtime) in [
            (&b"\0aot\x03\0\0\0"[..], "WAMR"),
            (b"\0wasmer-universal", "Wasmer"),
            (b"\x7fELF\x02 .wasmtime.engine", "Wasmtime"),
        ] {
            for (code, name) in
                [(STANDARD.encode(bytes), "plain"), (archive(&[("a.aot", bytes)]), "zip")]
            {
                let message = unwrap(&code, true, 99).unwrap_err().to_string();
                assert!(
                    message.contains(runtime) && message.contains("not supported"),
                    "{name}: {message}"
                );
            }
        }
    }

    #[test]
    fn broken_wrappings_are_told() {
        let message = |code: &str, limit| unwrap(code, true, limit).unwrap_err().to_string();
        assert!(message("%", 9).contains("base64"));
        assert!(message(&STANDARD.encode("PK\x03\x04 and nothing"), 99).contains("archive"));
        assert!(message(&archive(&[("a.js", b"")]), 9).contains("it has 0"));
        assert!(message(&archive(&[("a.wasm", b""), ("b.wasm", b"")]), 9).contains("it has 2"));
        assert!(message("AGFzbQ==", 3).contains("larger than 3 bytes"));
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = archive(&[("a.wasm", &vec![0; 10 << 20])]);
        assert!(bomb.len() < 20_000);
        let message = unwrap(&bomb, true, 1 << 20).unwrap_err().to_string();
        assert!(message.contains("larger than 1048576 bytes"), "{message}");
        let names: Vec<String> = (0..MOST_ENTRIES + 1).map(|at| format!("{at}.wasm")).collect();
        let many: Vec<(&str, &[u8])> = names.iter().map(|name| (&name[..], &b""[..])).collect();
        assert!(matches!(unwrap(&archive(&many), true, 99), Err(CodeError::Entries(4097))));
    }
}
