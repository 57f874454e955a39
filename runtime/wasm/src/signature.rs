//! The types of what a component exports.
//!
//! The generated bindings look at them when an instance is made. That is too late: a component of wrong types is to be refused before it
//! starts.

use crate::bindings::swarm::agent::types::{Event, Message, SavedState};
use crate::inspect::World;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentFunc, ComponentInstance, ComponentItem};

/// What an export answers that gives nothing but its error.
type Said = (Result<(), String>,);
/// What a durable agent decides.
type Decided = (Result<Vec<Event>, String>,);

/// Checks each function of the world's export.
///
/// # Errors
/// The function that has another type, and where they differ.
pub(crate) fn check(engine: &Engine, component: &Component, world: World) -> wasmtime::Result<()> {
    let ty = component.component_type();
    let types = ty.instance_type();
    let interface = match world {
        World::Volatile => "swarm:agent/lifecycle@0.1.0",
        World::Durable => "swarm:agent/durable-lifecycle@0.1.0",
    };
    let exported = ty.get_export(engine, interface).map(|found| found.ty);
    let Some(ComponentItem::ComponentInstance(exported)) = exported else {
        return Err(wasmtime::format_err!("{interface} is no interface"));
    };
    macro_rules! expect {
        ($name:literal, $parameters:ty, $result:ty) => {
            function(engine, &exported, $name)?
                .typecheck::<$parameters, $result>(&types)
                .map_err(|error| error.context(concat!("the function ", $name)))?
        };
    }
    expect!("on-start", (&str,), Said);
    expect!("on-stop", (&str,), ());
    expect!("snapshot", (), (Result<SavedState, String>,));
    expect!("restore", (&SavedState,), Said);
    match world {
        World::Volatile => {
            expect!("on-message", (&Message,), Said);
            expect!("on-timer", (u64, u64), Said);
        }
        World::Durable => {
            expect!("on-message", (&Message,), Decided);
            expect!("on-timer", (u64, u64), Decided);
            expect!("apply", (&Event,), Said);
        }
    }
    Ok(())
}

fn function(
    engine: &Engine,
    exported: &ComponentInstance,
    name: &str,
) -> wasmtime::Result<ComponentFunc> {
    match exported.get_export(engine, name).map(|found| found.ty) {
        Some(ComponentItem::ComponentFunc(function)) => Ok(function),
        _ => Err(wasmtime::format_err!("there is no function {name}")),
    }
}
