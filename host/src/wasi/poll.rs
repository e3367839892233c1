//! `poll_oneoff`: waiting for clocks and for the standard streams.

use super::Guest;
use super::clocks;
use super::errno::{Errno, Failure};
use super::guest::{self, GuestPtr, u32_at, u64_at};
use super::streams::Stream;
use super::wait::wait;
use crate::state::HostState;
use rustix::event::PollFd;
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
    Stream(Stream),
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
    let mut number = 0;
    for event in wait_for(guest, &wanted)? {
        guest::write(guest, events.element(number, EVENT_BYTES)?, &event)?;
        number += 1;
    }
    Ok(guest::write_u32(guest, stored, number)?)
}

fn subscription(guest: &mut Guest<'_>, at: GuestPtr) -> Result<Subscription, Errno> {
    let record: [u8; SUBSCRIPTION_BYTES as usize] = guest::record(guest, at)?;
    let tag = record[8];
    let wanted = match tag {
        0 => wake_time(&record).map(Wanted::Time),
        1 => Stream::open(guest.data(), u32_at(&record, 16)).and_then(|stream| match stream {
            Stream::Stdin => Ok(Wanted::Stream(stream)),
            Stream::Stdout | Stream::Stderr => Err(Errno::Badf),
        }),
        2 => Stream::open(guest.data(), u32_at(&record, 16)).and_then(|stream| match stream {
            Stream::Stdin => Err(Errno::Badf),
            Stream::Stdout | Stream::Stderr => Ok(Wanted::Stream(stream)),
        }),
        _ => return Err(Errno::Inval),
    };
    Ok(Subscription { userdata: u64_at(&record, 0), tag, wanted })
}

fn wake_time(record: &[u8]) -> Result<Option<Instant>, Errno> {
    let clock = clocks::clock(u32_at(record, 16))?;
    let timeout = u64_at(record, 24);
    let absolute = u32_at(record, 40) & ABSOLUTE_TIME != 0;
    let nanoseconds = if absolute { timeout.saturating_sub(clocks::now(clock)?) } else { timeout };
    Ok(Instant::now().checked_add(Duration::from_nanos(nanoseconds)))
}

/// Waits until at least one subscription has something to tell.
fn wait_for(
    guest: &Guest<'_>,
    subscriptions: &[Subscription],
) -> Result<Vec<[u8; EVENT_BYTES as usize]>, Errno> {
    let state = guest.data();
    let (owners, mut descriptors) = descriptors(state, subscriptions);
    let mut until: Option<Instant> = None;
    for subscription in subscriptions {
        let time = match subscription.wanted {
            Ok(Wanted::Time(time)) => time,
            // An error, or a buffer: ready now.
            Ok(Wanted::Stream(stream)) if stream.descriptor(state).is_some() => None,
            _ => Some(Instant::now()),
        };
        until = until.into_iter().chain(time).min();
    }
    let ready = wait(guest, &mut descriptors, until)?;
    let now = Instant::now();
    let events =
        subscriptions.iter().enumerate().filter(|(index, subscription)| {
            match subscription.wanted {
                Err(_) => true,
                Ok(Wanted::Time(time)) => time.is_some_and(|time| time <= now),
                Ok(Wanted::Stream(_)) => match owners.iter().position(|owner| owner == index) {
                    Some(descriptor) => ready[descriptor],
                    None => true,
                },
            }
        });
    Ok(events.map(|(_, subscription)| event(state, subscription)).collect())
}

/// The descriptors of the process to wait for, and whose subscription (by index) each one is.
fn descriptors<'a>(
    state: &'a HostState,
    subscriptions: &[Subscription],
) -> (Vec<usize>, Vec<PollFd<'a>>) {
    subscriptions
        .iter()
        .enumerate()
        .filter_map(|(index, subscription)| {
            let Ok(Wanted::Stream(stream)) = subscription.wanted else { return None };
            Some((index, stream.descriptor(state)?))
        })
        .unzip()
}

fn event(state: &HostState, subscription: &Subscription) -> [u8; EVENT_BYTES as usize] {
    let mut event = [0; EVENT_BYTES as usize];
    event[0..8].copy_from_slice(&subscription.userdata.to_le_bytes());
    event[10] = subscription.tag;
    match subscription.wanted {
        Err(errno) => event[8..10].copy_from_slice(&(errno as u16).to_le_bytes()),
        Ok(Wanted::Stream(Stream::Stdin)) => {
            let available = state.stdin.available();
            event[16..24].copy_from_slice(&available.unwrap_or(0).to_le_bytes());
        }
        Ok(_) => {}
    }
    event
}
