//! An Extism plug-in: counts the vowels of its input. The setting `vowels` says which letters are some.

mod host;

/// The vowels of English, unless the plug-in's settings say otherwise.
const VOWELS: &str = "aeiouAEIOU";

/// The export. With the crate `extism-pdk` it is `#[plugin_fn] fn count_vowels(input: String)`, and
/// `host.rs` is not needed.
#[unsafe(no_mangle)]
extern "C" fn count_vowels() -> i32 {
    let Ok(input) = String::from_utf8(host::input()) else {
        host::set_error("the input is not text");
        return 1;
    };
    let vowels = host::config("vowels").unwrap_or(VOWELS.to_owned());
    let count = input.chars().filter(|letter| vowels.contains(*letter)).count();
    host::info(&format!("{count} vowels in {} bytes", input.len()));
    host::set_output(format!("{{\"count\":{count}}}").as_bytes());
    0
}
