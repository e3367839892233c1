//! Backtraces of a program with DWARF: demangled names, files and lines, and none without the debug
//! file beside the artifact, or with one of other code.

use super::support::{run, scratch};
use std::path::Path;
use std::process::Command;

const SOURCE: &str = "struct Grid(Vec<u32>);
impl Grid {
    #[inline(always)]
    fn cell(&self, at: usize) -> u32 {
        let place = self.0.as_ptr() as usize + at;
        unsafe { *(place as *const u32) }
    }
}
#[inline(never)]
fn solve(grid: &Grid, at: usize) -> u32 {
    grid.cell(at) * 3
}
fn main() {
    let grid = Grid(vec![1, 2, 3]);
    println!(\"{}\", solve(&grid, std::hint::black_box(0xf000_0000)));
}
";

fn compile(folder: &Path, target: &str, source: &str) {
    std::fs::write(folder.join("app.rs"), source).unwrap();
    let status = Command::new("rustc")
        .args(["--target", target, "--edition", "2024", "-g", "-C", "opt-level=1", "-o"])
        .args([folder.join("app.wasm"), folder.join("app.rs")])
        .status();
    assert!(status.expect("rustc runs").success(), "is the target {target} installed?");
}

/// Its code is copied, and its DWARF is of the code as it was.
#[test]
fn a_trap_of_a_component_shows_the_lines_of_the_source() {
    let folder = scratch();
    compile(folder.path(), "wasm32-wasip2", SOURCE);
    let (module, artifact) = (folder.path().join("app.wasm"), folder.path().join("app.faas"));
    let lines = [
        " 0: <app::Grid>::cell (",
        "app.rs:6:18)\n",
        " 1: app::solve (",
        "app.rs:11:10)\n",
        "app.rs:15:",
    ];
    run(&[Path::new("run"), &module]).expect(134, &lines);
    run(&[Path::new("build"), &module, Path::new("-o"), &artifact]).expect(0, &[]);
    run(&[Path::new("run"), &artifact]).expect(134, &lines);
    // Functions of other modules have names and no lines.
    std::fs::remove_file(folder.path().join("app.faas.debug")).unwrap();
    run(&[Path::new("run"), &artifact]).expect(134, &[" 0: app::solve (wasm offset 0x"]);
}

#[test]
fn a_trap_shows_the_lines_of_the_source() {
    let folder = scratch();
    compile(folder.path(), "wasm32-wasip1", SOURCE);
    let (module, artifact) = (folder.path().join("app.wasm"), folder.path().join("app.faas"));
    let lines =
        [" 0: <app::Grid>::cell (", "app.rs:6:18)\n", " 1: app::solve (", "app.rs:11:10)\n"];
    run(&[Path::new("run"), &module]).expect(134, &lines);
    let build = [Path::new("build"), &module, Path::new("-o"), &artifact];
    run(&build).expect(0, &[]);
    run(&[Path::new("run"), &artifact]).expect(134, &lines);

    // The DWARF lies beside the artifact, not in it.
    let bytes = std::fs::read(&artifact).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"app.rs"));
    let debug = folder.path().join("app.faas.debug");
    let own = std::fs::read(&debug).unwrap();
    std::fs::remove_file(&debug).unwrap();
    let offsets = [" 0: app::solve (wasm offset 0x"];
    run(&[Path::new("run"), &artifact]).expect(134, &offsets);

    compile(folder.path(), "wasm32-wasip1", &SOURCE.replace("* 3", "* 5"));
    run(&build).expect(0, &[]);
    std::fs::write(&debug, own).unwrap();
    run(&[Path::new("run"), &artifact]).expect(134, &offsets);
}
