//! The host of one node's guests: engines, compiled components, and the way from a file to an agent.

use crate::bindings::VolatilePre;
use crate::bindings::durable::DurablePre;
use crate::cache::{Cache, CacheKey};
use crate::capacity::{Capacity, TooManyAgents};
use crate::class::Class;
use crate::compile::{CompileError, Isolation};
use crate::digest::Digest;
use crate::engine::AgentEngine;
use crate::frames::Frames;
use crate::grants::{Excess, Grants};
use crate::inspect::{self, Import, Inspection, InvalidComponent, World};
use crate::limits::Limits;
use crate::sandbox::Sandbox;
use crate::signature;
use crate::store::{self, Kept, STORE_BYTES_MAX, STORED_MAX};
use crate::trap::printable;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::Engine;
use wasmtime::component::{self, HasSelf, Linker};

/// Agents of a class that an engine has room for unless the node says how many it wants.
const AGENTS_DEFAULT: u32 = 1000;
/// How many components are kept compiled in memory for who may want them again; those that somebody runs come on top of that.
const IDLE_COMPONENTS_MAX: usize = 64;
/// Room beyond what was asked for.
const ROOM_SPARE: u32 = 16;

/// How a host is set up.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// The folder for compiled components and for those that were pushed; without one nothing is kept.
    pub folder: Option<PathBuf>,
    /// Where components are compiled.
    pub isolation: Isolation,
}

/// Loads components and makes them ready to run. Cheap to clone. Its engines' threads end with its last clone and its last agent.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    options: HostOptions,
    /// How many agents of each class an engine that is not made yet is to have room for.
    room: Mutex<BTreeMap<Class, u32>>,
    cache: Option<Cache>,
    /// Held while a component is kept or discarded.
    keeping: Mutex<()>,
    engines: Mutex<BTreeMap<(Class, bool), Arc<AgentEngine>>>,
    /// One entry for each component and engine: the compiling of one waits for itself only.
    components: Mutex<BTreeMap<(Digest, Class, bool), Slot>>,
}

type Slot = Arc<Mutex<Option<Component>>>;

/// A component that is compiled and linked: what the lives of an agent are made from. Cheap to clone.
#[derive(Clone)]
pub struct Component(Arc<Loaded>);

struct Loaded {
    inspection: Inspection,
    engine: Arc<AgentEngine>,
    pre: Pre,
    frames: Frames,
}

/// A component that is linked with the contract of its world.
pub(crate) enum Pre {
    Volatile(VolatilePre<Sandbox>),
    Durable(DurablePre<Sandbox>),
}

/// Why a component is not run. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is no component, or none for this host.
    #[error(transparent)]
    Invalid(#[from] InvalidComponent),
    /// It wants more than it is granted.
    #[error(transparent)]
    Excess(#[from] Excess),
    /// It was not compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Its imports or exports have other types than the contract.
    #[error("it does not fit the contract: {0}")]
    Types(String),
    /// It is a durable agent and imports what only volatile agents have.
    #[error(
        "it is a durable agent, and none of those has {0}: what it keeps is events, and a tool's answer cannot be waited for"
    )]
    NotDurable(String),
    /// It begins with more memory than it is granted.
    #[error("it begins with {needs} bytes of memory, it is granted {granted}")]
    Memory {
        /// What it begins with.
        needs: u64,
        /// What it may have.
        granted: u64,
    },
    /// A limit is beyond what its class has room for.
    #[error("an agent of class {class} has at most {most} bytes of memory")]
    ClassMemory {
        /// The class.
        class: Class,
        /// The most.
        most: u64,
    },
    /// The host has no folder to keep components in.
    #[error("there is no data folder to keep it in")]
    NoFolder,
    /// The folder holds as much as it may. Discard one, and try again.
    #[error(
        "the store of this node holds {STORED_MAX} components or {} GiB",
        STORE_BYTES_MAX >> 30
    )]
    Full,
    /// The folder did not take it.
    #[error("it could not be kept: {0}")]
    NotKept(String),
    /// There is no component of that digest in the store.
    #[error("there is no component {0} in the store of this node")]
    Unknown(Digest),
    /// No engine could be made for the class.
    #[error("no engine for class {class}: {cause}")]
    Engine {
        /// The class.
        class: Class,
        /// What was missing.
        cause: String,
    },
    /// More agents are wanted than fit.
    #[error(transparent)]
    TooMany(#[from] TooManyAgents),
}

