//! Directories of the host that a function's guests are given.

use super::{ByteSize, Limits, SpecError};
use crate::trees::overlay_place;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use wfaas_wasi::files::TreeLimits;
use wfaas_wasi::files::{Directory, Files};
use wfaas_wasi::files::{Follow, HostDirectory, MemoryDirectory, Node, OpenOptions, Preopen};

/// A directory of the host, and the guest's name for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dir {
    /// Path on the host.
    pub host: PathBuf,
    /// Path by which the guest knows it, as `/data` or `.`.
    pub guest: String,
    /// Whether the guest cannot change anything in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Whether a guest's changes stay in memory, over the directory, and are gone with the guest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overlay: bool,
    /// Access while the function is initialised and warmed up.
    #[serde(default, skip_serializing_if = "AtInit::is_read")]
    pub init: AtInit,
}

/// Access to a directory while a function is initialised and warmed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtInit {
    /// The guest reads it, and cannot change anything.
    #[default]
    Read,
    /// As for requests.
    Write,
    /// The guest finds an empty directory: descriptors have the numbers that they have for requests.
    None,
}

impl AtInit {
    fn is_read(&self) -> bool {
        *self == AtInit::Read
    }
}

impl FromStr for Dir {
    type Err = String;

    /// Reads `HOST`, `HOST::GUEST`, and either with `:ro` or `:overlay` behind it.
    fn from_str(text: &str) -> Result<Dir, String> {
        let (read_only, overlay) = (text.strip_suffix(":ro"), text.strip_suffix(":overlay"));
        let paths = read_only.or(overlay).unwrap_or(text);
        let (host, guest) = paths.split_once("::").unwrap_or((paths, paths));
        if host.is_empty() || guest.is_empty() {
            return Err("write HOST, HOST::GUEST, and :ro or :overlay behind it".to_owned());
        }
        let (read_only, overlay) = (read_only.is_some(), overlay.is_some());
        Ok(Dir { host: host.into(), guest: guest.to_owned(), read_only, overlay, ..Dir::default() })
    }
}

/// An empty directory that nobody can write to.
const NOTHING: TreeLimits = TreeLimits { bytes: 0, nodes: 0 };

/// Directories of the host that functions may be given.
#[derive(Debug, Clone, Copy)]
pub enum AllowedDirs<'a> {
    /// All.
    Any,
    /// These, and those below them.
    Below(&'a [PathBuf]),
}

impl AllowedDirs<'_> {
    /// Opens directories for requests, and adds them to `files`. A guest may write so much to the memory over
    /// each that is an overlay, as `limits` says.
    ///
    /// # Errors
    /// [`SpecError::Field`] names the first directory that is not allowed, or is none.
    pub(crate) fn open(
        self,
        dirs: &[Dir],
        limits: &Limits,
        files: &mut Files,
    ) -> Result<(), SpecError> {
        add_each(dirs, files, |number, dir| self.preopen(number, dir, limits))
    }

    /// The same for a guest that is initialised, as far as it [may](AtInit) use them.
    ///
    /// # Errors
    /// As [`AllowedDirs::open`].
    pub(crate) fn open_at_init(
        self,
        dirs: &[Dir],
        limits: &Limits,
        files: &mut Files,
    ) -> Result<(), SpecError> {
        add_each(dirs, files, |number, dir| match dir.init {
            AtInit::Read if dir.overlay => self.preopen(number, dir, limits),
            AtInit::Read => self.preopen(number, &Dir { read_only: true, ..dir.clone() }, limits),
            AtInit::Write => self.preopen(number, dir, limits),
            AtInit::None => {
                let nothing = MemoryDirectory::root(NOTHING).at_place(overlay_place(number));
                let nothing = Arc::new(nothing);
                Ok(Preopen::shared(dir.guest.as_str(), nothing))
            }
        })
    }

    fn preopen(self, number: usize, dir: &Dir, limits: &Limits) -> Result<Preopen, String> {
        let name = dir.guest.as_str();
        if !dir.overlay {
            return Ok(Preopen::shared(name, self.open_one(&dir.host, dir.read_only)?));
        }
        if dir.read_only {
            return Err("it is either read-only or an overlay".to_owned());
        }
        let bytes = limits.tmp.map_or(0, |ByteSize(bytes)| bytes);
        if bytes == 0 {
            return Err("an overlay takes memory for files, and limits.tmp has none".to_owned());
        }
        let (lower, limits) = (self.open_one(&dir.host, true)?, TreeLimits::of_bytes(bytes));
        let place = overlay_place(number);
        let over = move || MemoryDirectory::over(lower.clone(), limits).at_place(place);
        Ok(Preopen::fresh(name, move || Arc::new(over())))
    }

    fn open_one(self, host: &Path, read_only: bool) -> Result<Arc<dyn Directory>, String> {
        match self {
            AllowedDirs::Any => {
                let root = HostDirectory::open(host, read_only);
                Ok(Arc::new(root.map_err(|error| error.to_string())?))
            }
            AllowedDirs::Below(allowed) => {
                let host = host.canonicalize().map_err(|error| error.to_string())?;
                let below = allowed.iter().find_map(|allowed| {
                    let allowed = allowed.canonicalize().ok()?;
                    let rest = host.strip_prefix(&allowed).ok()?.to_owned();
                    Some((allowed, rest))
                });
                let (allowed, rest) =
                    below.ok_or("it lies outside of the directories that this server allows")?;
                open_below(&allowed, &rest, read_only)
            }
        }
    }
}

