//! `poll_oneoff`: waiting for clocks and for streams.

use super::clocks;
use super::errno::{Errno, Failure};
use super::guest::{self, Guest, GuestPtr, u32_at, u64_at};
use crate::table::Descriptor;
use crate::wait::{self, Events, Wait};
use std::time::{Duration, Instant};

/// Most subscriptions of one call.
const MAX_SUBSCRIPTIONS: u32 = 1024;
/// Bytes of a subscription: userdata (u64), tag (u8 at 8), then from 16 on either clock (u32),
/// timeout (u64 at 24), precision (u64 at 32), flags (u16 at 40); or a descriptor (u32).
const SUBSCRIPTION_BYTES: u32 = 48;
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
    Stream(u32),
}

pub(super) fn poll_oneoff(
    guest: &mut Guest<'_>,
    subscriptions: GuestPtr,
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
        wanted.push(subscription(guest, subscriptions.element(index, SUBSCRIPTION_BYTES)?)?);
    }
    let happened = happened(guest, &wanted)?;
    if happened.is_empty() {
        return Err(wait_for(guest, &wanted).into());
    }
    let mut number = 0;
    for event in happened {
        guest::write(guest, events.element(number, EVENT_BYTES)?, &event)?;
        number += 1;
    }
    Ok(guest::write_u32(guest, stored, number)?)
}

fn subscription(guest: &mut Guest<'_>, at: GuestPtr) -> Result<Subscription, Errno> {
    let record: [u8; SUBSCRIPTION_BYTES as usize] = guest::record(guest, at)?;
    let tag = record[8];
    let fd = u32_at(&record, 16);
    let wanted = match (tag, guest.wasi().table.get(fd)) {
        (0, _) => wake_time(guest, &record).map(Wanted::Time),
        (1, Ok(Descriptor::Input(_))) | (2, Ok(Descriptor::Output(_))) => Ok(Wanted::Stream(fd)),
        (1 | 2, _) => Err(Errno::Badf),
        _ => return Err(Errno::Inval),
    };
    Ok(Subscription { userdata: u64_at(&record, 0), tag, wanted })
}

/// When a clock's subscription is due. A duration counts from the beginning of the call.
fn wake_time(guest: &mut Guest<'_>, record: &[u8]) -> Result<Option<Instant>, Errno> {
    let clock = clocks::clock(u32_at(record, 16))?;
    let timeout = u64_at(record, 24);
    let absolute = u32_at(record, 40) & ABSOLUTE_TIME != 0;
    if absolute {
        let left = timeout.saturating_sub(clocks::now(clock)?);
        return Ok(Instant::now().checked_add(Duration::from_nanos(left)));
    }
    Ok(guest.began().checked_add(Duration::from_nanos(timeout)))
}

/// The events of all subscriptions that have something to tell now.
fn happened(guest: &mut Guest<'_>, subscriptions: &[Subscription]) -> Result<Vec<Event>, Errno> {
    let now = Instant::now();
    let mut events = Vec::new();
    for subscription in subscriptions {
        let happened = match subscription.wanted {
            Err(_) => true,
            Ok(Wanted::Time(time)) => time.is_some_and(|time| time <= now),
            Ok(Wanted::Stream(fd)) => is_ready(guest.wasi().table.get(fd)?)?,
        };
        if happened {
            events.push(event(guest, subscription));
        }
    }
    Ok(events)
}

fn is_ready(descriptor: &Descriptor) -> Result<bool, Errno> {
    match descriptor.process() {
        Some(descriptor) => wait::is_ready(descriptor),
        None => Ok(!descriptor.is_awaited()),
    }
}

/// The wait for the first of the subscriptions, none of which has anything to tell now.
fn wait_for(guest: &mut Guest<'_>, subscriptions: &[Subscription]) -> Wait {
    let mut events = Events::default();
    let mut fds: Vec<u32> = Vec::new();
    for subscription in subscriptions {
        match subscription.wanted {
            Ok(Wanted::Time(time)) => events.until = events.until.into_iter().chain(time).min(),
            Ok(Wanted::Stream(fd)) if !fds.contains(&fd) => fds.push(fd),
            Ok(Wanted::Stream(_)) | Err(_) => {}
        }
    }
    for fd in fds {
        let Ok(descriptor) = guest.wasi().table.get(fd) else { continue };
        match descriptor.process() {
            Some(descriptor) => events.descriptors.push(descriptor),
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
        Ok(Wanted::Stream(fd)) => {
            if let Ok(Descriptor::Input(input)) = guest.wasi().table.get(fd) {
                event[16..24].copy_from_slice(&input.available().unwrap_or(0).to_le_bytes());
            }
        }
        Ok(Wanted::Time(_)) => {}
    }
    event
}
