//! A new field of anything that a reset goes through does not compile until somebody has decided
//! about it: this test adds one to each, in a copy of the crate, and reads the compiler's errors.

use std::path::Path;
use std::process::Command;

/// Each struct that is reset, and its file.
const RESET: &[(&str, &str)] = &[
    ("StoreBox<T>", "api/store.rs"),
    ("Lent", "pool/lent.rs"),
    ("StoreInner", "runtime/store.rs"),
    ("MemoryLimits", "runtime/limits.rs"),
    ("Objects", "runtime/objects.rs"),
    ("MemoryInner", "runtime/memory.rs"),
    ("SharedInner", "runtime/shared.rs"),
    ("CallState", "call/state.rs"),
    ("Control", "call/control.rs"),
];

/// Copies the crate to `folder`, as the only member of a workspace like ours.
fn copy_crate(folder: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let workspace = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let lines = workspace.lines().filter(|line| !line.starts_with("exclude"));
    let lines = lines.map(|line| match line.split_once("path = \"") {
        _ if line.starts_with("members") => "members = [\"vm\"]".to_owned(),
        Some((before, path)) => format!("{before}path = \"{}/{path}", root.display()),
        None => line.to_owned(),
    });
    copy_folder(&root.join("vm/src"), &folder.join("vm/src"));
    std::fs::write(folder.join("Cargo.toml"), lines.collect::<Vec<_>>().join("\n")).unwrap();
    for file in ["Cargo.lock", "vm/Cargo.toml"] {
        std::fs::copy(root.join(file), folder.join(file)).unwrap();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(path, target).unwrap();
        }
    }
}

/// Adds a field that no reset knows.
fn add_field(folder: &Path, name: &str, file: &str) {
    let path = folder.join("vm/src").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let head = format!("struct {name} {{\n");
    assert_eq!(text.matches(&head).count(), 1, "{file} has the struct {name}");
    let field = format!("{head}    pub(crate) forgotten: u8,\n");
    std::fs::write(&path, text.replace(&head, &field)).unwrap();
}

#[test]
fn a_field_that_a_reset_forgets_does_not_compile() {
    let folder = tempfile::tempdir().unwrap();
    copy_crate(folder.path());
    for (name, file) in RESET {
        add_field(folder.path(), name, file);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("forgotten_fields");
    let mut check = Command::new(env!("CARGO"));
    check.args(["check", "--offline", "--lib", "-p", "wfaas-vm", "--message-format=short"]);
    let output = check.env("CARGO_TARGET_DIR", target).current_dir(folder.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{errors}");
    for (name, file) in RESET {
        // Patterns that name every field: the reset, and no other.
        let missing = |line: &&str| {
            line.starts_with(&format!("vm/src/{}", pattern_file(name, file)))
                && line.contains("E0027")
                && line.contains("`forgotten`")
        };
        let expected = RESET.iter().filter(|(n, f)| pattern_file(n, f) == pattern_file(name, file));
        let found = errors.lines().filter(missing).count();
        assert_eq!(found, expected.count(), "{name} in {file}: {errors}");
    }
}

/// The file whose reset takes the struct apart.
fn pattern_file<'a>(name: &str, file: &'a str) -> &'a str {
    match name {
        "StoreBox<T>" => "api/pool.rs",
        "Objects" => "runtime/reset.rs",
        _ => file,
    }
}
