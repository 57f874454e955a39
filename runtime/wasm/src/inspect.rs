//! What a component is, read from its bytes without compiling or running any of it.

use crate::digest::Digest;
use crate::grants::CAPABILITIES;
use std::io::Read;
use std::path::Path;
use wasmparser::{
    ComponentExternalKind, Encoding, Parser, Payload, TypeRef, Validator, WasmFeatures,
};

/// The longest component, in bytes. Python's bring an interpreter of some 18 MB along.
pub const COMPONENT_BYTES_MAX: u64 = 64 << 20;

/// How many core functions a component may have; compiling takes about a tenth of a millisecond for each.
const FUNCTIONS_MAX: u64 = 200_000;

/// How many imports and exports together are read.
const NAMES_MAX: usize = 1000;

/// The package that agents are written against.
const PACKAGE: &str = "swarm:agent/";
/// The version of the package that this host speaks.
const VERSION: &str = "0.1.0";

/// What a component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Its name by content.
    pub digest: Digest,
    /// Its length in bytes.
    pub bytes: u64,
    /// What kind of agent it is.
    pub world: World,
    /// What it imports, sorted by name.
    pub imports: Vec<Import>,
    /// What it exports, sorted.
    pub exports: Vec<String>,
    /// How many core modules it consists of.
    pub core_modules: u64,
    /// How many functions those have.
    pub functions: u64,
    /// The memory that its largest module begins with, in bytes.
    pub memory: u64,
}

/// An agent's contract, by what a component exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// `swarm:agent/volatile@0.1.0`.
    Volatile,
    /// `swarm:agent/durable@0.1.0`.
    Durable,
}

impl World {
    /// The world's name with its version.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Volatile => "swarm:agent/volatile@0.1.0",
            Self::Durable => "swarm:agent/durable@0.1.0",
        }
    }
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// Its full name, such as `swarm:agent/log@0.1.0`; anything unprintable in it is escaped.
    pub name: String,
}

impl Import {
    /// The interface of the contract that this is (`log`, `types`, …); `None` for anything else. The version has been checked.
    #[must_use]
    pub fn capability(&self) -> Option<&str> {
        let (interface, _) = self.name.strip_prefix(PACKAGE)?.split_once('@')?;
        Some(interface)
    }
}

/// Why bytes are no component for this host. Final: trying again will not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidComponent {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It is longer than [`COMPONENT_BYTES_MAX`].
    #[error("it has more than the {COMPONENT_BYTES_MAX} bytes that a component may have")]
    TooLong,
    /// It does not begin like WebAssembly.
    #[error("it is not WebAssembly")]
    NotWasm,
    /// It is a core module: what a compiler makes before a component is made of it.
    #[error(
        "it is a core module, not a component (in Rust: link with wasm-component-ld, see docs/wasm.md)"
    )]
    CoreModule,
    /// It is damaged, cut short, or uses what this host does not allow.
    #[error("it is not valid at byte {at}: {what}")]
    Malformed {
        /// Where.
        at: usize,
        /// What the validator says.
        what: String,
    },
    /// It has more parts than a component may have.
    #[error("it has more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: u64,
    },
    /// It has nothing to do with agents.
    #[error("it is no agent: it does not export swarm:agent/lifecycle@0.1.0; it exports {exports}")]
    OtherWorld {
        /// What it does export.
        exports: String,
    },
    /// It was made for another version of the contract.
    #[error("it speaks {found}, this host speaks version {VERSION}")]
    OtherVersion {
        /// The interface with its version.
        found: String,
    },
}

