//! `poll_oneoff`: waiting for clocks and for descriptors.

use super::clocks;
use super::errno::{Errno, Failure};
use super::guest::{self, Guest, GuestPtr, u32_at, u64_at};
use super::rights::Rights;
use crate::files::File;
use crate::table::{Descriptor, Object};
use crate::wait::{self, Events, Wait, Watched};
use crate::work::work;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most subscriptions of one call.
const MAX_SUBSCRIPTIONS: u32 = 1024;
/// Layout of a subscription: userdata (u64), tag (u8 at 8), a descriptor (u32 at 16), or of a clock its
/// number (u32), timeout (u64, 8 bytes on), precision (u64, 16 bytes on), flags (u16, 24 bytes on).
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Bytes of a subscription.
    pub(super) bytes: u32,
    /// Where a clock's number is.
    pub(super) clock: usize,
}

/// Subscriptions of preview1.
const SUBSCRIPTION: Layout = Layout { bytes: 48, clock: 16 };

/// Most bytes of a subscription.
const MAX_SUBSCRIPTION_BYTES: usize = 56;

/// Bytes of an event: userdata (u64), error (u16 at 8), type (u8 at 10), bytes ready (u64 at 16).
const EVENT_BYTES: u32 = 32;
/// The flag of a timeout that is a time, not a duration.
const ABSOLUTE_TIME: u32 = 1;

type Event = [u8; EVENT_BYTES as usize];

/// What a guest waits for.
struct Subscription {
    userdata: u64,
    tag: u8,
    wanted: Result<Wanted, Errno>,
}

