//! A second process that writes until it is killed, and what must be there after that.

use super::small;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use swarm_actors::journal::{Append, EventData, Journal, Start, StreamName};
use swarm_journal::DiskJournal;

/// Where the second process finds its directory.
pub const CHILD: &str = "SWARM_JOURNAL_TEST_CHILD";
pub const STREAMS: u64 = 5;

pub fn name(n: u64) -> StreamName {
    StreamName::new(&format!("s{n}")).expect("a name")
}

/// Batch `n` of a stream: its size and texts follow from `n`.
pub fn batch(stream: u64, n: u64) -> Append {
    let events = (0..=(stream + n) % 3)
        .map(|k| EventData {
            type_id: 1,
            version: 1,
            payload: format!("{stream}/{n}/{k}/{}", "y".repeat((n % 200) as usize)).into_bytes(),
            ..EventData::default()
        })
        .collect();
    Append::new(name(stream), events)
}

/// Checks that the stream's batches are exactly the first so many that `batch` makes; how many.
pub fn whole_batches(journal: &dyn Journal, stream: u64) -> u64 {
    let mut found = 0;
    let replayed = journal.replay(&name(stream), Start::AfterBatch(0), &mut |seen| {
        let expected = batch(stream, found);
        let texts: Vec<&[u8]> = seen.events.iter().map(|e| e.payload.0).collect();
        let written: Vec<&[u8]> = expected.events.iter().map(|e| &*e.payload).collect();
        assert!(texts == written, "batch {found} of stream {stream}");
        found += 1;
        ControlFlow::Continue(())
    });
    replayed.expect("a sound stream");
    found
}

/// What the second process does, when this is one: tells each acknowledged batch on a line.
pub fn write_if_child() {
    let Ok(directory) = std::env::var(CHILD) else {
        return;
    };
    let journal = DiskJournal::open(Path::new(&directory), small()).expect("it opens");
    let mut next: Vec<u64> = (0..STREAMS).map(|s| whole_batches(&journal, s)).collect();
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready").expect("a pipe");
    let mut rng = Rng::new();
    loop {
        let receipts: Vec<_> = (0..rng.u64(1..40))
            .map(|_| {
                let stream = rng.u64(..STREAMS);
                let n = next[stream as usize];
                next[stream as usize] += 1;
                (stream, n, journal.append(batch(stream, n)))
            })
            .collect();
        for (stream, n, receipt) in receipts {
            receipt.wait().expect("written");
            if writeln!(out, "acked {stream} {n}")
                .and_then(|()| out.flush())
                .is_err()
            {
                return;
            }
        }
    }
}

/// A second process that runs the test of that name in this program, which is to call [`write_if_child`].
pub struct Writing {
    pub child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// How many batches of each stream were acknowledged.
pub type Acked = BTreeMap<u64, u64>;

impl Writing {
    pub fn start(test: &str, directory: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, directory)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a second process");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let is_ready = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.ends_with("ready"));
        assert!(is_ready, "it did not start");
        Self { child, lines }
    }

    /// Reads so many acknowledgements, as long as there are any.
    pub fn read(&mut self, count: usize, acked: &mut Acked) {
        let lines = self.lines.by_ref().map_while(Result::ok);
        for line in lines.take(count) {
            let mut words = line.split(' ');
            if words.next() == Some("acked")
                && let (Some(Ok(stream)), Some(Ok(n))) = (
                    words.next().map(str::parse),
                    words.next().map(str::parse::<u64>),
                )
            {
                let last = acked.entry(stream).or_default();
                *last = (*last).max(n + 1);
            }
        }
    }

    /// Kills it, and reads what it had said by then.
    pub fn kill(mut self, acked: &mut Acked) {
        self.child.kill().expect("killed");
        self.read(usize::MAX, acked);
        self.child.wait().expect("gone");
    }
}