/// Reads a file, no more of it than a component may have.
///
/// # Errors
/// [`InvalidComponent::Unreadable`] or [`InvalidComponent::TooLong`].
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, InvalidComponent> {
    let unreadable = |error: std::io::Error| InvalidComponent::Unreadable(error.to_string());
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    let known = opened.metadata().map_err(unreadable)?;
    if !known.is_file() {
        return Err(InvalidComponent::Unreadable("not a file".to_owned()));
    }
    if known.len() > COMPONENT_BYTES_MAX {
        return Err(InvalidComponent::TooLong);
    }
    let mut bytes = Vec::new();
    opened
        .take(COMPONENT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > COMPONENT_BYTES_MAX {
        return Err(InvalidComponent::TooLong);
    }
    Ok(bytes)
}

/// Says what a file is.
///
/// # Errors
/// [`InvalidComponent`].
pub fn inspect_file(file: &Path) -> Result<Inspection, InvalidComponent> {
    inspect(&read(file)?)
}

/// Says what a component is. Takes time and memory in proportion to its length.
///
/// # Errors
/// [`InvalidComponent`].
pub fn inspect(bytes: &[u8]) -> Result<Inspection, InvalidComponent> {
    if bytes.len() as u64 > COMPONENT_BYTES_MAX {
        return Err(InvalidComponent::TooLong);
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(InvalidComponent::NotWasm);
    }
    let outline = Outline::read(bytes)?;
    Validator::new_with_features(features())
        .validate_all(bytes)
        .map_err(|error| malformed(&error))?;
    let world = outline.world()?;
    Ok(Inspection {
        digest: Digest::of(bytes),
        bytes: bytes.len() as u64,
        world,
        imports: outline.imports,
        exports: outline.exports,
        core_modules: outline.core_modules,
        functions: outline.functions,
        memory: outline.memory,
    })
}

/// What guests may use; the engines' configurations allow the same.
fn features() -> WasmFeatures {
    let mut features = WasmFeatures::default();
    features.remove(
        WasmFeatures::RELAXED_SIMD
            | WasmFeatures::MEMORY64
            | WasmFeatures::TAIL_CALL
            | WasmFeatures::THREADS
            | WasmFeatures::EXCEPTIONS
            | WasmFeatures::GC
            | WasmFeatures::FUNCTION_REFERENCES
            | WasmFeatures::CM_ASYNC,
    );
    features
}

fn malformed(error: &wasmparser::BinaryReaderError) -> InvalidComponent {
    InvalidComponent::Malformed {
        at: error.offset(),
        what: error.message().escape_debug().to_string(),
    }
}

/// The names at the top, and the sizes of what is inside.
#[derive(Default)]
struct Outline {
    imports: Vec<Import>,
    exports: Vec<String>,
    core_modules: u64,
    functions: u64,
    memory: u64,
}

impl Outline {
    fn read(bytes: &[u8]) -> Result<Self, InvalidComponent> {
        let mut outline = Self::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(|error| malformed(&error))? {
                Payload::Version { encoding, .. } => {
                    depth += 1;
                    if depth == 1 && encoding == Encoding::Module {
                        return Err(InvalidComponent::CoreModule);
                    }
                    outline.core_modules += u64::from(encoding == Encoding::Module);
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                payload => outline
                    .note(payload, depth)
                    .map_err(|error| malformed(&error))?,
            }
            outline.is_within_bounds()?;
        }
        outline.imports.sort();
        outline.imports.dedup();
        outline.exports.sort();
        Ok(outline)
    }

    fn note(
        &mut self,
        payload: Payload<'_>,
        depth: u32,
    ) -> Result<(), wasmparser::BinaryReaderError> {
        match payload {
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section.into_iter().take(NAMES_MAX + 1) {
                    let name = import?.name.name.escape_debug().to_string();
                    self.imports.push(Import { name });
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section.into_iter().take(NAMES_MAX + 1) {
                    let export = export?;
                    if export.kind != ComponentExternalKind::Type {
                        self.exports
                            .push(export.name.name.escape_debug().to_string());
                    }
                }
            }
            Payload::FunctionSection(section) => self.functions += u64::from(section.count()),
            Payload::MemorySection(section) => {
                for memory in section {
                    let pages = memory?.initial;
                    self.memory = self.memory.max(pages.saturating_mul(64 << 10));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    if let TypeRef::Memory(memory) = import?.ty {
                        self.memory = self.memory.max(memory.initial.saturating_mul(64 << 10));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn is_within_bounds(&self) -> Result<(), InvalidComponent> {
        if self.imports.len() + self.exports.len() > NAMES_MAX {
            return Err(InvalidComponent::TooMany {
                what: "imports and exports",
                most: NAMES_MAX as u64,
            });
        }
        if self.functions > FUNCTIONS_MAX {
            return Err(InvalidComponent::TooMany {
                what: "functions",
                most: FUNCTIONS_MAX,
            });
        }
        Ok(())
    }

    fn world(&self) -> Result<World, InvalidComponent> {
        let imports = self.imports.iter().map(|import| &import.name);
        for name in imports.chain(&self.exports) {
            let Some(interface) = name.strip_prefix(PACKAGE) else {
                continue;
            };
            let (word, version) = interface.split_once('@').unwrap_or((interface, ""));
            let is_known = CAPABILITIES.contains(&word)
                || matches!(word, "types" | "lifecycle" | "durable-lifecycle");
            if is_known && version != VERSION {
                return Err(InvalidComponent::OtherVersion {
                    found: name.clone(),
                });
            }
        }
        let exports = |interface: &str| {
            let name = format!("{PACKAGE}{interface}@{VERSION}");
            self.exports.contains(&name)
        };
        if exports("lifecycle") {
            Ok(World::Volatile)
        } else if exports("durable-lifecycle") {
            Ok(World::Durable)
        } else {
            let exports = self.exports.iter().take(5).cloned().collect::<Vec<_>>();
            Err(InvalidComponent::OtherWorld {
                exports: match exports.as_slice() {
                    [] => "nothing".to_owned(),
                    some => some.join(", "),
                },
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_refused_with_its_kind() {
        assert_eq!(inspect(b""), Err(InvalidComponent::NotWasm));
        assert_eq!(inspect(b"#!/bin/sh"), Err(InvalidComponent::NotWasm));
        let module = b"\0asm\x01\0\0\0";
        assert_eq!(inspect(module), Err(InvalidComponent::CoreModule));
        let empty = b"\0asm\x0d\0\x01\0";
        assert!(matches!(
            inspect(empty),
            Err(InvalidComponent::OtherWorld { .. })
        ));
        assert!(matches!(
            inspect(b"\0asm\x0d\0"),
            Err(InvalidComponent::Malformed { .. })
        ));
    }
}