impl Host {
    /// A host without components.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn new(options: HostOptions) -> io::Result<Self> {
        let cache = match &options.folder {
            Some(folder) => Some(Cache::open(folder.join("compiled"))?),
            None => None,
        };
        Ok(Self(Arc::new(Inner {
            options,
            room: Mutex::default(),
            cache,
            keeping: Mutex::default(),
            engines: Mutex::default(),
            components: Mutex::default(),
        })))
    }

    /// Has room made for so many agents of a class, and a quarter more for those that take over from others. Without it there
    /// is room for 1000, or for as many as fit.
    ///
    /// # Errors
    /// [`TooManyAgents`]: they do not fit into the process, or an engine was made already that has less room.
    pub fn reserve(&self, class: Class, agents: u32) -> Result<(), TooManyAgents> {
        let capacity = Capacity::of(class);
        capacity.check(agents)?;
        let engines = self.0.engines.lock();
        let made = engines.values().filter(|engine| engine.class == class);
        if let Some(least) = made.map(|engine| engine.agents).min() {
            return Capacity {
                agents: least,
                ..capacity
            }
            .check(agents);
        }
        let spare = agents.saturating_add(agents / 4).saturating_add(ROOM_SPARE);
        self.0.room.lock().insert(class, spare.min(capacity.agents));
        Ok(())
    }

    /// Loads a file. Blocks while it compiles; the second time it is quick.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load_file(
        &self,
        file: &Path,
        class: Class,
        grants: &Grants,
        limits: &Limits,
    ) -> Result<Component, LoadError> {
        let bytes = inspect::read(file)?;
        self.load(&bytes, class, grants, limits)
    }

    /// Loads a component that was pushed.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load_digest(
        &self,
        digest: Digest,
        class: Class,
        grants: &Grants,
        limits: &Limits,
    ) -> Result<Component, LoadError> {
        let file = self.stored(digest).ok_or(LoadError::Unknown(digest))?;
        let bytes = inspect::read(&file)?;
        if Digest::of(&bytes) != digest {
            return Err(LoadError::Unknown(digest));
        }
        self.load(&bytes, class, grants, limits)
    }

    /// Keeps a component, so that manifests can name it by its digest. The digest says whether it is the one that was meant.
    ///
    /// # Errors
    /// [`LoadError::Invalid`] when it is none, [`LoadError::NoFolder`], [`LoadError::Full`] or
    /// [`LoadError::NotKept`] when it cannot be kept.
    pub fn keep(&self, bytes: &[u8]) -> Result<Inspection, LoadError> {
        let inspection = inspect::inspect(bytes)?;
        let folder = self.0.options.folder.as_ref().ok_or(LoadError::NoFolder)?;
        // One at a time, so that what is counted is what is there.
        let _keeping = self.0.keeping.lock();
        store::keep(folder, inspection.digest, bytes)?;
        Ok(inspection)
    }

    /// The components that are kept, by digest. Blocks.
    #[must_use]
    pub fn kept(&self) -> Vec<Kept> {
        let folder = self.0.options.folder.as_deref();
        folder.map(store::list).unwrap_or_default()
    }

    /// Forgets a component that was kept; false if it was not there. Agents that run it go on.
    ///
    /// # Errors
    /// [`LoadError::NoFolder`] or [`LoadError::NotKept`]; it is still there.
    pub fn discard(&self, digest: Digest) -> Result<bool, LoadError> {
        let folder = self.0.options.folder.as_ref().ok_or(LoadError::NoFolder)?;
        let _keeping = self.0.keeping.lock();
        store::discard(folder, digest)
    }

    /// Checks and compiles a component. Blocks while it compiles: not for a thread that agents run on.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(
        &self,
        bytes: &[u8],
        class: Class,
        grants: &Grants,
        limits: &Limits,
    ) -> Result<Component, LoadError> {
        let is_metered = limits.turn_fuel.is_some();
        let key = (Digest::of(bytes), class, is_metered);
        let slot = self.0.components.lock().entry(key).or_default().clone();
        // Others that want the same component wait here for the one that compiles it.
        let mut place = slot.lock();
        if let Some(component) = &*place {
            check(component.inspection(), class, grants, limits)?;
            return Ok(component.clone());
        }
        let loaded = inspect::inspect(bytes)
            .map_err(LoadError::from)
            .and_then(|inspection| {
                // Before the costly part.
                check(&inspection, class, grants, limits)?;
                self.compile(bytes, inspection, class, is_metered)
            });
        let mut components = self.0.components.lock();
        match loaded {
            Ok(component) => {
                *place = Some(component.clone());
                if components.len() > IDLE_COMPONENTS_MAX {
                    components.retain(|_, slot| is_wanted(slot));
                }
                Ok(component)
            }
            Err(error) => {
                // What was refused leaves nothing; who waits for it makes up its own mind.
                components.remove(&key);
                Err(error)
            }
        }
    }

    fn compile(
        &self,
        bytes: &[u8],
        inspection: Inspection,
        class: Class,
        is_metered: bool,
    ) -> Result<Component, LoadError> {
        let engine = self.engine(class, is_metered)?;
        let key = CacheKey {
            digest: inspection.digest,
            engine: fingerprint(&engine.engine),
        };
        let cached = self.0.cache.as_ref().and_then(|cache| cache.get(key));
        let loaded = cached.and_then(|artifact| deserialize(&engine.engine, &artifact).ok());
        let component = match loaded {
            Some(component) => component,
            None => {
                let artifact = self.0.options.isolation.compile(bytes, class, is_metered)?;
                let component = deserialize(&engine.engine, &artifact)
                    .map_err(|error| CompileError::Failed(printable(&error.to_string())))?;
                if let Some(cache) = &self.0.cache {
                    cache.put(key, &artifact);
                }
                component
            }
        };
        let pre = link(&engine.engine, &component, inspection.world)
            .map_err(|error| LoadError::Types(printable(&format!("{error:#}"))))?;
        Ok(Component(Arc::new(Loaded {
            inspection,
            engine,
            pre,
            frames: Frames::default(),
        })))
    }

    fn engine(&self, class: Class, is_metered: bool) -> Result<Arc<AgentEngine>, LoadError> {
        let mut engines = self.0.engines.lock();
        if let Some(engine) = engines.get(&(class, is_metered)) {
            return Ok(engine.clone());
        }
        let capacity = Capacity::of(class);
        let wanted = self.0.room.lock().get(&class).copied();
        let agents = wanted.unwrap_or(AGENTS_DEFAULT.min(capacity.agents)).max(1);
        capacity.check(agents)?;
        let engine =
            AgentEngine::new(class, is_metered, agents).map_err(|error| LoadError::Engine {
                class,
                cause: format!("{error:#}"),
            })?;
        let engine = Arc::new(engine);
        engines.insert((class, is_metered), engine.clone());
        Ok(engine)
    }

    /// Where a pushed component lies, if it is there.
    #[must_use]
    pub fn stored(&self, digest: Digest) -> Option<PathBuf> {
        let file = store::file(self.0.options.folder.as_ref()?, digest);
        file.is_file().then_some(file)
    }
}

