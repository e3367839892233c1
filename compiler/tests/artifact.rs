//! The artifacts: their content, their determinism, and that damage to them is noticed.

use iced_x86::{Decoder, DecoderOptions, Mnemonic};
use std::collections::BTreeSet;
use std::process::Command;
use wfaas_abi::artifact::bundle::{BundleWriter, set_bundle};
use wfaas_abi::artifact::records::{ConstOpcode, InitKind, NONE};
use wfaas_abi::artifact::{HEADER_OFFSET, Header, SectionId, replace_image, seal};
use wfaas_abi::image::SparseImage;
use wfaas_abi::memories::STRIDE;
use wfaas_abi::state::MEMORY_PAGES_OFFSET;
use wfaas_abi::{Artifact, CheckFate, FuncRef, FuncType, TrapCode, ValType};
use wfaas_compiler::{OptLevel, Options, compile};

const EVERYTHING: &[u8] = include_bytes!("samples/everything.wat");

fn build(module: &[u8]) -> Vec<u8> {
    compile(module, &Options::default()).expect("compiles").artifact
}

/// The bytes of an image from `at` bytes from BASE on.
fn image_bytes(artifact: &Artifact<'_>, at: i64, len: usize) -> Vec<u8> {
    let image = artifact.image();
    let start = (image.state_bytes as i64 + at) as usize;
    let mut found = vec![0; len];
    let mut stored = image.bytes.chunks(4096);
    for run in image.runs {
        for page in run.first.get()..run.first.get() + run.pages.get() {
            let first = page as usize * 4096;
            for (byte, at) in stored.next().unwrap().iter().zip(first..) {
                if (start..start + len).contains(&at) {
                    found[at - start] = *byte;
                }
            }
        }
    }
    found
}

fn number(artifact: &Artifact<'_>, at: i32) -> u64 {
    u64::from_le_bytes(image_bytes(artifact, at.into(), 8).try_into().unwrap())
}

#[test]
fn artifacts_parse_and_verify() {
    for opt in [OptLevel::Speed, OptLevel::Fast] {
        let compiled = compile(EVERYTHING, &Options { opt, ..Options::default() }).unwrap();
        let artifact = Artifact::parse(&compiled.artifact).unwrap();
        artifact.verify().unwrap();
        assert_eq!(artifact.bounds_stats(), compiled.bounds);
        assert_eq!(compiled.functions, 7);
        assert_eq!(compiled.text_bytes, artifact.text().len());
    }
    let empty = build(b"(module)");
    Artifact::parse(&empty).unwrap().verify().unwrap();
}

#[test]
fn records_say_what_the_module_says() {
    let file = build(EVERYTHING);
    let artifact = Artifact::parse(&file).unwrap();
    assert_eq!(artifact.start(), Some(8));
    assert_eq!(artifact.functions().len(), 9);
    let name = |index: usize| artifact.string(artifact.functions()[index].name).unwrap();
    assert_eq!([name(0), name(2), name(4)], ["import:env.log", "add", "indirect"]);
    let ty = artifact.func_type(artifact.functions()[2].type_index.get()).unwrap();
    assert_eq!(ty, FuncType::new([ValType::I32, ValType::I32], [ValType::I32]));
    let exports = artifact.exports().iter();
    let exports: Vec<&str> = exports.map(|e| artifact.string(e.name).unwrap()).collect();
    assert_eq!(
        exports,
        ["memory", "t", "count", "add", "plus", "access", "indirect", "indirect foreign"]
    );
    assert_eq!(artifact.imports().len(), 5);
    // Three accesses, and a copy and a fill of constant sizes.
    assert_eq!(artifact.bounds_stats().accesses(), 6);
    assert_eq!(artifact.bounds_stats().count(CheckFate::Checked), 1);
    assert_eq!(artifact.memories()[0].minimum.get(), 3);
    assert_eq!(artifact.tables()[0].capacity.get(), 20);
    for record in artifact.types() {
        // All types of this module are types of functions.
        assert!(record.trampoline.get() < artifact.text().len() as u32);
    }
}

