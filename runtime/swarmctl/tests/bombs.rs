//! Components that are small to send and costly to compile, and files that are far too long: refused within bounds.
//!
//! Each command runs under the kernel's bounds: 512 MiB of memory, and for each of its processes 10 s of computing time, or 20 s where it
//! waits for the compiler, which bounds itself to 10 s.

#![cfg(target_os = "linux")]

mod common;

use common::{Node, file, folder, swarmctl};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
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

/// Runs a command under the bounds, with so many seconds of computing time; its exit status and what it said.
fn bounded(seconds: u32, arguments: &[&str]) -> (i32, String) {
    let program = swarmctl(arguments);
    let mut shell = Command::new("sh");
    let bounds = format!("ulimit -d 524288 && ulimit -t {seconds} && exec \"$0\" \"$@\"");
    shell
        .args(["-c", &bounds])
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
        let (status, said) = bounded(20, &["wasm", "check", &path, "-o", "json"]);
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

/// A file of 200 MB that takes no room, and begins like this.
fn long(folder: &TempDir, name: &str, begin: &[u8]) -> String {
    let path = folder.path().join(name);
    let mut file = std::fs::File::create(&path).expect("a temporary file can be made");
    file.write_all(begin)
        .and_then(|()| file.seek(SeekFrom::Start(0)).map(drop))
        .and_then(|()| file.set_len(200 << 20))
        .expect("it can be made long");
    path.display().to_string()
}

#[test]
fn a_file_of_200_mb_is_refused_at_validate_check_push_and_start_within_the_bounds() {
    let folder = folder();
    let node = Node::up(&[]);
    for (name, begin) in [
        ("empty.wasm", &b""[..]),
        ("component.wasm", &with_functions(1, 0, &[])),
    ] {
        let path = long(&folder, name, begin);
        let manifest = format!("[agent.\"/a\"]\nwasm = {path:?}\n");
        let manifest = file(&folder, "swarm.toml", &manifest);
        let data = folder.path().join("data").display().to_string();
        let up = ["up", &manifest, "--data", &data, "--api", "127.0.0.1:0"];
        let commands: [(&[&str], i32); 4] = [
            (&["validate", &manifest], 7),
            (&["wasm", "check", &path], 7),
            (&["--node", &node.url, "wasm", "push", &path], 7),
            (&up, 2),
        ];
        for (command, expected) in commands {
            let (status, said) = bounded(10, command);
            let is_right = status == expected && said.contains("more than the 67108864 bytes");
            assert!(is_right, "{name}, {command:?}: {status} {said}");
        }
    }
    is_not_taken_over_the_wire(&node);
}

/// A client that does not look at what it sends: the node keeps no more of it than a component may have, and goes on.
fn is_not_taken_over_the_wire(node: &Node) {
    let address = node.url.trim_start_matches("http://");
    let piece = vec![0; 1 << 20];
    for is_chunked in [false, true] {
        let length = match is_chunked {
            true => "transfer-encoding: chunked",
            false => "content-length: 209715200",
        };
        let mut stream = TcpStream::connect(address).expect("the node listens");
        let mut send = |bytes: &[u8]| stream.write_all(bytes).expect("it hears them out");
        let head = format!(
            "POST /v1/components HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/wasm\r\n{length}\r\nconnection: close\r\n\r\n"
        );
        send(head.as_bytes());
        for _ in 0..200 {
            if is_chunked {
                send(b"100000\r\n");
            }
            send(&piece);
            if is_chunked {
                send(b"\r\n");
            }
        }
        if is_chunked {
            send(b"0\r\n\r\n");
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 413"), "{length}: {answer}");
    }
    let listed = node.run(&["wasm", "ls", "-o", "json"]).expect(0).json();
    assert_eq!(listed, serde_json::json!([]));
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.process()));
    let status = status.expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.trim().strip_suffix(" kB"));
    let peak: u64 = peak.expect("it is told").trim().parse().expect("a number");
    assert!(peak < 512 << 10, "{peak} KiB");
}
