//! English and Dutch auctions (fipa.md d.6, d.7). Prices travel in the parameter `X-Price`, so that the content stays the
//! application's; `X-Auction` tells the inform that starts an auction (`start`) from the one that ends it (`end`), which names
//! each winner in an `X-Winner`.

mod initiator;
mod participant;

pub(super) use initiator::Initiator;
pub(super) use participant::Participant;

/// Tells the start of an auction from its end.
pub(super) const AUCTION_PARAMETER: &str = "X-Auction";
/// Names a winner at the end.
pub(super) const WINNER_PARAMETER: &str = "X-Winner";