#[test]
fn types_that_the_host_cannot_call_have_no_trampoline() {
    // Two types: that of `$inner`, which is no export, and that of the export `run`.
    let trampolines = |more: &str| {
        let module = format!(
            "(module
               (type $inner (func (param i64)))
               {more}
               (table $own 1 funcref)
               (elem (table $own) (i32.const 0) func $inner)
               (func $inner (type $inner))
               (func (export \"run\")
                 (call_indirect $own (type $inner) (i64.const 1) (i32.const 0))))"
        );
        let file = build(module.as_bytes());
        let artifact = Artifact::parse(&file).unwrap();
        let text = artifact.text().len();
        artifact.types().iter().filter(|ty| (ty.trampoline.get() as usize) < text).count()
    };
    assert_eq!(trampolines(""), 1);
    for crossing in [
        "(table (export \"t\") 1 funcref)",
        "(import \"m\" \"t\" (table 1 funcref))",
        "(global (export \"g\") (mut funcref) (ref.null func))",
        "(import \"m\" \"g\" (global (mut funcref)))",
        "(export \"i\" (func $inner))",
        "(import \"m\" \"f\" (func $f (type $inner))) (export \"f\" (func $f))",
    ] {
        assert_eq!(trampolines(crossing), 2, "{crossing}");
    }
    // A type with a reference is one more, and has one itself if a function is of it.
    for crossing in [
        "(import \"m\" \"f\" (func (param funcref)))",
        "(import \"m\" \"f\" (func (result funcref)))",
        "(func (param (ref null $inner)))",
    ] {
        assert_eq!(trampolines(crossing), 3, "{crossing}");
    }
    assert_eq!(trampolines("(tag (param funcref))"), 2);
}

#[test]
fn the_image_is_what_instantiation_leaves() {
    let file = build(EVERYTHING);
    let artifact = Artifact::parse(&file).unwrap();
    assert_eq!(image_bytes(&artifact, 0, 20), *b"\0\0\0\0\0\0\0\0hello\0\0\0\0\0\0\0");
    assert_eq!(number(&artifact, wfaas_abi::state::MEMORY_PAGES_OFFSET), 3);
    assert_eq!(number(&artifact, artifact.tables()[0].size_offset.get()), 10);
    assert_eq!(number(&artifact, artifact.globals()[0].offset.get()), 7);
    let add = &artifact.functions()[2];
    // Its type is the first.
    let reference = FuncRef::new(add.text_offset.get(), 1).to_bits();
    assert_eq!(number(&artifact, artifact.globals()[2].offset.get()), reference);
    let elements = artifact.tables()[0].elements_offset.get();
    assert_eq!(number(&artifact, elements), 0);
    assert_eq!(number(&artifact, elements + 8), reference);
    assert_eq!(number(&artifact, elements + 24), reference);
    let dropped = |first: u32, len| image_bytes(&artifact, first.cast_signed().into(), len);
    assert_eq!(dropped(artifact.header().elem_dropped.get(), 3), [1, 0, 1]);
    assert_eq!(dropped(artifact.header().data_dropped.get(), 4), [1, 0, 0, 0]);
}

