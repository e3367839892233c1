//! Pairs of function and error number that were seen.

use crate::common::errnos::{ERRNOS, name};
use crate::guest::{Guest, RESULT};
use std::collections::BTreeSet;

#[derive(Default)]
pub(crate) struct Shown(BTreeSet<(&'static str, u16)>);

impl Shown {
    /// Calls a function, which answers this.
    #[track_caller]
    pub(crate) fn call(&mut self, guest: &mut Guest, function: &str, args: &[u64], errno: u16) {
        let answer = guest.call(function, args);
        assert_eq!(name(answer), name(errno), "{function} {args:?}");
        self.saw(function, errno);
    }

    /// Takes note of an answer that somebody else has compared.
    #[track_caller]
    pub(crate) fn saw(&mut self, function: &str, errno: u16) {
        let row = ERRNOS.iter().find(|row| row.0 == function);
        let (function, errnos) = row.unwrap_or_else(|| panic!("{function} is not in the list"));
        assert!(errno == 0 || errnos.contains(&errno), "{function}: {} is not listed", name(errno));
        self.0.insert((function, errno));
    }

    /// A function with a directory and a path, and with good arguments besides.
    #[track_caller]
    pub(crate) fn at(
        &mut self,
        guest: &mut Guest,
        function: &str,
        fd: u64,
        path: &[u8],
        errno: u16,
    ) {
        let [at, len] = guest.path(0, path);
        let args = with_path(guest, function, fd, [at, len]);
        self.call(guest, function, &args, errno);
    }

    /// Looks whether everything in the list was shown, and success of every function.
    pub(crate) fn check(&self) {
        let mut missing = Vec::new();
        for (function, errnos) in ERRNOS {
            let successful = if *function == "proc_raise" { &[][..] } else { &[0] };
            let wanted = errnos.iter().chain(successful);
            missing.extend(
                wanted
                    .filter(|errno| !self.0.contains(&(function, **errno)))
                    .map(|errno| format!("{function} {}", name(*errno))),
            );
        }
        assert!(missing.is_empty(), "not shown: {missing:#?}");
    }
}

/// Functions with a path below a descriptor.
pub(crate) const WITH_PATH: [&str; 10] = [
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
];

/// Arguments of such a function, with this descriptor and path, and otherwise good ones.
pub(crate) fn with_path(
    guest: &mut Guest,
    function: &str,
    fd: u64,
    [at, len]: [u64; 2],
) -> Vec<u64> {
    const READ: u64 = 1 << 1;
    let [other, other_len] = guest.path(1, "other");
    match function {
        "path_create_directory" | "path_remove_directory" | "path_unlink_file" => vec![fd, at, len],
        "path_filestat_get" => vec![fd, 1, at, len, RESULT],
        "path_filestat_set_times" => vec![fd, 1, at, len, 0, 0, 0b1010],
        "path_link" => vec![fd, 1, at, len, fd, other, other_len],
        "path_open" => vec![fd, 1, at, len, 0, READ, 0, 0, RESULT],
        "path_readlink" => vec![fd, at, len, crate::guest::DATA, 100, RESULT],
        "path_rename" => vec![fd, at, len, fd, other, other_len],
        "path_symlink" => vec![other, other_len, fd, at, len],
        _ => panic!("{function} has no path"),
    }
}
