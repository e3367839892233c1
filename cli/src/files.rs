//! The files of a bundle: trees of the host, read for an artifact.

use anyhow::{Context, bail};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use wfaas_abi::artifact::bundle::{BundleWriter, MAX_BYTES};

/// A file or a folder of the host, and its path for guests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bundled {
    /// Path on the host.
    pub(crate) host: PathBuf,
    /// Absolute path for guests.
    pub(crate) guest: String,
}

impl FromStr for Bundled {
    type Err = String;

    /// Reads `HOST::GUEST`.
    fn from_str(text: &str) -> Result<Bundled, String> {
        match text.split_once("::") {
            Some((host, guest)) if !host.is_empty() => {
                Ok(Bundled { host: host.into(), guest: guest_path(guest)? })
            }
            _ => Err("write HOST::GUEST".to_owned()),
        }
    }
}

/// Checks a guest's path: it is absolute.
pub(crate) fn guest_path(path: &str) -> Result<String, String> {
    if path.starts_with('/') {
        return Ok(path.to_owned());
    }
    Err(format!("{path:?} has to be an absolute path: it is the guest's"))
}

/// A folder that a guest can write to when it has memory for that; it is in every bundle.
const TEMPORARY: &str = "/tmp";

/// Reads trees into a bundle; `None` if there are none. The same trees give the same bytes.
///
/// # Errors
/// What cannot be in a bundle, by its path: a link that leads out of its tree, something else than a
/// file, a folder or a link, a name that is not UTF-8, too much.
pub(crate) fn bundle(trees: &[Bundled]) -> anyhow::Result<Option<Vec<u8>>> {
    if trees.is_empty() {
        return Ok(None);
    }
    let mut writer = BundleWriter::default();
    writer.directory(TEMPORARY, 0)?;
    for Bundled { host, guest } in trees {
        add(&mut writer, host, guest)
            .with_context(|| format!("cannot take {} into the artifact", host.display()))?;
    }
    Ok(Some(writer.finish()))
}

/// Adds a tree. Its root may be a symbolic link; what is inside is taken as it is.
fn add(writer: &mut BundleWriter, host: &Path, guest: &str) -> anyhow::Result<()> {
    let root = std::fs::metadata(host)?;
    if !root.is_dir() {
        return add_file(writer, host, guest, &root);
    }
    let guest = guest.trim_end_matches('/');
    writer.directory(guest, root.mtime())?;
    // Folders to look into, by their path below the root.
    let mut waiting = vec![PathBuf::new()];
    while let Some(folder) = waiting.pop() {
        let path = host.join(&folder);
        let entries = std::fs::read_dir(&path);
        for entry in entries.with_context(|| format!("cannot read {}", path.display()))? {
            let below = folder.join(entry?.file_name());
            let path = host.join(&below);
            let what = std::fs::symlink_metadata(&path)
                .with_context(|| format!("cannot look at {}", path.display()))?;
            let name = below.to_str();
            let name = name.with_context(|| format!("{} is not UTF-8", path.display()))?;
            let guest = format!("{guest}/{name}");
            if what.is_dir() {
                writer.directory(&guest, what.mtime())?;
                waiting.push(below);
            } else if what.is_symlink() {
                let target = target(&path, &below)?;
                writer.link(&guest, what.mtime(), &target)?;
            } else {
                add_file(writer, &path, &guest, &what)?;
            }
        }
    }
    Ok(())
}

/// Adds a regular file.
fn add_file(
    writer: &mut BundleWriter,
    path: &Path,
    guest: &str,
    what: &Metadata,
) -> anyhow::Result<()> {
    if !what.is_file() {
        bail!("{} is neither a file nor a folder nor a symbolic link", path.display());
    }
    if what.len() > MAX_BYTES.saturating_sub(writer.bytes()) {
        bail!("with {} there are more than {MAX_BYTES} bytes, the limit", path.display());
    }
    let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(writer.file(guest, what.mtime(), content)?)
}

/// The target of the link at `below` in its tree, which it must not leave.
fn target(path: &Path, below: &Path) -> anyhow::Result<String> {
    let target = std::fs::read_link(path)?;
    let Some(text) = target.to_str() else {
        bail!("the target of {} is not UTF-8", path.display())
    };
    let mut depth = below.components().count() as i64 - 1;
    let leaves = target.components().any(|part| {
        depth += match part {
            std::path::Component::Normal(_) => 1,
            std::path::Component::ParentDir => -1,
            std::path::Component::CurDir => 0,
            std::path::Component::RootDir | std::path::Component::Prefix(_) => return true,
        };
        depth < 0
    });
    if leaves {
        bail!("the symbolic link {} leads out of its tree, to {text}", path.display());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use wfaas_abi::artifact::bundle::Bundle;

    fn bundled(host: &Path, guest: &str) -> [Bundled; 1] {
        [Bundled { host: host.to_owned(), guest: guest.to_owned() }]
    }

    #[test]
    fn a_tree_is_taken_with_its_times() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("sub")).unwrap();
        std::fs::write(path("sub/file"), "text").unwrap();
        symlink("../sub/file", path("sub/link")).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(5999);
        std::fs::File::open(path("sub/file")).unwrap().set_modified(time).unwrap();
        let bytes = bundle(&bundled(folder.path(), "/usr/lib/")).unwrap().unwrap();
        let tree = Bundle::parse(&bytes).unwrap();
        tree.check().unwrap();
        let at = |path: &str| path.split('/').try_fold(tree.root(), |at, name| at.child(name));
        let file = at("usr/lib/sub/file").unwrap();
        assert_eq!((file.content(), file.mtime()), (&b"text"[..], 5));
        assert_eq!(at("usr/lib/sub/link").unwrap().target(), Some("../sub/file"));
        assert!(at("tmp").is_some());
        assert_eq!(bundle(&[]).unwrap(), None);
        assert_eq!(bundle(&bundled(folder.path(), "/usr/lib")).unwrap().unwrap(), bytes);
    }

    #[test]
    fn links_that_lead_out_are_refused_by_name() {
        for target in ["/etc", "..", "../x", "sub/../../x"] {
            let folder = tempfile::tempdir().unwrap();
            symlink(target, folder.path().join("bad link")).unwrap();
            let error = bundle(&bundled(folder.path(), "/lib")).unwrap_err();
            let message = format!("{error:#}");
            assert!(message.contains("bad link") && message.contains("leads out"), "{message}");
        }
    }

    #[test]
    fn what_is_no_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        for path in [folder.path().to_owned(), folder.path().join("socket")] {
            let message = format!("{:#}", bundle(&bundled(&path, "/lib")).unwrap_err());
            assert!(message.contains("socket") && message.contains("neither"), "{message}");
        }
        let missing = bundle(&bundled(&folder.path().join("missing"), "/lib")).unwrap_err();
        assert!(format!("{missing:#}").contains("missing"));
    }

    #[test]
    fn a_tree_has_two_paths() {
        let parsed: Bundled = "lib::/usr/lib".parse().unwrap();
        assert_eq!(parsed, bundled(Path::new("lib"), "/usr/lib")[0]);
        for wrong in ["", "lib", "::/a", "lib::", "lib::a", "lib::."] {
            assert!(wrong.parse::<Bundled>().is_err(), "{wrong}");
        }
    }
}
