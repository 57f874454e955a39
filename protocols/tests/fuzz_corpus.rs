//! The fuzz targets over their seeds, and over a bounded number of changes of each: what every run of the tests can
//! afford. The fuzzer itself runs in `.ci/nightly`.

#[path = "../fuzz/targets.rs"]
#[allow(
    unreachable_pub,
    dead_code,
    reason = "it is shared with the fuzz targets"
)]
mod targets;

use std::path::Path;

/// Changes of each seed.
const CHANGES: u64 = 100;

/// A small generator, so that a failure can be repeated.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 8).unwrap_or(usize::MAX) % limit.max(1)
    }
}

/// Changes a few bytes: one by another, some away, some twice, some that mean something.
fn change(seed: &[u8], choice: &mut Xorshift) -> Vec<u8> {
    const PIECES: [&[u8]; 12] = [
        b"\"",
        b"\\",
        b"(",
        b")",
        b"#9\"",
        b" :X-a ",
        b"\0",
        b"\xff",
        b"&",
        b"<",
        b"\r\n",
        b"(((((((((((((((((((((((((((((((((",
    ];
    let mut bytes = seed.to_vec();
    for _ in 0..=choice.below(4) {
        let at = choice.below(bytes.len() + 1);
        let end = (at + choice.below(8)).min(bytes.len());
        match choice.below(4) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(choice.below(256)).unwrap_or(0),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                let piece = PIECES[choice.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn every_seed_and_its_changes_come_back() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let mut seeds: Vec<_> = std::fs::read_dir(corpus.join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .map(|entry| entry.expect("an entry").path())
            .collect();
        seeds.sort();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for (number, path) in seeds.iter().enumerate() {
            let seed = std::fs::read(path).expect("it can be read");
            target(&seed);
            let mut choice = Xorshift(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1));
            for round in 0..CHANGES {
                let changed = change(&seed, &mut choice);
                let came_back = std::panic::catch_unwind(|| target(&changed));
                assert!(
                    came_back.is_ok(),
                    "{name}, change {round} of {}: {}",
                    path.display(),
                    changed.escape_ascii()
                );
            }
        }
    }
}