#[test]
fn what_depends_on_imports_is_left_to_instantiation() {
    let file = build(EVERYTHING);
    let artifact = Artifact::parse(&file).unwrap();
    let steps: Vec<(u32, u32, u32)> = artifact
        .init_steps()
        .iter()
        .map(|step| (step.kind.get(), step.target.get(), step.segment.get()))
        .collect();
    let (global, data) = (InitKind::Global as u32, InitKind::Data as u32);
    // Global 3 is $base; the data segment after the one that depends on an import waits for it.
    assert_eq!(steps, [(global, 3, 0), (data, 0, 2), (data, 0, 3)]);
    let ops = artifact.const_ops(artifact.init_steps()[1].expr).unwrap();
    assert_eq!(ops[0].opcode.get(), ConstOpcode::GlobalGet as u32);
    let segment = |index: usize| artifact.data(artifact.data_segments()[index].bytes).unwrap();
    assert_eq!([segment(0), segment(1), segment(2)], [&b""[..], b"later", b"where?"]);
    let items = artifact.elem_segments().iter().map(|segment| segment.items.len.get());
    assert_eq!(items.collect::<Vec<_>>(), [0, 1], "the last one is in the image");
}

#[test]
fn segments_that_share_pages_are_all_in_the_image() {
    let segment = |index: u32| format!("(data (i32.const {}) \"x\")", index * 7 % 65_536);
    let items = |index: u32| format!("(elem (i32.const {}) $f)", index % 1_000);
    let module = format!(
        "(module (memory 1) (table 1000 funcref) (func $f) {} {})",
        (0..70_000).map(segment).collect::<String>(),
        (0..30_000).map(items).collect::<String>()
    );
    let file = build(module.as_bytes());
    let artifact = Artifact::parse(&file).unwrap();
    assert_eq!(artifact.init_steps().len(), 0);
    assert_eq!(image_bytes(&artifact, 0, 65_536), [b'x'; 65_536]);
}

#[test]
fn a_segment_that_does_not_fit_traps_at_instantiation() {
    for (module, kind) in [
        ("(memory 1) (data (i32.const 65535) \"xy\")", InitKind::Data),
        ("(memory 0) (data (i32.const -1) \"\")", InitKind::Data),
        ("(table 2 funcref) (func $f) (elem (i32.const 1) $f $f)", InitKind::Elem),
        ("(import \"m\" \"m\" (memory 1)) (data (i32.const 0) \"x\")", InitKind::Data),
    ] {
        let file = build(format!("(module {module})").as_bytes());
        let steps = Artifact::parse(&file).unwrap().init_steps();
        assert_eq!(steps.len(), 1, "{module}");
        assert_eq!(steps[0].kind.get(), kind as u32, "{module}");
    }
}

#[test]
fn sites_ascend_and_point_into_functions() {
    let file = build(EVERYTHING);
    let artifact = Artifact::parse(&file).unwrap();
    assert!(artifact.sites().iter().is_sorted_by(|a, b| a.text_offset < b.text_offset));
    // Function 3 stores twice and loads once; the offset of one access is compared first.
    let access = &artifact.functions()[3];
    let faults = artifact.sites().iter().filter(|site| {
        let at = site.text_offset.wrapping_sub(access.text_offset.get());
        at < access.text_size.get() && site.trap == Some(TrapCode::MemoryOutOfBounds)
    });
    let places: Vec<u32> = faults.map(|site| *site.places().last().unwrap()).collect();
    assert_eq!(places.len(), 4);
    assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), 3, "{places:?}");
    assert!(places.iter().all(|place| *place > access.wasm_offset.get()));
    let thunk = artifact.sites().last_to(artifact.functions()[0].text_size.get());
    assert!(thunk.is_some_and(|site| site.places().is_empty()), "a thunk comes from nowhere");
}

#[test]
fn each_call_of_a_function_has_a_place() {
    let file = build(EVERYTHING);
    let artifact = Artifact::parse(&file).unwrap();
    let mut calls = 0;
    for record in artifact.functions().iter().filter(|record| record.wasm_offset != NONE) {
        let (start, size) = (record.text_offset.get(), record.text_size.get());
        let code = &artifact.text()[start as usize..(start + size) as usize];
        let ends: Vec<u64> = Decoder::with_ip(64, code, start.into(), DecoderOptions::NONE)
            .into_iter()
            .filter(|instruction| instruction.mnemonic() == Mnemonic::Call)
            .map(|call| call.next_ip())
            .collect();
        for end in &ends {
            let site = artifact.site_at(*end as u32 - 1).expect("a site for the call");
            assert_eq!(site.trap, None);
            assert!(site.places()[0] > record.wasm_offset.get());
        }
        calls += ends.len();
    }
    assert!(calls > 5, "{calls}");
}

