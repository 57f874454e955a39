//! Protocol actors: conversations between supervised agents, and what becomes of them when somebody dies.

mod kit;

mod bounds;
mod contract;
mod crashes;
mod looking;
mod nodes;
