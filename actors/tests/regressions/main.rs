//! Defects that were found once, each as the claim that must hold. Mostly in virtual time; where threads have to meet, in
//! real time and with a bound.

#[path = "../kit/mod.rs"]
mod kit;

mod bonds;
mod bounds;
mod lives;
mod locks;
mod mail;
mod panics;
mod starts;
