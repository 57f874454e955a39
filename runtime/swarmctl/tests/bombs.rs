//! Components that are small to send and costly to compile: refused within the compiler's bounds.
//!
//! Each command runs under the kernel's bounds: 512 MiB of memory and 20 s of computing time for each of its processes. The compiler bounds
//! itself to 10 s.

#![cfg(target_os = "linux")]

mod common;

use common::{folder, swarmctl};
use std::process::Command;
use tempfile::TempDir;

/// A number as WebAssembly has it.
fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &number(content.len()), content].concat()
}

/// A worker in C with another core module in it: so many functions of one parameter with this body.
fn with_functions(count: usize, locals: usize, body: &[u8]) -> Vec<u8> {
    let declared = match locals {
        0 => vec![0],
        some => [vec![1], number(some), vec![0x7f]].concat(),
    };
    let code = [&declared[..], body, &[0x0b]].concat();
    let code = [number(code.len()), code].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 1, 0x7f, 0]),
        section(3, &[number(count), vec![0; count]].concat()),
        section(10, &[number(count), code.repeat(count)].concat()),
    ]
    .concat();
    let worker = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/guests/word-count-c/word-count.wasm"
    );
    let mut component = std::fs::read(worker).expect("it is kept there");
    component.extend(section(1, &module));
    component
}

/// Each with the least that must be said of it, if it is refused; some are beyond what any compiler does within the bounds.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    // local.get 0, i32.const 7, i32.add, local.set 0
    let add = [0x20, 0, 0x41, 7, 0x6a, 0x21, 0];
    // block, local.get 0, br_if 0 … end
    let nested = [
        [0x02, 0x40, 0x20, 0, 0x0d, 0].repeat(500_000),
        vec![0x0b; 500_000],
    ]
    .concat();
    let table = [
        vec![0x02, 0x40, 0x20, 0, 0x0e],
        number(5_000_000),
        vec![0; 5_000_001],
        vec![0x0b],
    ]
    .concat();
    vec![
        (
            "one function of 7 MB",
            with_functions(1, 0, &add.repeat(1_000_000)),
        ),
        (
            "half a million blocks in each other",
            with_functions(1, 0, &nested),
        ),
        (
            "a jump to five million places",
            with_functions(1, 0, &table),
        ),
        (
            "190 000 functions",
            with_functions(190_000, 0, &add.repeat(4)),
        ),
        ("a million functions", with_functions(1_000_000, 0, &add)),
        (
            "fifty thousand locals, a thousand times",
            with_functions(1000, 50_000, &add),
        ),
    ]
}

/// Runs a command under the bounds; its exit status and what it said.
fn bounded(arguments: &[&str]) -> (i32, String) {
    let program = swarmctl(arguments);
    let mut shell = Command::new("sh");
    shell
        .args([
            "-c",
            "ulimit -d 524288 && ulimit -t 20 && exec \"$0\" \"$@\"",
        ])
        .arg(program.get_program())
        .args(program.get_args());
    let said = shell.output().expect("a shell runs it");
    let status = said.status.code();
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    (
        status.unwrap_or_else(|| panic!("{:?}: {text}", said.status)),
        text,
    )
}

fn written(folder: &TempDir, bytes: &[u8]) -> String {
    let path = folder.path().join("bomb.wasm");
    std::fs::write(&path, bytes).expect("a temporary file can be written");
    path.display().to_string()
}

#[test]
fn a_compilation_bomb_is_refused_or_compiled_within_the_bounds() {
    let folder = folder();
    let mut refused = 0;
    for (name, bytes) in bombs() {
        let path = written(&folder, &bytes);
        let (status, said) = bounded(&["wasm", "check", &path, "-o", "json"]);
        println!("{name}, {} bytes: {status} {}", bytes.len(), said.trim());
        let is_clear = [
            "takes more than",
            "it has more than",
            "cannot be compiled",
            "not valid",
        ]
        .iter()
        .any(|why| said.contains(why));
        assert!(
            status == 0 || (status == 7 && is_clear),
            "{name}: {status} {said}"
        );
        refused += usize::from(status == 7);
    }
    assert!(refused >= 2, "{refused}");
}
