//! How well a node suits a child: a number that everybody computes alike.

use swarm_protocols::{Name, Path};

/// The rendezvous weight of a node for a child: the highest wins. FNV-1a over both, then the finalizer of MurmurHash3, without
/// which the last bytes of a name would hardly count. The same in all versions: nodes of two versions must agree.
pub(super) fn score(child: &Path, node: &Name) -> u64 {
    let bytes = child
        .as_str()
        .bytes()
        .chain([0xff])
        .chain(node.as_str().bytes());
    mixed(bytes)
}

/// What tells two texts apart; the same in all versions. Not against somebody who looks for two alike.
#[must_use]
pub fn digest_of(text: &str) -> u64 {
    mixed(text.bytes())
}

fn mixed(bytes: impl Iterator<Item = u8>) -> u64 {
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
