//! Every error number of every function, shown.
//!
//! `common/errnos.rs` has the list: functions, each with the error numbers that it can answer. The scenes here
//! show each of them by a call, and none that is not in the list. What only a broken disk or a host
//! without memory answers is shown with a backend that fails (`failing.rs`): all of its errors get through,
//! from every function that asks it.

#[path = "../common/mod.rs"]
mod common;

mod descriptors;
mod failing;
#[path = "../files/guest.rs"]
#[allow(dead_code)] // other tests use more of it
mod guest;
mod names;
mod shown;
mod sockets;

use shown::Shown;

#[test]
fn every_error_number_of_every_function_is_shown() {
    let mut shown = Shown::default();
    descriptors::environment(&mut shown);
    descriptors::scenes(&mut shown);
    names::scenes(&mut shown);
    names::full_disk(&mut shown);
    sockets::scenes(&mut shown);
    failing::scenes(&mut shown);
    shown.check();
}
