//! Calls of guests: entering and leaving their code, stacks, faults, deadlines, and threads that
//! wait. A call is known by its [`CallState`](state::CallState) alone; nothing here knows modules,
//! memories or tables.
//!
//! | file | holds |
//! |---|---|
//! | `state` | the state of a store's call: the way back, marks, argument cells |
//! | `enter` | making a call |
//! | `current` | the calls under way on a thread |
//! | `task` | calls that can be suspended |
//! | `preempt` | suspending calls at the end of their time slice |
//! | `stack`, `stacks`, `stack_pool` | a guest's stack; lending a thread's; those of suspended calls |
//! | `faults` | signals |
//! | `control`, `terms` | deadline and cancellation of a store's calls; all that can go on in another store |
//! | `stint`, `watched`, `threads` | which calls are watched while they run, why, and where |
//! | `cpu_time`, `ticks` | processor time of calls; the counter as a clock |
//! | `watchdog`, `timers`, `bell` | the thread that sees to them, its timers, and what wakes it |
//! | `parking` | threads that wait at a shared memory |
//! | `backtrace`, `text` | frames, and which addresses are guest code |

pub(crate) mod backtrace;
mod bell;
pub(crate) mod control;
mod cpu_time;
pub(crate) mod current;
pub(crate) mod enter;
pub(crate) mod faults;
pub(crate) mod parking;
pub(crate) mod preempt;
pub(crate) mod stack;
pub(crate) mod stack_pool;
pub(crate) mod stacks;
pub(crate) mod state;
mod stint;
pub(crate) mod task;
pub(crate) mod terms;
pub(crate) mod text;
mod threads;
pub(crate) mod ticks;
mod time;
mod timers;
pub(crate) mod watchdog;
mod watched;
