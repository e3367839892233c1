//! Truncated, damaged and foreign files: a clear message and an exit code, never a signal.

use super::support::{build, run, saying, scratch, write};
use std::path::Path;

/// The file cut at `cuts` places, from nothing to one byte too few.
fn truncations(bytes: &[u8], cuts: usize) -> impl Iterator<Item = &[u8]> {
    (0..cuts).map(move |cut| &bytes[..bytes.len() * cut / cuts])
}

/// The file with one bit flipped, at `flips` places all over it. The step is odd, so that every
/// bit position comes up.
fn flips(bytes: &[u8], flips: usize) -> impl Iterator<Item = (usize, Vec<u8>)> {
    let bits = bytes.len() * 8;
    let step = (bits / flips) | 1;
    (0..flips).map(move |index| {
        let bit = index * step % bits;
        let mut damaged = bytes.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        (bit, damaged)
    })
}

/// Runs the command on `content` and expects a refusal with an explanation.
#[track_caller]
fn refused(command: &str, path: &Path, content: &[u8], what: &str) {
    std::fs::write(path, content).unwrap();
    let finished = run(&[command.as_ref(), path.as_os_str()]);
    assert!(
        finished.code == Some(2) && finished.stderr.starts_with("error: "),
        "{command} of {what}: {:?}\n{}",
        finished.code,
        finished.stderr
    );
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(
        finished.stderr.contains(name),
        "{command} of {what} names no file: {}",
        finished.stderr
    );
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
}

#[test]
fn damaged_artifacts_are_refused() {
    let folder = scratch();
    let good = std::fs::read(build(folder.path(), "good", &saying("hi"))).unwrap();
    let bad = folder.path().join("bad.faas");
    for cut in truncations(&good, 12) {
        for command in ["verify", "run", "inspect"] {
            refused(command, &bad, cut, &format!("{} of {} bytes", cut.len(), good.len()));
        }
    }
    for (bit, damaged) in flips(&good, 120) {
        for command in ["verify", "run"] {
            refused(command, &bad, &damaged, &format!("bit {bit} flipped"));
        }
    }
    let longer = [&good[..], b"!"].concat();
    refused("verify", &bad, &longer, "one byte more");
}

#[test]
fn the_header_is_checked_without_verification_too() {
    let folder = scratch();
    let good = std::fs::read(build(folder.path(), "good", &saying("hi"))).unwrap();
    let bad = folder.path().join("bad.faas");
    // The header is at 512; its own checksum ends it. 12 flips all over its first 128 bytes.
    for at in (512..640).step_by(11) {
        let mut damaged = good.clone();
        damaged[at] ^= 4;
        std::fs::write(&bad, &damaged).unwrap();
        run(&["run".as_ref(), bad.as_os_str(), "--no-verify".as_ref()]).expect(2, &["bad.faas"]);
    }
}

/// Where the sections of a module end: cut there, it may well be a valid module.
fn section_ends(module: &[u8]) -> Vec<usize> {
    let mut ends = vec![8];
    while let Some([_, size, ..]) = module.get(ends[ends.len() - 1]..) {
        assert!(*size < 0x80, "all sections are short enough for a length of one byte");
        ends.push(ends[ends.len() - 1] + 2 + usize::from(*size));
    }
    ends
}

#[test]
fn damaged_modules_build_or_are_refused() {
    let folder = scratch();
    let wat = write(folder.path(), "good.wat", saying("hi"));
    let good = wat::parse_file(&wat).unwrap();
    let bad = folder.path().join("bad.wasm");
    let whole = section_ends(&good);
    for cut in truncations(&good, 40).filter(|cut| !whole.contains(&cut.len())) {
        refused("build", &bad, cut, &format!("{} of {} bytes", cut.len(), good.len()));
    }
    for (bit, damaged) in flips(&good, 100) {
        std::fs::write(&bad, &damaged).unwrap();
        let finished =
            run(&["build".as_ref(), bad.as_os_str(), "--init-time".as_ref(), "2s".as_ref()]);
        let code = finished.code.unwrap_or_else(|| panic!("bit {bit}: death by a signal"));
        assert!([0, 2, 134].contains(&code), "bit {bit}: {code}\n{}", finished.stderr);
        assert!(!finished.stderr.contains("panicked"), "bit {bit}: {}", finished.stderr);
    }
}

#[test]
fn foreign_files_are_refused() {
    let folder = scratch();
    let files: &[(&str, &[u8])] = &[
        ("noise.wasm", &[0xa5; 5000]),
        ("zeros.wasm", &[0; 5000]),
        ("text.wat", b"(module (func"),
        ("latin1.wat", b"(module \xe4\xf6\xfc)"),
        ("component.wasm", b"\0asm\x0d\0\x01\0"),
        ("version.wasm", b"\0asm\x02\0\0\0"),
        ("elf.wasm", b"\x7fELF\x02\x01\x01\0"),
        ("page.html", b"<html><body>404</body></html>"),
    ];
    for (name, content) in files {
        refused("run", &folder.path().join(name), content, name);
    }
    refused("verify", &folder.path().join("zeros.faas"), &[0; 5000], "zeros");
    let program = std::fs::read("/bin/true").unwrap();
    refused("run", &folder.path().join("program.faas"), &program, "a program");
}

#[test]
fn a_proto_belongs_to_its_artifact() {
    let folder = scratch();
    let source = |text| {
        saying(text).replace(
            "(func (export \"_start\")",
            "(func (export \"shout\") (i32.store8 (i32.const 16) (i32.const 72)))
             (func (export \"_start\")",
        )
    };
    let hi = build(folder.path(), "hi", &source("hi"));
    let ho = build(folder.path(), "ho", &source("ho"));
    let proto = folder.path().join("hi.proto");
    let (hi, ho, proto) = (hi.to_str().unwrap(), ho.to_str().unwrap(), proto.to_str().unwrap());
    let made = run(&["snapshot", hi, "--init", "shout", "--json"]).expect(0, &[]);
    assert_eq!(made.json()["proto"], proto);

    assert_eq!(run(&["run", hi]).expect(0, &[]).stdout, "hi");
    assert_eq!(run(&["run", hi, "--proto", proto]).expect(0, &[]).stdout, "Hi");
    run(&["run", ho, "--proto", proto]).expect(2, &["hi.proto", "belongs to"]);

    let good = std::fs::read(proto).unwrap();
    for (bit, damaged) in flips(&good, 40) {
        std::fs::write(proto, &damaged).unwrap();
        let finished = run(&["run", hi, "--proto", proto]);
        assert_eq!(finished.code, Some(2), "bit {bit}: {}", finished.stderr);
    }
    for cut in truncations(&good, 8) {
        std::fs::write(proto, cut).unwrap();
        run(&["run", hi, "--proto", proto]).expect(2, &["hi.proto"]);
    }
}
