//! A CGI program (RFC 3875): the request is in environment variables and on standard input, the answer
//! goes to standard output, headers first. Any language can do that.

use std::io::Read;

fn main() -> std::io::Result<()> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let mut body = String::new();
    std::io::stdin().read_to_string(&mut body)?;
    let name = match body.trim() {
        "" => "world",
        name => name,
    };
    // `Status: 404 Not Found` would set another status than 200. An empty line ends the headers.
    println!("Content-Type: text/plain; charset=utf-8");
    println!();
    println!("hello, {name}");
    println!("{} {}{}", variable("REQUEST_METHOD"), variable("SCRIPT_NAME"), variable("PATH_INFO"));
    Ok(())
}
