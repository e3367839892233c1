//! Error numbers of preview1, and those that each function can answer.

macro_rules! errnos {
    ($($name:ident = $number:literal,)*) => {
        $(pub(crate) const $name: u16 = $number;)*

        /// The name of an error number.
        pub(crate) fn name(number: u16) -> &'static str {
            match number {
                0 => "SUCCESS",
                $($number => stringify!($name),)*
                _ => "?",
            }
        }
    };
}

// As the specification numbers them (typenames.witx of snapshot preview1).
errnos! {
    ACCES = 2,
    AGAIN = 6,
    BADF = 8,
    BUSY = 10,
    CONNRESET = 15,
    DQUOT = 19,
    EXIST = 20,
    FAULT = 21,
    FBIG = 22,
    ILSEQ = 25,
    INTR = 27,
    INVAL = 28,
    IO = 29,
    ISDIR = 31,
    LOOP = 32,
    MFILE = 33,
    MLINK = 34,
    NAMETOOLONG = 37,
    NOENT = 44,
    NOMEM = 48,
    NOSPC = 51,
    NOSYS = 52,
    NOTCONN = 53,
    NOTDIR = 54,
    NOTEMPTY = 55,
    NOTSOCK = 57,
    NOTSUP = 58,
    NXIO = 60,
    OVERFLOW = 61,
    PERM = 63,
    PIPE = 64,
    ROFS = 69,
    SPIPE = 70,
    STALE = 72,
    TXTBSY = 74,
    XDEV = 75,
    NOTCAPABLE = 76,
}

/// What every function with a path below a descriptor can answer: of the descriptor, of the path's text, of
/// the way that it leads.
macro_rules! path {
    ($($more:ident),* $(,)?) => {
        &[
            BADF, NOTDIR, NOTCAPABLE, // the descriptor
            FAULT, NAMETOOLONG, ILSEQ, INVAL, // the text
            NOENT, LOOP, PERM, ACCES, // the way
            $($more),*
        ]
    };
}

/// Functions, each with the error numbers that it can answer, but for those of a broken disk or a host
/// without memory: a backend's errors are passed on whatever they are.
pub(crate) const ERRNOS: &[(&str, &[u16])] = &[
    ("args_get", &[FAULT]),
    ("args_sizes_get", &[FAULT]),
    ("environ_get", &[FAULT]),
    ("environ_sizes_get", &[FAULT]),
    ("clock_res_get", &[FAULT, INVAL]),
    ("clock_time_get", &[FAULT, INVAL]),
    ("fd_advise", &[BADF, INVAL, NOTCAPABLE, SPIPE]),
    ("fd_allocate", &[BADF, FBIG, INVAL, NOSPC, NOTCAPABLE, SPIPE]),
    ("fd_close", &[BADF]),
    ("fd_datasync", &[BADF, INVAL, NOTCAPABLE]),
    ("fd_fdstat_get", &[BADF, FAULT]),
    ("fd_fdstat_set_flags", &[BADF, INVAL, NOTCAPABLE]),
    ("fd_fdstat_set_rights", &[BADF, NOTCAPABLE]),
    ("fd_filestat_get", &[BADF, FAULT, NOTCAPABLE]),
    ("fd_filestat_set_size", &[BADF, FBIG, INVAL, NOSPC, NOTCAPABLE]),
    ("fd_filestat_set_times", &[BADF, INVAL, NOSPC, NOTCAPABLE, ROFS]),
    ("fd_pread", &[BADF, FAULT, INVAL, ISDIR, NOTCAPABLE, SPIPE]),
    ("fd_prestat_get", &[BADF, FAULT]),
    ("fd_prestat_dir_name", &[BADF, FAULT, NAMETOOLONG]),
    ("fd_pwrite", &[BADF, FAULT, FBIG, INVAL, NOSPC, NOTCAPABLE, SPIPE]),
    ("fd_read", &[AGAIN, BADF, CONNRESET, FAULT, INVAL, ISDIR, NOTCAPABLE]),
    ("fd_readdir", &[BADF, FAULT, INVAL, NOTCAPABLE, NOTDIR]),
    ("fd_renumber", &[BADF]),
    ("fd_seek", &[BADF, FAULT, INVAL, NOTCAPABLE, SPIPE]),
    ("fd_sync", &[BADF, INVAL, NOTCAPABLE]),
    ("fd_tell", &[BADF, FAULT, NOTCAPABLE, SPIPE]),
    ("fd_write", &[AGAIN, BADF, CONNRESET, FAULT, FBIG, INVAL, NOSPC, NOTCAPABLE, PIPE]),
    ("path_create_directory", path!(EXIST, MLINK, NOSPC, ROFS)),
    ("path_filestat_get", path!()),
    ("path_filestat_set_times", path!(NOSPC, ROFS)),
    ("path_link", path!(EXIST, MLINK, NOSPC, ROFS, XDEV)),
    ("path_open", path!(EXIST, ISDIR, MFILE, NOSPC, NXIO, ROFS, TXTBSY)),
    ("path_readlink", path!()),
    ("path_remove_directory", path!(BUSY, NOSPC, NOTEMPTY, ROFS)),
    ("path_rename", path!(BUSY, ISDIR, NOSPC, NOTEMPTY, ROFS, XDEV)),
    ("path_symlink", path!(EXIST, NOSPC, ROFS)),
    ("path_unlink_file", path!(BUSY, ISDIR, NOSPC, ROFS)),
    ("poll_oneoff", &[FAULT, INVAL]),
    ("proc_raise", &[NOSYS]),
    ("sched_yield", &[]),
    ("random_get", &[FAULT]),
    ("sock_accept", &[AGAIN, BADF, FAULT, INVAL, MFILE, NOTCAPABLE, NOTSOCK]),
    ("sock_recv", &[AGAIN, BADF, CONNRESET, FAULT, INVAL, NOTCAPABLE, NOTCONN, NOTSOCK]),
    ("sock_send", &[AGAIN, BADF, CONNRESET, FAULT, INVAL, NOTCAPABLE, NOTCONN, NOTSOCK, PIPE]),
    ("sock_shutdown", &[BADF, INVAL, NOTCAPABLE, NOTCONN, NOTSOCK]),
];

/// The error numbers that a function can answer.
///
/// # Panics
/// If there is no such function.
pub(crate) fn of(function: &str) -> &'static [u16] {
    let row = ERRNOS.iter().find(|row| row.0 == function);
    row.unwrap_or_else(|| panic!("{function} is not in the list")).1
}