/// Opens each directory, with its number among them, and adds it.
fn add_each(
    dirs: &[Dir],
    files: &mut Files,
    open: impl Fn(usize, &Dir) -> Result<Preopen, String>,
) -> Result<(), SpecError> {
    dirs.iter().enumerate().try_for_each(|(number, dir)| {
        let opened = open(number, dir);
        let added = opened.and_then(|opened| files.add(opened).map_err(|error| error.to_string()));
        let wrong = |reason| SpecError::field("dirs", format_args!("{:?}: {reason}", dir.host));
        added.map_err(wrong)
    })
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
        Dir { host: host.into(), guest: guest.to_owned(), read_only, ..Dir::default() }
    }

    #[test]
    fn a_directory_has_one_name_or_two() {
        for (text, expected) in [
            ("/srv", dir("/srv", "/srv", false)),
            (".:ro", dir(".", ".", true)),
            ("a::/b", dir("a", "/b", false)),
            ("a::/b:ro", dir("a", "/b", true)),
            ("a:b::/c:d", dir("a:b", "/c:d", false)),
            ("a::/b:overlay", Dir { overlay: true, ..dir("a", "/b", false) }),
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
            AllowedDirs::Below(&allowed).open(&dirs, &Limits::default(), &mut Files::default())
        };
        assert_eq!(open("in"), Ok(()));
        assert_eq!(open("in/side"), Ok(()));
        assert_eq!(open("in/../in/side"), Ok(()));
        for outside in ["out", "in/link", "in/../out", "in2", "in/missing"] {
            let message = open(outside).unwrap_err().to_string();
            assert!(message.starts_with("dirs: ") && message.contains(outside), "{message}");
        }
        let (none, root) = (AllowedDirs::Below(&[]), [dir("/", "/", true)]);
        assert!(none.open(&root, &Limits::default(), &mut Files::default()).is_err());
    }

    #[test]
    fn an_overlay_takes_memory_and_is_not_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let open = |read_only, tmp: Option<u64>| {
            let limits = Limits { tmp: tmp.map(ByteSize), ..Limits::default() };
            let plain = dir(folder.path().to_str().unwrap(), "/d", read_only);
            let dirs = [Dir { overlay: true, ..plain }];
            AllowedDirs::Any.open(&dirs, &limits, &mut Files::default())
        };
        assert_eq!(open(false, Some(1 << 20)), Ok(()));
        for (read_only, tmp, part) in
            [(true, Some(1), "either"), (false, None, "limits.tmp"), (false, Some(0), "limits.tmp")]
        {
            let message = open(read_only, tmp).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_directory_may_be_missing_where_initialisation_does_not_see_it() {
        let missing = |init| [Dir { init, ..dir("/no/such/directory", "/d", false) }];
        let open = |init| {
            let mut files = Files::default();
            AllowedDirs::Any.open_at_init(&missing(init), &Limits::default(), &mut files)?;
            Ok::<_, SpecError>(files.directories().len())
        };
        assert_eq!(open(AtInit::None), Ok(1));
        assert!(open(AtInit::Read).is_err() && open(AtInit::Write).is_err());
    }
}
