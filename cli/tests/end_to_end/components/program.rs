//! A program of the standard library's own target: everything that it reaches is an interface of WASI 0.2.

use std::fs;
use std::io::{BufRead, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    println!("{args:?} {:?}", std::env::var("GREETING"));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    println!("{line:?}");
    files(&args[0]);
    clocks();
    eprintln!("to stderr");
    std::process::exit(1);
}

fn files(dir: &str) {
    let path = format!("{dir}/sub/file.txt");
    fs::create_dir(format!("{dir}/sub")).unwrap();
    let mut file = fs::File::create(&path).unwrap();
    for number in 0..5000 {
        writeln!(file, "line {number}").unwrap();
    }
    drop(file);
    let text = fs::read_to_string(&path).unwrap();
    println!("{} lines, {} bytes", text.lines().count(), text.len());
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"the end\n").unwrap();
    let mut file = fs::File::open(&path).unwrap();
    file.seek(SeekFrom::End(-8)).unwrap();
    let mut end = String::new();
    file.read_to_string(&mut end).unwrap();
    println!("{end:?}, {} bytes", file.metadata().unwrap().len());
    fs::rename(&path, format!("{dir}/renamed.txt")).unwrap();
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), entry.file_type().unwrap().is_dir())
    };
    let mut names: Vec<(String, bool)> = fs::read_dir(dir).unwrap().map(entry).collect();
    names.sort();
    println!("{names:?}");
    println!("{:?}", fs::metadata(format!("{dir}/none")).unwrap_err().kind());
    println!("{}", fs::read_to_string("/etc/passwd").is_err());
    fs::remove_dir(format!("{dir}/sub")).unwrap();
    fs::remove_file(format!("{dir}/renamed.txt")).unwrap();
}

fn clocks() {
    let began = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    println!("{}", began.elapsed() >= Duration::from_millis(20));
    println!("{}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() > 1_700_000_000);
}
