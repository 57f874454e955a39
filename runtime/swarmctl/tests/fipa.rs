//! `up --fipa-http`: the transport is on where it was asked for, and says where.

mod common;

use common::{Node, example, run};
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn the_ready_line_says_where_other_platforms_write_to() {
    let node = Node::up(&[&example(), "--fipa-http", "127.0.0.1:0"]);
    let url = node.ready["fipa"].as_str().expect("an address").to_owned();
    let address = url
        .strip_prefix("http://")
        .and_then(|url| url.strip_suffix("/acc"));
    let mut stream = TcpStream::connect(address.expect("http://…/acc")).expect("it listens");
    stream
        .write_all(b"GET /acc HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains(&format!(":addresses (sequence {url})")),
        "{answer}"
    );
}

#[test]
fn it_is_off_unless_asked_for() {
    let node = Node::up(&[&example()]);
    assert!(node.ready.get("fipa").is_none(), "{:?}", node.ready);
}

#[test]
fn an_address_that_others_cannot_use_needs_another_one() {
    let folder = common::folder();
    let data = folder.path().to_str().expect("a UTF-8 path");
    let up = [
        "up",
        "-o",
        "json",
        "--api",
        "127.0.0.1:0",
        "--data",
        data,
        "--fipa-http",
        "0.0.0.0:0",
    ];
    let said = run(&up).expect(6);
    assert_eq!(said.failure()["code"], "no-fipa");
    let wrong = [&up[..], &["--fipa-address", "iiop://h/acc"]].concat();
    run(&wrong).expect(2);
}
