//! Runs scripts of Python that nobody has read: each in an interpreter of its own that is already there.

use std::error::Error;
use std::io::{Read, Write};
use std::time::Duration;
use wfaas_sandbox::{Exit, Limits, Options, Sandbox};

/// Shows a script's bytes on a terminal, which control characters could rewrite.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let harmless = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(harmless).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let artifact = arguments.next().ok_or("usage: python-sandbox ARTIFACT [SCRIPT]...")?;
    let limits = Limits {
        memory: 128 << 20,
        cpu: Duration::from_secs(1),
        time: Duration::from_secs(5),
        output: 64 << 10,
        files: 1 << 20, // in /tmp, in memory
    };
    // Once: the interpreter waits for its script in the artifact's image.
    let options = Options { limits, ..Options::default() };
    let sandbox = Sandbox::from_artifact(&std::fs::read(artifact)?, options)?;

    let mut scripts: Vec<Vec<u8>> = Vec::new();
    for path in arguments {
        scripts.push(std::fs::read(path)?);
    }
    if scripts.is_empty() {
        let mut script = Vec::new();
        std::io::stdin().read_to_end(&mut script)?;
        scripts.push(script);
    }
    for script in scripts {
        let output = sandbox.run(script)?;
        print!("{}", printable(&output.stdout));
        std::io::stdout().flush()?;
        eprint!("{}", printable(&output.stderr));
        let end = match output.exit {
            Exit::Code(code) => format!("exit code {code}"),
            Exit::Trap(message) => format!("trap: {message}"),
            limit => format!("ended at its limit: {limit:?}"),
        };
        eprintln!("-- {end}, {:?} of processor time", output.usage.cpu);
    }
    Ok(())
}
