//! The values of `faas.toml` that follow rules of their own.
//!
//! The rules are part of reading the type, so that a message shows the line it is about.

use serde::Deserialize;
use std::path::PathBuf;
use wfaas_abi::BoundsStrategy;
use wfaas_build::{ReseedAt, ReseedRange, Uniqueness, Until, WarmUp};

/// The path of a file, anywhere: whoever writes a `faas.toml` may read with it what they may read
/// without. Servers get the artifact, and no paths.
#[derive(Debug, Deserialize)]
#[serde(try_from = "PathBuf")]
pub(super) struct FilePath(pub(super) PathBuf);

impl TryFrom<PathBuf> for FilePath {
    type Error = String;

    fn try_from(path: PathBuf) -> Result<Self, String> {
        match path.file_name() {
            Some(_) => Ok(FilePath(path)),
            None => Err(format!("`{}` is not the path of a file", path.display())),
        }
    }
}

/// A file or a folder for the artifact, anywhere.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub(super) struct FilesFrom(pub(super) PathBuf);

/// The guest's path for it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct FilesAt(pub(super) String);

impl TryFrom<String> for FilesAt {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        crate::files::guest_path(&path).map(FilesAt)
    }
}

/// A bounds strategy by its name.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Bounds(pub(super) BoundsStrategy);

impl TryFrom<String> for Bounds {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        crate::bounds::strategy(&name).map(Bounds)
    }
}

/// What to run to get the module: program and arguments, or a line for the shell.
#[derive(Debug, Deserialize)]
#[serde(try_from = "CommandText")]
pub(super) struct Command(pub(super) Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a command line, or an array of program and arguments")]
enum CommandText {
    Line(String),
    Words(Vec<String>),
}

impl TryFrom<CommandText> for Command {
    type Error = &'static str;

    fn try_from(text: CommandText) -> Result<Self, &'static str> {
        match text {
            CommandText::Line(line) if !line.trim().is_empty() => {
                Ok(Command(vec!["sh".into(), "-c".into(), line]))
            }
            CommandText::Words(words) if words.first().is_some_and(|word| !word.is_empty()) => {
                Ok(Command(words))
            }
            _ => Err("the build command is empty; leave the key out if there is nothing to build"),
        }
    }
}

/// How the image is prepared: by an export, or by the program itself up to where it waits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "InitText")]
pub(crate) enum InitKey {
    /// This export prepares it.
    Export(String),
    /// The program does, until then.
    Until(Until),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected the name of an export, or a table with `until`")]
enum InitText {
    Export(String),
    Table(UntilTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UntilTable {
    until: UntilText,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"stdin\", or a table of `module` and `name`")]
enum UntilText {
    Word(String),
    Import(ImportTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportTable {
    module: String,
    name: String,
}

impl TryFrom<InitText> for InitKey {
    type Error = &'static str;

    fn try_from(text: InitText) -> Result<InitKey, &'static str> {
        match text {
            InitText::Export(export) => Ok(InitKey::Export(export)),
            InitText::Table(UntilTable { until: UntilText::Word(word) }) if word == "stdin" => {
                Ok(InitKey::Until(Until::Stdin))
            }
            InitText::Table(UntilTable { until: UntilText::Word(_) }) => {
                Err("expected \"stdin\", or a table of `module` and `name`")
            }
            InitText::Table(UntilTable { until: UntilText::Import(import) }) => {
                let ImportTable { module, name } = import;
                Ok(InitKey::Until(Until::Import { module, name }))
            }
        }
    }
}

/// A way to treat memory that is not unique, by its word.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct UniquenessWord(pub(super) Uniqueness);

impl TryFrom<String> for UniquenessWord {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        crate::recipe::parse_uniqueness(&word).map(UniquenessWord)
    }
}

/// Memory to reseed: a symbol or an address, and a number of bytes.
#[derive(Debug, Deserialize)]
#[serde(from = "ReseedText")]
pub(super) struct Reseed(pub(super) ReseedRange);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an array of a symbol or an address, and a number of bytes")]
enum ReseedText {
    Range(ReseedPlace, u64),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a symbol or an address")]
enum ReseedPlace {
    Address(u64),
    Symbol(String),
}

impl From<ReseedText> for Reseed {
    fn from(ReseedText::Range(place, bytes): ReseedText) -> Reseed {
        let at = match place {
            ReseedPlace::Address(address) => ReseedAt::Address(address),
            ReseedPlace::Symbol(text) => crate::recipe::reseed_at(&text),
        };
        Reseed(ReseedRange { at, bytes })
    }
}

/// A request to make at build time: its body, or a table.
#[derive(Debug, Deserialize)]
#[serde(from = "WarmUpText")]
pub(super) struct WarmUpRequest(pub(super) WarmUp);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a body, or a table of `method`, `path`, `query`, `body`")]
enum WarmUpText {
    Body(String),
    Table(WarmUpTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WarmUpTable {
    method: Option<String>,
    #[serde(default)]
    path: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    body: String,
}

impl From<WarmUpText> for WarmUpRequest {
    fn from(text: WarmUpText) -> WarmUpRequest {
        let table = match text {
            WarmUpText::Body(body) => {
                WarmUpTable { method: None, path: String::new(), query: String::new(), body }
            }
            WarmUpText::Table(table) => table,
        };
        let default = if table.body.is_empty() { "GET" } else { "POST" };
        let method = table.method.clone().unwrap_or_else(|| default.to_owned());
        let WarmUpTable { path, query, body, .. } = table;
        WarmUpRequest(WarmUp { method, path, query, body: body.into() })
    }
}
