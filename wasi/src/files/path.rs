//! Paths: text that a guest gave, split into what a directory looks up.
//!
//! A path is names with slashes between them, relative to an open directory. Empty names and `.` say
//! nothing; `..` is the directory above, and never above the one the path begins at. A slash at the
//! end says that the last name is a directory's.

use super::{Error, Result};

/// Longest path, in bytes, as Linux's `PATH_MAX` without the NUL.
pub const MAX_PATH: usize = 4095;

/// Longest name, in bytes.
pub const MAX_NAME: usize = 255;

/// Most symlinks followed for one path.
pub const MAX_SYMLINKS: usize = 40;

/// Most names that are looked up for one path in trees that this process keeps, those in targets of symlinks
/// included. Any path without symlinks has fewer.
pub const MAX_STEPS: usize = MAX_PATH;

/// A path, split before its last name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split<'a> {
    /// Path of the directory with the last name in it; empty for the one the path begins at.
    pub parent: &'a str,
    /// The last name, with the slashes after it: `.` and `..` too.
    pub last: &'a str,
}

impl Split<'_> {
    /// The last name without slashes.
    pub fn name(&self) -> &str {
        self.last.trim_end_matches('/')
    }

    /// Whether the path says that its last name is a directory's.
    pub fn is_directory(&self) -> bool {
        self.last.ends_with('/')
    }
}

/// Splits a path before its last name.
///
/// # Errors
/// [`Error::NotFound`] for the empty path; [`Error::Escapes`] for an absolute one.
pub fn split(path: &str) -> Result<Split<'_>> {
    if path.is_empty() {
        return Err(Error::NotFound);
    }
    if path.starts_with('/') {
        return Err(Error::Escapes);
    }
    let name_end = path.trim_end_matches('/').len();
    let start = path[..name_end].rfind('/').map_or(0, |slash| slash + 1);
    Ok(Split { parent: &path[..start], last: &path[start..] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_before_its_last_name() {
        for (path, parent, last) in [
            ("a", "", "a"),
            ("a/", "", "a/"),
            ("a//", "", "a//"),
            ("a/b", "a/", "b"),
            ("a//b/", "a//", "b/"),
            ("../x", "../", "x"),
            (".", "", "."),
            ("a/..", "a/", ".."),
        ] {
            assert_eq!(split(path), Ok(Split { parent, last }), "{path}");
        }
        assert_eq!(split(""), Err(Error::NotFound));
        for absolute in ["/", "//", "/a", "/a/b"] {
            assert_eq!(split(absolute), Err(Error::Escapes));
        }
        assert!(split("a/").is_ok_and(|split| split.is_directory() && split.name() == "a"));
    }
}
