//! Directories of the host that a function's guests are given.

use super::SpecError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use wfaas_wasi::files::{Directory, Files};
use wfaas_wasi::files::{Follow, HostDirectory, Node, OpenOptions, Preopen};

/// A directory of the host, and the guest's name for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dir {
    /// Path on the host.
    pub host: PathBuf,
    /// Path by which the guest knows it, as `/data` or `.`.
    pub guest: String,
    /// Whether the guest cannot change anything in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

impl FromStr for Dir {
    type Err = String;

    /// Reads `HOST`, `HOST::GUEST`, and either with `:ro` behind it.
    fn from_str(text: &str) -> Result<Dir, String> {
        let (paths, read_only) = match text.strip_suffix(":ro") {
            Some(paths) => (paths, true),
            None => (text, false),
        };
        let (host, guest) = paths.split_once("::").unwrap_or((paths, paths));
        if host.is_empty() || guest.is_empty() {
            return Err("write HOST, HOST::GUEST or HOST::GUEST:ro".to_owned());
        }
        Ok(Dir { host: host.into(), guest: guest.to_owned(), read_only })
    }
}

/// Directories of the host that functions may be given.
#[derive(Debug, Clone, Copy)]
pub enum AllowedDirs<'a> {
    /// All.
    Any,
    /// These, and those below them.
    Below(&'a [PathBuf]),
}

impl AllowedDirs<'_> {
    /// Opens directories, and adds them to `files`.
    ///
    /// # Errors
    /// [`SpecError::Field`] names the first directory that is not allowed, or is none.
    pub(crate) fn open(self, dirs: &[Dir], files: &mut Files) -> Result<(), SpecError> {
        for dir in dirs {
            let wrong =
                |reason: String| SpecError::field("dirs", format_args!("{:?}: {reason}", dir.host));
            let root = self.open_one(dir).map_err(wrong)?;
            let preopen = Preopen::shared(dir.guest.as_str(), root);
            files.add(preopen).map_err(|error| wrong(error.to_string()))?;
        }
        Ok(())
    }

    fn open_one(self, dir: &Dir) -> Result<Arc<dyn Directory>, String> {
        match self {
            AllowedDirs::Any => {
                let root = HostDirectory::open(&dir.host, dir.read_only);
                Ok(Arc::new(root.map_err(|error| error.to_string())?))
            }
            AllowedDirs::Below(allowed) => {
                let host = dir.host.canonicalize().map_err(|error| error.to_string())?;
                let below = allowed.iter().find_map(|allowed| {
                    let allowed = allowed.canonicalize().ok()?;
                    let rest = host.strip_prefix(&allowed).ok()?.to_owned();
                    Some((allowed, rest))
                });
                let (allowed, rest) =
                    below.ok_or("it lies outside of the directories that this server allows")?;
                open_below(&allowed, &rest, dir.read_only)
            }
        }
    }
}

/// Opens `rest` below `allowed`, and nothing else: a symlink put on the way meanwhile does not lead out.
fn open_below(allowed: &Path, rest: &Path, read_only: bool) -> Result<Arc<dyn Directory>, String> {
    let root = HostDirectory::open(allowed, read_only).map_err(|error| error.to_string())?;
    if rest.as_os_str().is_empty() {
        return Ok(Arc::new(root));
    }
    let rest = rest.to_str().ok_or("its path is not UTF-8")?;
    let options = OpenOptions { directory: true, follow: Follow::No, ..OpenOptions::READ };
    match root.open(rest, options) {
        Ok(Node::Directory(directory)) => Ok(directory),
        Ok(Node::File(_)) => Err("it is not a directory".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(host: &str, guest: &str, read_only: bool) -> Dir {
        Dir { host: host.into(), guest: guest.to_owned(), read_only }
    }

    #[test]
    fn a_directory_has_one_name_or_two() {
        for (text, expected) in [
            ("/srv", dir("/srv", "/srv", false)),
            (".:ro", dir(".", ".", true)),
            ("a::/b", dir("a", "/b", false)),
            ("a::/b:ro", dir("a", "/b", true)),
            ("a:b::/c:d", dir("a:b", "/c:d", false)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for wrong in ["", "::", "a::", "::a", ":ro"] {
            assert!(wrong.parse::<Dir>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_is_below_an_allowed_directory_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("in/side")).unwrap();
        std::fs::create_dir(path("out")).unwrap();
        std::os::unix::fs::symlink(path("out"), path("in/link")).unwrap();
        let allowed = [path("in")];
        let open = |name: &str| {
            let dirs = [dir(path(name).to_str().unwrap(), "/d", true)];
            AllowedDirs::Below(&allowed).open(&dirs, &mut Files::default())
        };
        assert_eq!(open("in"), Ok(()));
        assert_eq!(open("in/side"), Ok(()));
        assert_eq!(open("in/../in/side"), Ok(()));
        for outside in ["out", "in/link", "in/../out", "in2", "in/missing"] {
            let message = open(outside).unwrap_err().to_string();
            assert!(message.starts_with("dirs: ") && message.contains(outside), "{message}");
        }
        assert!(
            AllowedDirs::Below(&[]).open(&[dir("/", "/", true)], &mut Files::default()).is_err()
        );
    }
}
