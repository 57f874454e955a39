//! Components of which bytes were changed: refused with a typed error, or loaded; never a panic, a hang, or memory without bound.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;
use swarm_wasm::Class;

#[path = "../../fuzz/targets.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets use it too")]
mod targets;

/// The components that are kept beside their sources, the smallest twice: most changes go there, as they are soon looked at.
fn seeds() -> Vec<Vec<u8>> {
    let at = |file: &str| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../examples/guests")
            .join(file)
    };
    let files = [
        "word-count-c/word-count.wasm",
        "word-count-c/word-count.wasm",
        "word-count-c/word-count.wasm",
        "tally/tally.wasm",
    ];
    let mut seeds: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(at(file)).unwrap())
        .collect();
    seeds.push(crate::forge::Forged::default().component());
    seeds
}

/// One change of one kind.
fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut fastrand::Rng) {
    let at = random.usize(..bytes.len());
    let length = random.usize(1..64).min(bytes.len() - at);
    match random.u8(0..12) {
        0 | 8..12 => bytes[at] ^= 1 << random.u8(0..8),
        1 => bytes[at] = random.u8(..),
        2 => bytes[at] = *random.choice(&[0, 1, 0x7f, 0x80, 0xff]).unwrap(),
        3 => drop(bytes.drain(at..at + length)),
        4 => {
            let piece = bytes[at..at + length].to_vec();
            let to = random.usize(..=bytes.len());
            bytes.splice(to..to, piece);
        }
        5 => {
            let from = random.usize(..other.len());
            let piece = &other[from..(from + length).min(other.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
        // The largest number where a length or a count may stand.
        6 => drop(bytes.splice(at..at + 1, [0xff, 0xff, 0xff, 0xff, 0x0f])),
        _ => bytes.truncate(at.max(8)),
    }
}

fn mutant(seeds: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = random.choice(seeds).unwrap().clone();
    let other = random.choice(seeds).unwrap();
    for _ in 0..random.usize(1..4) {
        change(&mut bytes, other, &mut random);
    }
    bytes
}

/// Does it beside, so that one that hangs is known by its seed.
fn within_a_minute<T: Send + 'static>(seed: u64, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    is_done
        .recv_timeout(Duration::from_secs(60))
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"))
}

#[test]
fn changed_components_are_refused_or_loaded_and_nothing_else() {
    let seeds = seeds();
    let host = targets::host();
    let (mut valid, mut loaded) = (0, 0);
    for seed in 0..500 {
        let bytes = mutant(&seeds, seed);
        let is_small = bytes.len() < 40_000;
        let looked_at = bytes.clone();
        if !within_a_minute(seed, move || targets::component(&looked_at)) {
            continue;
        }
        valid += 1;
        // Compiling all of those takes minutes without optimisation.
        if is_small && loaded < 40 {
            loaded += 1;
            let host = host.clone();
            let class = Class::ALL[loaded % 2];
            within_a_minute(seed, move || targets::load(&host, class, &bytes));
        }
    }
    println!("{valid} of 500 valid, {loaded} compiled");
    assert!(valid > 10 && valid < 490, "the changes are of use: {valid}");
    #[cfg(target_os = "linux")]
    assert!(crate::status("VmHWM:") < 2 << 20, "in KiB");
}
