//! Oniguruma in C, Ruby's regular expressions: finds all matches of three patterns in a text.

use onig_sys::{
    ONIG_OPTION_NONE, OnigDefaultSyntax, OnigEncodingASCII, OnigRegex, onig_new, onig_region_free,
    onig_region_new, onig_search,
};
use programs::{Words, measure, mix};
use std::ptr::{addr_of, addr_of_mut, null_mut};

const PATTERNS: [&str; 3] =
    [r"\b(ka|lo)\w+ing\b", r"(?i)[a-m]+tor(?:ren)?(?=\.)", r"(\w+) \w+ \1"];

fn compile(pattern: &str) -> OnigRegex {
    let mut regex = null_mut();
    let bytes = pattern.as_bytes().as_ptr_range();
    let code = unsafe {
        let (encoding, syntax) = (addr_of_mut!(OnigEncodingASCII), addr_of!(*OnigDefaultSyntax));
        let options = ONIG_OPTION_NONE;
        onig_new(&mut regex, bytes.start, bytes.end, options, encoding, syntax.cast_mut(), null_mut())
    };
    assert_eq!(code, 0);
    regex
}

fn main() {
    let text = Words::new(6, 3000).text(60_000);
    let regexes = PATTERNS.map(compile);
    let region = unsafe { onig_region_new() };
    measure(|| {
        let mut sum = 0;
        for regex in regexes {
            let bytes = text.as_bytes().as_ptr_range();
            let mut at = bytes.start;
            while at < bytes.end {
                let found = unsafe {
                    onig_search(regex, bytes.start, bytes.end, at, bytes.end, region, 0)
                };
                let Ok(start) = usize::try_from(found) else { break };
                let end = unsafe { *(*region).end } as usize;
                sum = mix(sum, (start as u64) << 32 | end as u64);
                at = bytes.start.wrapping_add(end.max(start + 1));
            }
        }
        unsafe { onig_region_free(region, 0) };
        sum
    });
}
