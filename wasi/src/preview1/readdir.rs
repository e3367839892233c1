//! `fd_readdir`.
//!
//! A guest's cookie 0 is the entry `.`, 1 is `..`, and any other one is two more than the backend's.
//! A buffer that is not full says that there are no more entries, so it is filled as far as there are
//! some, and the last entry is cut where the buffer ends.

use super::errno::Failure;
use super::guest::{self, Guest, GuestPtr};
use super::rights::Rights;
use super::stat::file_type;
use crate::files::{self, Directory, Entry, FileType};
use crate::wait::Wait;
use crate::work::work;

/// Bytes of a `dirent` before the name: cookie of the next one (u64), inode (u64 at 8), length of the
/// name (u32 at 16), file type (u8 at 20).
const DIRENT_BYTES: usize = 24;

/// Most entries before others have their turn.
const MAX_ENTRIES: usize = 256;

/// Cookies of `.` and `..`.
const OWN_ENTRIES: u64 = 2;

pub(super) fn fd_readdir(
    guest: &mut Guest<'_>,
    fd: u32,
    buf: GuestPtr,
    buf_len: u32,
    cookie: u64,
    used: GuestPtr,
) -> Result<(), Failure> {
    let directory = guest.wasi().table.directory(fd, Rights::FD_READDIR)?;
    guest::bytes(guest, buf.slice(buf_len))?;
    guest::bytes(guest, used.slice(4))?;
    let done = *guest.transferred();
    let cookie = if done == 0 { cookie } else { *guest.progress() };
    let room = (buf_len - done) as usize;
    // One more than fits, even if the names had no bytes.
    let most = (room / DIRENT_BYTES + 1).min(MAX_ENTRIES);
    let blocks = directory.blocks();
    work(
        guest,
        blocks,
        move || entries(&*directory, cookie, most),
        move |guest, entries| {
            let entries = entries?;
            let (bytes, next) = dirents(&entries, room);
            guest::write(guest, buf.add(done)?, &bytes)?;
            *guest.transferred() = done + bytes.len() as u32;
            let is_full = *guest.transferred() == buf_len;
            match next {
                Some(next) if !is_full && !guest.interrupted() => {
                    *guest.progress() = next;
                    Err(Wait::Turn.into())
                }
                _ => {
                    let total = *guest.transferred();
                    Ok(guest::write_u32(guest, used, total)?)
                }
            }
        },
    )
}

/// Entries from a guest's cookie on, with guest's cookies; none at the end.
fn entries(directory: &dyn Directory, cookie: u64, most: usize) -> files::Result<Vec<Entry>> {
    let Some(cookie) = cookie.checked_sub(OWN_ENTRIES) else {
        let inode = directory.stat()?.inode;
        let own = [(".", 1), ("..", OWN_ENTRIES)].map(|(name, next)| Entry {
            name: name.to_owned(),
            inode,
            kind: FileType::Directory,
            next,
        });
        return Ok(own.into_iter().skip(cookie as usize).collect());
    };
    let mut entries = directory.list(cookie, most)?;
    for entry in &mut entries {
        entry.next = entry.next.saturating_add(OWN_ENTRIES);
    }
    Ok(entries)
}

/// Entries as the guest gets them, up to `room` bytes, and the cookie of those that follow.
fn dirents(entries: &[Entry], room: usize) -> (Vec<u8>, Option<u64>) {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(entry.next.to_le_bytes());
        bytes.extend(entry.inode.to_le_bytes());
        bytes.extend((entry.name.len() as u32).to_le_bytes());
        bytes.extend([file_type(entry.kind), 0, 0, 0]);
        bytes.extend(entry.name.as_bytes());
        if bytes.len() >= room {
            bytes.truncate(room);
            break;
        }
    }
    (bytes, entries.last().map(|entry| entry.next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_is_cut_where_the_buffer_ends() {
        let entry = |name: &str, next| Entry {
            name: name.to_owned(),
            inode: 7,
            kind: FileType::Regular,
            next,
        };
        let entries = [entry("ab", 3), entry("c", 9)];
        let (all, next) = dirents(&entries, 1000);
        assert_eq!((all.len(), next), (2 * DIRENT_BYTES + 3, Some(9)));
        assert_eq!(all[DIRENT_BYTES..DIRENT_BYTES + 2], *b"ab");
        let (cut, _) = dirents(&entries, DIRENT_BYTES + 10);
        assert_eq!(cut, all[..DIRENT_BYTES + 10]);
        assert_eq!(dirents(&[], 10), (Vec::new(), None));
    }
}