#[derive(Clone, Copy)]
enum Wanted {
    /// A time; `None` if it is too far away to ever come.
    Time(Option<Instant>),
    /// A descriptor to read or write.
    Descriptor(u32, Direction),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

pub(super) fn poll_oneoff(
    guest: &mut Guest<'_>,
    subscriptions: GuestPtr,
    events: GuestPtr,
    count: u32,
    stored: GuestPtr,
) -> Result<(), Failure> {
    poll(guest, (subscriptions, SUBSCRIPTION), events, count, stored)
}

/// Waits for the first of some subscriptions.
pub(super) fn poll(
    guest: &mut Guest<'_>,
    (subscriptions, layout): (GuestPtr, Layout),
    events: GuestPtr,
    count: u32,
    stored: GuestPtr,
) -> Result<(), Failure> {
    if count == 0 || count > MAX_SUBSCRIPTIONS {
        return Err(Errno::Inval.into());
    }
    // Everything that can be wrong with pointers is known before the wait.
    guest::bytes(guest, events.slice(count * EVENT_BYTES))?;
    guest::bytes(guest, stored.slice(4))?;
    let mut wanted = Vec::with_capacity(count as usize);
    for index in 0..count {
        wanted.push(subscription(guest, subscriptions.element(index, layout.bytes)?, layout)?);
    }
    let happened = happened(guest, &wanted)?;
    if happened.events.is_empty() {
        return Err(wait_for(guest, &wanted).into());
    }
    let Happened { events: mut told, files } = happened;
    let blocks = files.iter().any(|(_, file, _)| file.blocks());
    // A file is always ready, but its size may be asked for over a network.
    let sizes = move || {
        let left = |file: &dyn File, position: u64| {
            file.stat().map_or(0, |stat| stat.size.saturating_sub(position))
        };
        let sized = files.iter().map(|(index, file, position)| (*index, left(&**file, *position)));
        sized.collect::<Vec<_>>()
    };
    work(guest, blocks, sizes, move |guest, sizes| {
        for (index, size) in sizes {
            set_available(&mut told[index], size);
        }
        store(guest, &told, events, stored)
    })
}

/// Tells the guest what has happened.
fn store(
    guest: &mut Guest<'_>,
    told: &[Event],
    events: GuestPtr,
    stored: GuestPtr,
) -> Result<(), Failure> {
    let mut number = 0;
    for event in told {
        guest::write(guest, events.element(number, EVENT_BYTES)?, event)?;
        number += 1;
    }
    Ok(guest::write_u32(guest, stored, number)?)
}

fn subscription(
    guest: &mut Guest<'_>,
    at: GuestPtr,
    layout: Layout,
) -> Result<Subscription, Errno> {
    let mut record = [0; MAX_SUBSCRIPTION_BYTES];
    let bytes = guest::bytes(guest, at.slice(layout.bytes))?;
    record[..bytes.len()].copy_from_slice(bytes);
    let (tag, fd) = (record[8], u32_at(&record, 16));
    let wanted = match tag {
        0 => wake_time(guest, &record[layout.clock..]).map(Wanted::Time),
        1 => pollable(guest, fd, Direction::Read),
        2 => pollable(guest, fd, Direction::Write),
        _ => Err(Errno::Inval),
    };
    Ok(Subscription { userdata: u64_at(&record, 0), tag, wanted })
}

/// A descriptor, if it can be waited for.
fn pollable(guest: &mut Guest<'_>, fd: u32, direction: Direction) -> Result<Wanted, Errno> {
    let descriptor = guest.wasi().table.get(fd)?;
    match (&descriptor.object, direction) {
        (Object::Connection(_) | Object::File { .. }, _)
        | (Object::Input(_) | Object::Listener(_), Direction::Read)
        | (Object::Output(_), Direction::Write) => {}
        _ => return Err(Errno::Badf),
    }
    descriptor.rights.check(Rights::POLL_FD_READWRITE)?;
    Ok(Wanted::Descriptor(fd, direction))
}

/// When a clock's subscription is due. A duration counts from the beginning of the call.
fn wake_time(guest: &mut Guest<'_>, record: &[u8]) -> Result<Option<Instant>, Errno> {
    let clock = clocks::clock(u32_at(record, 0))?;
    let timeout = u64_at(record, 8);
    let absolute = u32_at(record, 24) & ABSOLUTE_TIME != 0;
    if absolute {
        let left = timeout.saturating_sub(clocks::now(guest, clock)?);
        return Ok(Instant::now().checked_add(Duration::from_nanos(left)));
    }
    Ok(guest.began().checked_add(Duration::from_nanos(timeout)))
}

/// Events that have something to tell, and those of them that are about reading a file: the event's index, the
/// file, and the bytes before the next one that is read.
#[derive(Default)]
struct Happened {
    events: Vec<Event>,
    files: Vec<(usize, Arc<dyn File>, u64)>,
}

/// The events of all subscriptions that have something to tell now.
fn happened(guest: &mut Guest<'_>, subscriptions: &[Subscription]) -> Result<Happened, Errno> {
    let now = Instant::now();
    let mut all = Happened::default();
    for subscription in subscriptions {
        let happened = match subscription.wanted {
            Err(_) => true,
            Ok(Wanted::Time(time)) => time.is_some_and(|time| time <= now),
            Ok(Wanted::Descriptor(fd, direction)) => {
                is_ready(guest.wasi().table.get(fd)?, direction)?
            }
        };
        if happened {
            if let Ok(Wanted::Descriptor(fd, Direction::Read)) = subscription.wanted
                && let Object::File { file, position } = &guest.wasi().table.get(fd)?.object
            {
                all.files.push((all.events.len(), file.clone(), *position));
            }
            all.events.push(event(guest, subscription));
        }
    }
    Ok(all)
}

/// The descriptor of this process that is waited for, if it is one.
fn watched(descriptor: &Descriptor, direction: Direction) -> Option<Watched> {
    match direction {
        Direction::Read => descriptor.readable(),
        Direction::Write => descriptor.writable(),
    }
}

fn is_ready(descriptor: &Descriptor, direction: Direction) -> Result<bool, Errno> {
    match watched(descriptor, direction) {
        Some(watched) => wait::is_ready(&watched),
        None => Ok(!descriptor.is_awaited()),
    }
}

/// The wait for the first of the subscriptions, none of which has anything to tell now.
fn wait_for(guest: &mut Guest<'_>, subscriptions: &[Subscription]) -> Wait {
    let mut events = Events::default();
    let mut fds: Vec<(u32, Direction)> = Vec::new();
    for subscription in subscriptions {
        match subscription.wanted {
            Ok(Wanted::Time(time)) => events.until = events.until.into_iter().chain(time).min(),
            Ok(Wanted::Descriptor(fd, direction)) if !fds.contains(&(fd, direction)) => {
                fds.push((fd, direction));
            }
            Ok(Wanted::Descriptor(..)) | Err(_) => {}
        }
    }
    for (fd, direction) in fds {
        let Ok(descriptor) = guest.wasi().table.get(fd) else { continue };
        match watched(descriptor, direction) {
            Some(watched) => events.descriptors.push(watched),
            None => events.streams.push(fd),
        }
    }
    Wait::For(events)
}

fn event(guest: &mut Guest<'_>, subscription: &Subscription) -> Event {
    let mut event = [0; EVENT_BYTES as usize];
    event[0..8].copy_from_slice(&subscription.userdata.to_le_bytes());
    event[10] = subscription.tag;
    match subscription.wanted {
        Err(errno) => event[8..10].copy_from_slice(&(errno as u16).to_le_bytes()),
        Ok(Wanted::Descriptor(fd, Direction::Read)) => {
            let available = guest.wasi().table.get(fd).map_or(0, |one| available(&one.object));
            set_available(&mut event, available);
        }
        Ok(Wanted::Descriptor(_, Direction::Write) | Wanted::Time(_)) => {}
    }
    event
}

fn set_available(event: &mut Event, bytes: u64) {
    event[16..24].copy_from_slice(&bytes.to_le_bytes());
}

/// Bytes that can be read without waiting, as far as that is known. Those of a file are asked for later.
fn available(object: &Object) -> u64 {
    match object {
        Object::Input(input) => input.available().unwrap_or(0),
        Object::Connection(connection) => rustix::io::ioctl_fionread(connection).unwrap_or(0),
        Object::File { .. }
        | Object::Output(_)
        | Object::Directory { .. }
        | Object::Listener(_) => 0,
    }
}
