//! Greets in the language that the request's body names: `fr` is answered with a line of
//! `/usr/share/greetings/fr.txt`, which the artifact has.
//!
//! Each request also adds a line to `/tmp/log`, and finds its own there alone.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::process::ExitCode;

const GREETINGS: &str = "/usr/share/greetings";
const LOG: &str = "/tmp/log";

fn main() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rust-greetings: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer() -> io::Result<()> {
    let mut language = String::new();
    io::stdin().read_to_string(&mut language)?;
    let greeting = fs::read_to_string(format!("{GREETINGS}/{}.txt", language.trim()))?;

    let mut log = File::options().append(true).create(true).open(LOG)?;
    writeln!(log, "{language}")?;
    let lines = fs::read_to_string(LOG)?.lines().count();
    writeln!(io::stdout(), "{} ({lines} line in {LOG})", greeting.trim())
}
