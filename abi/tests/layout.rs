//! `layout.txt`: the layout that artifacts of the present format version have.
//!
//! A change of it is a change of the format, so it needs another [`FORMAT_VERSION`]. With that,
//! `BLESS=1` writes the new layout.

use std::path::Path;
use wfaas_abi::artifact::FORMAT_VERSION;
use wfaas_abi::description::layout_text;

fn version(layout: &str) -> Option<u32> {
    layout.lines().next()?.strip_prefix("format version ")?.parse().ok()
}

/// The first line that differs, in both.
fn difference<'a>(written: &'a str, now: &'a str) -> (&'a str, &'a str) {
    let (mut written, mut now) = (written.lines(), now.lines());
    loop {
        match (written.next(), now.next()) {
            (Some(written), Some(now)) if written == now => {}
            (written, now) => return (written.unwrap_or("(end)"), now.unwrap_or("(end)")),
        }
    }
}

#[test]
fn the_layout_is_that_of_the_format_version() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("layout.txt");
    let (written, now) = (std::fs::read_to_string(&file).unwrap_or_default(), layout_text());
    if written == now {
        return;
    }
    let (was, is) = difference(&written, &now);
    assert_ne!(
        version(&written),
        Some(FORMAT_VERSION),
        "the layout has changed, from \"{was}\" to \"{is}\": raise FORMAT_VERSION"
    );
    assert!(
        std::env::var_os("BLESS").is_some(),
        "layout.txt is of another format version (BLESS=1 writes it anew): \"{was}\" is \"{is}\""
    );
    std::fs::write(file, now).unwrap();
}
