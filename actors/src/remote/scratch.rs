//! Buffers to encode into, kept from one message to the next: what is encoded is small, and a buffer that begins empty grows four times on
//! the way to a hundred bytes.

use std::cell::RefCell;

/// A buffer that has become larger is not kept.
const KEPT_BYTES: usize = 128 * 1024;

thread_local! {
    /// Two, as a message is encoded before what it is put into.
    static KEPT: RefCell<[Vec<u8>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// An empty buffer.
pub(super) fn take() -> Vec<u8> {
    KEPT.with_borrow_mut(|kept| {
        let [first, second] = kept;
        std::mem::take(if first.capacity() > 0 { first } else { second })
    })
}

/// Takes it back.
pub(super) fn keep(mut buffer: Vec<u8>) {
    if buffer.capacity() > KEPT_BYTES {
        return;
    }
    buffer.clear();
    KEPT.with_borrow_mut(|kept| {
        if let Some(place) = kept.iter_mut().find(|place| place.capacity() == 0) {
            *place = buffer;
        }
    });
}
