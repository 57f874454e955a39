//! What a guest's functions are called in the reasons of its ends.
//!
//! A name is found, demangled and escaped at a crash, which takes as long as a new instance does. Who crashes again mostly crashes in
//! the same place, so a component remembers the names that were told.

use crate::trap::printable;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use wasmtime::{FrameInfo, WasmBacktrace};

/// How many frames of a guest's stack a reason keeps.
const FRAMES_MAX: usize = 24;
/// How many functions are remembered. The next one begins anew.
const KNOWN_MAX: usize = 256;
/// Functions whose names are longer are not remembered: a guest chooses them.
const NAME_BYTES_MAX: usize = 512;

/// The functions of one component that were in a reason. What is told does not depend on what is remembered.
#[derive(Default)]
pub(crate) struct Frames(Mutex<BTreeMap<u32, Known>>);

/// A function: what makes up its text, and the text.
struct Known {
    module: Option<String>,
    name: Option<String>,
    text: String,
}

impl Known {
    fn is(&self, frame: &FrameInfo) -> bool {
        self.module.as_deref() == frame.module().name() && self.name.as_deref() == frame.func_name()
    }
}

impl Frames {
    /// A guest's stack, innermost first, as `module!function`.
    pub(crate) fn texts(&self, trace: &WasmBacktrace) -> Vec<String> {
        let frames = trace.frames();
        if let Some(texts) = self.known(frames) {
            return texts;
        }
        // Its text has the names demangled: `   0:   0x1234 - module!function`.
        let text = trace.to_string();
        let mut texts: Vec<String> = text
            .lines()
            .filter_map(|line| line.split_once(" - "))
            .map(|(_, frame)| printable(&without_hashes(frame)))
            .collect();
        // With line numbers, or line breaks in names, a frame has more lines than one.
        if texts.len() == frames.len() && frames.iter().all(|frame| frame.symbols().is_empty()) {
            self.remember(frames, &texts);
        }
        texts.truncate(FRAMES_MAX);
        texts
    }

    fn known(&self, frames: &[FrameInfo]) -> Option<Vec<String>> {
        let known = self.0.lock();
        let texts = frames.iter().take(FRAMES_MAX).map(|frame| {
            let found = known.get(&frame.func_index())?;
            let is_it = frame.symbols().is_empty() && found.is(frame);
            is_it.then(|| found.text.clone())
        });
        texts.collect()
    }

    fn remember(&self, frames: &[FrameInfo], texts: &[String]) {
        let mut known = self.0.lock();
        for (frame, text) in frames.iter().zip(texts).take(FRAMES_MAX) {
            let bytes = |name: Option<&str>| name.map_or(0, str::len);
            if bytes(frame.func_name()).max(bytes(frame.module().name())) > NAME_BYTES_MAX {
                continue;
            }
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            let function = Known {
                module: frame.module().name().map(str::to_owned),
                name: frame.func_name().map(str::to_owned),
                text: text.clone(),
            };
            known.insert(frame.func_index(), function);
        }
    }
}

/// A Rust path without the hashes of its crates: `std[e172]::x` is `std::x`.
fn without_hashes(frame: &str) -> String {
    let mut plain = String::with_capacity(frame.len());
    let mut rest = frame;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        match after.split_once(']') {
            Some((hash, after))
                if hash.len() > 8 && hash.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                rest = after;
            }
            _ => {
                plain.push('[');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_like_a_path() {
        assert_eq!(
            without_hashes("w.wasm!<a[e1728c30bce8618e]::B as c[9a909ad0b6d06550]::D>::f"),
            "w.wasm!<a::B as c::D>::f"
        );
        assert_eq!(without_hashes("w!f::<[u8; 4]> [x"), "w!f::<[u8; 4]> [x");
    }
}
