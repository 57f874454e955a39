//! What a node offers for changing the code of its WebAssembly agents, if its program has it.

use crate::api::types::{ComponentSummary, DeploymentReport, DeploymentRequest};
use crate::manifest::component::Wasm;
use std::future::Future;
use std::pin::Pin;
use swarm_actors::AnyRef;

/// Keeps components and gives them to agents that run.
pub trait Upgrades: Send + Sync {
    /// Keeps a component in the data folder. Blocks.
    ///
    /// # Errors
    /// [`UpgradeFault`]; nothing was kept.
    fn keep(&self, bytes: &[u8]) -> Result<ComponentSummary, UpgradeFault>;

    /// The components that are kept, by digest. Blocks.
    fn kept(&self) -> Vec<ComponentSummary>;

    /// A component that is kept, none if it is not. Blocks.
    ///
    /// # Errors
    /// [`UpgradeFault`]: it cannot be read, or is not what its name says.
    fn content(&self, digest: &str) -> Result<Option<Vec<u8>>, UpgradeFault>;

    /// Forgets a component; false if it was not there. Agents that run it go on. Blocks.
    ///
    /// # Errors
    /// [`UpgradeFault`]; it is still there.
    fn discard(&self, digest: &str) -> Result<bool, UpgradeFault>;

    /// Begins a deployment of a component that is kept. `agents` are those that the request means, with what the manifest says of
    /// each. Compiles, so it may block for seconds; within a tokio runtime, on which the deployment goes on.
    ///
    /// # Errors
    /// [`UpgradeFault`]; nothing was changed.
    fn deploy(
        &self,
        request: &DeploymentRequest,
        agents: Vec<(AnyRef, Wasm)>,
    ) -> Result<DeploymentReport, UpgradeFault>;

    /// The latest deployments, by number.
    fn deployments(&self) -> Vec<DeploymentReport>;

    /// Has a deployment taken back if it is not over, and waits for its end. None if there is none of that number.
    fn abort(&self, id: u64)
    -> Pin<Box<dyn Future<Output = Option<DeploymentReport>> + Send + '_>>;
}

/// Why a component was not kept, or a deployment not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeFault {
    /// A field of the request is wrong.
    #[error("{field}: {message}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong.
        message: String,
    },
    /// What is kept, or what runs, is in the way. Later, or after something was done about it, it may go.
    #[error("{0}")]
    Refused(String),
    /// The disk or the compiler failed.
    #[error("{0}")]
    Failed(String),
}
