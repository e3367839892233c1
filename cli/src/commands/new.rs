//! `faascli new`

use crate::failure::{Blame, Failure};
use crate::output;
use anyhow::Context;
use std::path::{Path, PathBuf};
use wfaas_function::FunctionName;

/// Make a folder with a function to start from
///
/// The folder must not exist, or be empty. The function is called as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  faascli new hello                    # a handler in Rust
  faascli new shop/cart --template c
  faascli dev hello                    # serve it, and build it again after each change")]
pub(crate) struct Args {
    /// The folder to make
    #[arg(value_name = "NAME")]
    folder: PathBuf,

    /// The language and kind of function
    #[arg(long, value_enum, default_value = "rust")]
    template: Template,
}

/// A function to start from.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Template {
    /// A handler in Rust, built by cargo
    Rust,
    /// A handler in C, built by clang
    C,
    /// A CGI program (RFC 3875), as any language can be used for; this one is in Rust
    Cgi,
    /// A component in Rust for wasi:http/proxy, built by cargo
    Component,
    /// A handler in WebAssembly's text format, which needs no compiler
    Wat,
}

/// A file of a template: its path, and its text with places for the name.
type File = (&'static str, &'static str);

impl Template {
    fn files(self) -> &'static [File] {
        match self {
            Template::Rust => &[
                ("faas.toml", include_str!("../../templates/rust/faas.toml")),
                ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml.in")),
                ("src/lib.rs", include_str!("../../templates/rust/src/lib.rs")),
                ("src/faas.rs", include_str!("../../templates/rust/src/faas.rs")),
                GITIGNORE,
            ],
            Template::C => &[
                ("faas.toml", include_str!("../../templates/c/faas.toml")),
                ("main.c", include_str!("../../templates/c/main.c")),
                GITIGNORE,
            ],
            Template::Cgi => &[
                ("faas.toml", include_str!("../../templates/cgi/faas.toml")),
                ("Cargo.toml", include_str!("../../templates/cgi/Cargo.toml.in")),
                ("src/main.rs", include_str!("../../templates/cgi/src/main.rs")),
                GITIGNORE,
            ],
            Template::Component => &[
                ("faas.toml", include_str!("../../templates/component/faas.toml")),
                ("Cargo.toml", include_str!("../../templates/component/Cargo.toml.in")),
                ("Cargo.lock", include_str!("../../templates/component/Cargo.lock.in")),
                ("src/lib.rs", include_str!("../../templates/component/src/lib.rs")),
                GITIGNORE,
            ],
            Template::Wat => &[
                ("faas.toml", include_str!("../../templates/wat/faas.toml")),
                ("main.wat", include_str!("../../templates/wat/main.wat")),
                GITIGNORE,
            ],
        }
    }
}

const GITIGNORE: File = (".gitignore", include_str!("../../templates/gitignore"));

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let name = name_of(&args.folder)?;
    make_folder(&args.folder)?;
    for (path, text) in args.template.files() {
        write(&args.folder.join(path), &filled(text, &name))?;
    }
    let folder = args.folder.display();
    output::line(format_args!("{folder}: {name}; next: faascli dev {folder}"))?;
    Ok(0)
}

/// The name of the function in `folder`.
fn name_of(folder: &Path) -> Result<FunctionName, Failure> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let name: FunctionName = name.parse().user_error()?;
    Ok(name)
}

/// Makes the folder, and refuses one with anything in it.
fn make_folder(folder: &Path) -> Result<(), Failure> {
    let failed = || format!("cannot make {}", folder.display());
    std::fs::create_dir_all(folder).with_context(failed).user_error()?;
    let mut entries = std::fs::read_dir(folder).with_context(failed).user_error()?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Failure::user(format_args!("{} is not empty", folder.display()))),
    }
}

/// A template's text for the function `name`. Packages of cargo may not start with a digit, and their
/// files have `_` for `-`.
fn filled(text: &str, name: &FunctionName) -> String {
    let name = name.as_str();
    let starts_with_digit = name.starts_with(|first: char| first.is_ascii_digit());
    let package = if starts_with_digit { format!("f-{name}") } else { name.to_owned() };
    text.replace("{{package}}", &package)
        .replace("{{crate}}", &package.replace('-', "_"))
        .replace("{{name}}", name)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(failed)?;
    }
    Ok(std::fs::write(path, text).with_context(failed)?)
}