/// Whether somebody runs the component of a slot, or compiles it just now.
fn is_wanted(slot: &Slot) -> bool {
    match slot.try_lock() {
        Some(place) => match &*place {
            Some(component) => Arc::strong_count(&component.0) > 1,
            None => Arc::strong_count(slot) > 1,
        },
        None => true,
    }
}

/// Looks at a file as [`Host::load_file`] does, without compiling it.
///
/// # Errors
/// [`LoadError`].
pub fn check_file(
    file: &Path,
    class: Class,
    grants: &Grants,
    limits: &Limits,
) -> Result<Inspection, LoadError> {
    let inspection = inspect::inspect(&inspect::read(file)?)?;
    check(&inspection, class, grants, limits)?;
    Ok(inspection)
}

fn check(
    inspection: &Inspection,
    class: Class,
    grants: &Grants,
    limits: &Limits,
) -> Result<(), LoadError> {
    grants.check(inspection)?;
    if inspection.world == World::Durable {
        let volatile = |import: &&Import| matches!(import.capability(), Some("state" | "tools"));
        if let Some(import) = inspection.imports.iter().find(volatile) {
            return Err(LoadError::NotDurable(import.name.clone()));
        }
    }
    if limits.memory > class.memory_max() {
        return Err(LoadError::ClassMemory {
            class,
            most: class.memory_max(),
        });
    }
    if inspection.memory > limits.memory {
        return Err(LoadError::Memory {
            needs: inspection.memory,
            granted: limits.memory,
        });
    }
    Ok(())
}

/// What compiled code depends on besides its component.
fn fingerprint(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

#[expect(
    unsafe_code,
    reason = "machine code comes from a compiler that this host has just run, or from a file whose keyed code was right"
)]
fn deserialize(engine: &Engine, artifact: &[u8]) -> wasmtime::Result<component::Component> {
    // SAFETY: the callers pass the output of `Isolation::compile` for this engine's settings, fresh from it or out of the cache,
    // which gives back only what it was given. wasmtime itself checks version and settings.
    unsafe { component::Component::deserialize(engine, artifact) }
}

/// Links a component with the contract; what else it imports traps when it is called. Whether it may import that, its grants say.
fn link(engine: &Engine, component: &component::Component, world: World) -> wasmtime::Result<Pre> {
    let mut linker = Linker::<Sandbox>::new(engine);
    // A durable agent imports some of what a volatile one may.
    crate::bindings::Volatile::add_to_linker::<_, HasSelf<_>>(&mut linker, |sandbox| sandbox)?;
    linker.define_unknown_imports_as_traps(component)?;
    signature::check(engine, component, world)?;
    let linked = linker.instantiate_pre(component)?;
    Ok(match world {
        World::Volatile => Pre::Volatile(VolatilePre::new(linked)?),
        World::Durable => Pre::Durable(DurablePre::new(linked)?),
    })
}

impl Component {
    /// What it is.
    #[must_use]
    pub fn inspection(&self) -> &Inspection {
        &self.0.inspection
    }

    /// The class that it was compiled for.
    #[must_use]
    pub fn class(&self) -> Class {
        self.0.engine.class
    }

    pub(crate) fn engine(&self) -> &Arc<AgentEngine> {
        &self.0.engine
    }

    pub(crate) fn pre(&self) -> &Pre {
        &self.0.pre
    }

    pub(crate) fn frames(&self) -> &Frames {
        &self.0.frames
    }
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Component({})", self.0.inspection.digest)
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