#[test]
fn a_name_is_in_the_file_once() {
    let name = "a_function_with_two_exports_and_a_symbol";
    let module = format!("(module (func ${name} (export \"{name}\") (export \"f\")))");
    let file = build(module.as_bytes());
    let found = file.windows(name.len()).filter(|bytes| *bytes == name.as_bytes());
    assert_eq!(found.count(), 1);
}

#[test]
fn segments_that_nothing_needs_have_no_records() {
    let segments = "(data (i32.const 7) \"x\")".repeat(50_000);
    let file = build(format!("(module (memory 1) {segments})").as_bytes());
    assert!(Artifact::parse(&file).unwrap().data_segments().is_empty());
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let one = pool(1).install(|| build(EVERYTHING));
    for _ in 0..5 {
        assert!(pool(4).install(|| build(EVERYTHING)) == one);
    }
}

#[test]
fn every_damaged_header_byte_is_noticed() {
    let file = build(EVERYTHING);
    for at in HEADER_OFFSET..HEADER_OFFSET + size_of::<Header>() {
        let mut damaged = file.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(Artifact::parse(&damaged).is_err(), "byte {at}");
    }
}

#[test]
fn every_truncation_is_noticed() {
    let file = build(EVERYTHING);
    for len in (0..file.len()).step_by(61).chain([file.len() - 1]) {
        assert!(Artifact::parse(&file[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn damaged_bytes_anywhere_are_noticed() {
    let file = build(EVERYTHING);
    let mut damaged = file.clone();
    for step in 0..3000 {
        let at = step * 7919 % file.len();
        damaged[at] ^= 0x10;
        let verified = Artifact::parse(&damaged).and_then(|artifact| artifact.verify());
        assert!(verified.is_err(), "byte {at}");
        damaged[at] = file[at];
    }
}

#[test]
fn the_image_can_be_replaced() {
    let file = build(EVERYTHING);
    let artifact = Artifact::parse(&file).unwrap();
    let mut image = SparseImage::new(artifact.image().state_bytes);
    image.write(4 * 65536, b"captured");
    image.write(MEMORY_PAGES_OFFSET.into(), &[5]);
    let file = replace_image(&artifact, &image, &[5]).unwrap();
    let artifact = Artifact::parse(&file).unwrap();
    assert_eq!(artifact.image().memory_pages(), 5);
    artifact.verify().unwrap();
    assert!(artifact.is_initialised());
    assert_eq!(image_bytes(&artifact, 4 * 65536, 8), *b"captured");
    assert_eq!(image_bytes(&artifact, 0, 16), [0; 16]);
    let elf = temporary("replaced", &file);
    let headers = run("readelf", &["-SW", &elf]);
    let line = headers.lines().find(|line| line.contains(".wfaas.image ")).unwrap();
    let offset = artifact.header().sections[SectionId::Image as usize].offset.get();
    // The page with the size, and that with the text.
    assert!(line.contains(&format!("{offset:06x} 002000")), "{line}");
}

#[test]
fn a_bundle_stays_when_the_image_is_replaced() {
    let file = build(EVERYTHING);
    let mut writer = BundleWriter::default();
    writer.file("lib/a", 7, b"contents".to_vec()).unwrap();
    let bundle = writer.finish();
    let bundled = set_bundle(&Artifact::parse(&file).unwrap(), &bundle).unwrap();
    let artifact = Artifact::parse(&bundled).unwrap();
    artifact.verify().unwrap();
    assert_ne!(artifact.content_hash(), Artifact::parse(&file).unwrap().content_hash());
    assert_eq!(image_bytes(&artifact, 0, 20), *b"\0\0\0\0\0\0\0\0hello\0\0\0\0\0\0\0");
    let mut image = SparseImage::new(artifact.image().state_bytes);
    image.write(MEMORY_PAGES_OFFSET.into(), &[5]);
    let replaced = replace_image(&artifact, &image, &[5]).unwrap();
    let artifact = Artifact::parse(&replaced).unwrap();
    artifact.verify().unwrap();
    assert_eq!(artifact.section(SectionId::Bundle), bundle);
    let lib = artifact.bundle().unwrap().unwrap().root().child("lib").unwrap();
    assert_eq!(lib.child("a").unwrap().content(), b"contents");
    let elf = temporary("bundled", &replaced);
    let headers = run("readelf", &["-SW", &elf]);
    let line = headers.lines().find(|line| line.contains(".wfaas.bundle ")).unwrap();
    let offset = artifact.header().sections[SectionId::Bundle as usize].offset.get();
    assert!(line.contains(&format!("{offset:06x} {:06x}", bundle.len())), "{line}");
    assert!(offset.is_multiple_of(4096));
}

#[test]
fn a_damaged_bundle_is_refused() {
    let file = build(b"(module)");
    let artifact = Artifact::parse(&file).unwrap();
    assert!(artifact.bundle().unwrap().is_none());
    assert!(set_bundle(&artifact, b"no bundle").is_err());
    let mut writer = BundleWriter::default();
    writer.file("a", 0, b"b".to_vec()).unwrap();
    let bundle = writer.finish();
    let bundled = set_bundle(&artifact, &bundle).unwrap();
    let at = bundled.windows(bundle.len()).position(|window| *window == bundle).unwrap();
    let damaged = |byte: usize, value: u8| {
        let mut file = bundled.clone();
        file[at + byte] = value;
        seal(&mut file);
        Artifact::parse(&file).unwrap().verify().is_err()
    };
    // The magic number, the parent and the kind of the file, where its name ends, where its content is.
    for (byte, value) in [(0, b'w'), (72, 1), (76, 9), (84, 2), (96, 200)] {
        assert!(damaged(byte, value), "byte {byte}");
    }
}

#[test]
fn memories_lie_far_apart_in_the_image() {
    let file = build(
        br#"(module (memory 1) (memory 2 3) (memory i64 3)
        (data (memory 0) (i32.const 1) "first")
        (data (memory 1) (i32.const 131065) "second!")
        (data (memory 2) (i64.const 70000) "third"))"#,
    );
    let artifact = Artifact::parse(&file).unwrap();
    artifact.verify().unwrap();
    assert!(artifact.init_steps().is_empty());
    let stride = STRIDE as i64;
    for (at, bytes) in [
        (1, &b"first"[..]),
        (stride + 131_065, b"second!"),
        (2 * stride + 70_000, b"third"),
        (-16, &[1, 0, 0, 0, 0, 0, 0, 0]),
        (stride - 16, &[2, 0, 0, 0, 0, 0, 0, 0]),
        (2 * stride - 16, &[3, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        assert_eq!(image_bytes(&artifact, at, bytes.len()), bytes, "at {at}");
    }
}

#[test]
fn an_image_with_pages_between_its_memories_is_refused() {
    let file = build(br#"(module (memory 1) (memory 1))"#);
    let artifact = Artifact::parse(&file).unwrap();
    let stride = STRIDE as i64;
    for (at, fits) in [
        (65535, true),
        (65536, false),
        (stride - 4097, false),
        (stride - 4096, true),
        (stride + 65535, true),
        (stride + 65536, false),
        (2 * stride, false),
    ] {
        let mut image = SparseImage::new(artifact.image().state_bytes);
        image.write(at, &[1]);
        image.write(MEMORY_PAGES_OFFSET.into(), &[1]);
        image.write(stride + i64::from(MEMORY_PAGES_OFFSET), &[1]);
        let file = replace_image(&artifact, &image, &[1, 1]).unwrap();
        let verified = Artifact::parse(&file).unwrap().verify();
        assert_eq!(verified.is_ok(), fits, "{at}: {verified:?}");
    }
    let image = SparseImage::new(artifact.image().state_bytes);
    let file = replace_image(&artifact, &image, &[1, 65537]).unwrap();
    Artifact::parse(&file).map(|_| ()).expect_err("more than 4 GiB");
}

#[test]
fn binutils_understand_the_file() {
    let elf = temporary("everything", &build(EVERYTHING));
    let listing = run("objdump", &["-d", &elf]);
    for name in ["<add>:", "<import:env.log>:", "<indirect foreign>:", "<wfaas:memory_grow>:"] {
        assert!(listing.contains(name), "{name} is not in the listing");
    }
    let frames = run("readelf", &["--debug-dump=frames", &elf]);
    let add = listing.lines().find(|line| line.ends_with("<add>:")).unwrap();
    let start = format!("pc={}..", &add[..16]);
    assert!(frames.contains(&start), "no unwind information for {add}");
    assert_eq!(run_errors("readelf", &["-aW", &elf]), "");
}

#[test]
fn a_frame_is_found_from_where_its_pointer_is_set() {
    let loads: String =
        (0..800).map(|at| format!("(i64.load offset={at} (local.get 0))")).collect();
    let stores = "global.get $g i64.xor global.set $g ".repeat(800);
    let (code, start, rows) = frame(&format!(
        "(module (import \"a\" \"b\" (func $f)) (memory 1) (global $g (mut i64) (i64.const 0))
            (func (export \"f\") (param i32) {loads} (call $f) {stores}))"
    ));
    assert!(code.contains("add    $0x1000,%rsp"), "touches no pages of a large frame:\n{code}");
    for (offset, frame) in [(0, "rsp+8"), (1, "rsp+16"), (4, "rbp+16")] {
        let row = format!("{:016x} {frame}", start + offset);
        assert!(rows.contains(&row), "no {row} in {rows}");
    }
}

#[test]
fn saved_registers_are_found_where_a_tail_call_needs_room() {
    let (many, zeros) = ("i64 ".repeat(30), "(i64.const 0)".repeat(29));
    let (code, _, rows) = frame(&format!(
        "(module (import \"a\" \"b\" (func $f)) (func $many (param {many}))
            (func (export \"f\") (param i64) (call $f) (return_call $many (local.get 0) {zeros})))"
    ));
    for step in ["sub    $0xc0,%rsp", "sub    $0x10,%rsp", "mov    %r12,(%rsp)"] {
        assert!(code.contains(step), "no {step} in {code}");
    }
    // 16 bytes below where the frame pointer points, 32 below the frame's address.
    assert!(rows.split_whitespace().any(|cell| cell == "c-32"), "{rows}");
}

/// The code of the function `f`, its address, and where frames are from it on.
fn frame(text: &str) -> (String, u64, String) {
    let elf = temporary(&format!("frame{}", text.len()), &build(text.as_bytes()));
    let listing = run("objdump", &["-d", &elf]);
    let code = listing.split_once("<f>:\n").unwrap().1.split("\n\n").next().unwrap();
    let start = u64::from_str_radix(code.split_once(':').unwrap().0.trim(), 16).unwrap();
    let frames = run("readelf", &["--debug-dump=frames-interp", &elf]);
    let rows = frames.split_once(&format!("pc={start:016x}..")).unwrap().1;
    (code.to_owned(), start, rows.split("\n\n").next().unwrap().to_owned())
}

/// Writes a file that is removed when the tests are built anew.
fn temporary(name: &str, bytes: &[u8]) -> String {
    let path = format!("{}/{name}.faas", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, bytes).unwrap();
    path
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("binutils are installed");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run_errors(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("binutils are installed");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
