//! `faascli`: build, run, serve and deploy WebAssembly functions.
//!
//! * a [`subject`] is the thing that a PATH names: a function's folder, a module or an artifact;
//! * a [`manifest`] is a folder's `faas.toml`;
//! * a [`recipe`] makes a module an artifact, and the [`build_cache`] keeps it for the next time;
//! * [`bounds`] is about how a guest's accesses are kept inside its memory;
//! * a [`function`] is an artifact with its name, limits and environment;
//! * [`actions`] compiles what OpenWhisk sends to a server that is one of its containers;
//! * an [`identity`] tells a file from others, and from itself at other times;
//! * [`verified`] remembers which artifacts were checked, so that starts need not do it again;
//! * a [`network`] sends the requests of a guest that runs here;
//! * [`watch`] tells when files of a function have changed;
//! * [`commands`] has one file for each command: its options, its help, its work;
//! * the [`log`] of a command goes to standard error without anybody waiting for it;
//! * a [`failure`] is an error and whose it is, which decides the exit code; [`hints`] say what to do
//!   about it.
//!
//! This is the only place in wfaas that prints or exits, and [`output`] is the only place here that
//! prints.
#![forbid(unsafe_code)]

mod actions;
mod bounds;
mod build_cache;
mod cache_folder;
mod commands;
mod failure;
mod files;
mod function;
mod hints;
mod identity;
mod log;
mod manifest;
mod network;
mod output;
mod progress;
mod recipe;
mod subject;
mod toolchain;
mod verified;
mod watch;

use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    output::report_panics();
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(format_args!("error: {failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Runs the command of the command line; its exit code.
fn run() -> Result<u8, Failure> {
    match commands::Faascli::try_parse() {
        Ok(command) => command.run(),
        Err(answer) => Ok(output::usage(&answer)?),
    }
}
