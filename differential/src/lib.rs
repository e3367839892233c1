//! An independent judge of compiler and VM: random modules, and what must hold for each of them.
//!
//! * a *seed* stands for a module and the calls of its exports; the same seed always gives the
//!   same of both ([`generate`]);
//! * *wfaas = peer*: results, traps by kind, and then exported globals, tables and memories are
//!   those of another engine ([`compare`]);
//! * *restored = fresh*: an instance restored from a capture goes on as the captured one does, and
//!   what a pool hands out behaves the same for every request ([`restore`]);
//! * each module is compiled with one of the bounds strategies, and with some of the proofs that
//!   elide checks (`build`): the seed says which;
//! * [`run_seed`] checks both; an [`Outcome`] says how far that went, a [`Disagreement`] what
//!   broke and how to see it again;
//! * [`hostile`] holds what must hold for arbitrary bytes.
//!
//! The peer is wasmi. It knows neither typed function references nor exceptions nor threads;
//! modules with those go through *restored = fresh* alone. A heavier peer would gain little:
//! wasm-smith makes typed references only along with garbage-collected types, which are refused.
//! Relaxed SIMD is left out, since engines may differ there.
//!
//! The fuzz targets in `fuzz/` and the tests here call the same functions.
//!
//! ```
//! use wfaas_differential::{Choice, run_seed};
//!
//! let outcome = run_seed(1, &Choice::all()).unwrap();
//! println!("{outcome:?}");
//! ```

mod build;
pub mod compare;
mod exports;
pub mod generate;
mod guest;
pub mod hostile;
mod ours;
mod peer;
mod random;
pub mod restore;
mod run;

pub use build::Build;
pub use generate::{Choice, FEATURES, Feature};
pub use random::Random;
pub use run::{Disagreement, Outcome, Verdict, restore_bytes, run_bytes, run_module, run_seed};
