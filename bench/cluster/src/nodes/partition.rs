//! The same in two network namespaces with a wire between them, which is cut for real: nothing is refused, nothing answers, and connections
//! that were open are not closed.

use super::process::Node;
use super::space::Wire;
use super::{CUT, Places, are_alive, are_gone, heading, show, until_all};
use crate::Failed;
use std::time::Instant;

/// How many times each cut is made.
const CUTS: usize = 3;

/// Cuts of so many nodes: one from all others, and 60 % from 40 %.
pub(crate) fn run(count: usize) -> Result<(), Failed> {
    heading(&format!("{count} nodes in two network namespaces"));
    let (lone, lesser) = (1, (count * 2 / 5).max(1));
    if lesser > lone {
        let greater = count - lesser;
        let what = format!("{greater} and {lesser} nodes cut apart until both say so");
        cut(count, lesser, &what, "")?;
    }
    let what = "one node cut off until all others say so";
    cut(count, lone, what, "8 (p50)")
}

/// Cuts `behind` of `count` nodes off from the rest and heals that, some times.
fn cut(count: usize, behind: usize, what: &str, bar: &str) -> Result<(), Failed> {
    let wire = Wire::new()?;
    let mut places = Places::new()?;
    let (name, data) = places.next();
    let (first, join) = Node::first(&name, &data, Some(&wire.near))?;
    let (mut near, mut far) = (vec![first], Vec::new());
    for index in 1..count {
        let is_far = index >= count - behind;
        let (side, space) = if is_far {
            (&mut far, &wire.far)
        } else {
            (&mut near, &wire.near)
        };
        let (name, data) = places.next();
        side.push(Node::start_joining(&name, &data, &join, Some(space))?.ready()?);
    }
    let all = || near.iter().chain(&far);
    let names = |side: &[Node]| {
        side.iter()
            .map(|node| node.name.clone())
            .collect::<Vec<_>>()
    };
    let (near_names, far_names) = (names(&near), names(&far));
    until_all(all(), are_alive(count))?;
    let (mut seen, mut healed) = (Vec::new(), Vec::new());
    for _ in 0..CUTS {
        wire.cut()?;
        let start = Instant::now();
        until_all(&near, are_gone(&far_names))?;
        if behind > 1 {
            // A lone node distrusts itself for long: nobody waits for that.
            until_all(&far, are_gone(&near_names))?;
        }
        seen.push(start.elapsed());
        std::thread::sleep(CUT.saturating_sub(start.elapsed()));
        wire.heal()?;
        healed.push(until_all(all(), are_alive(count))?);
    }
    show(what, &seen, bar);
    show("after that cut, until all see all", &healed, "10");
    Ok(())
}
