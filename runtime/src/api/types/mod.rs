//! The wire form of the API: one type per request and answer, used by the server and by every Rust client.
//!
//! States and kinds are lowercase words, times are RFC 3339, durations are whole milliseconds in a field that ends in
//! `_ms`. Answers may gain fields; requests refuse fields they do not know.

mod actors;
mod cluster;
mod conversations;
mod events;
mod journal;
mod manifest;
mod messages;
mod node;
mod placement;
mod platform;
mod tools;
mod wasm;
mod work;

pub use super::time::Time;
pub use actors::{
    ActionAnswer, ActorDetail, ActorQuery, ActorSummary, ActorsAnswer, ActorsQuery,
    ChildSpecSummary, ExitSummary, PathRequest, RecentMessage, TurnSummary,
};
pub use cluster::{
    DrainAnswer, DrainRequest, EvictAnswer, EvictRequest, NodeChaos, ReachabilityAnswer,
    RotateAnswer, RouteSummary, RttAnswer,
};
pub use cluster::{
    LeaveAnswer, LinkSummary, NodeSummary, NodesAnswer, RevokeAnswer, TokenAnswer, TokenRequest,
    TokenSummary, TokensAnswer, Unanswered,
};
pub use conversations::{
    CfpAnswer, CfpBid, CfpRequest, ConversationCounts, ConversationDetail, ConversationMessage,
    ConversationParty, ConversationQuery, ConversationSummary, ConversationsAnswer,
    ConversationsQuery,
};
pub use events::{
    DeadLetterDetail, DeadLetterSummary, DeadLettersAnswer, EventRecord, EventsAnswer, EventsQuery,
    LaggedRecord, PurgeAnswer, ReplayAnswer,
};
pub use journal::{
    HistoryAnswer, HistoryEvent, HistoryQuery, JournalDamage, JournalEvent, JournalEventsAnswer,
    JournalEventsQuery, JournalExportAnswer, JournalExportRequest, JournalHead, JournalHeadsAnswer,
    JournalHeadsQuery, JournalReport, PastStateAnswer, StateQuery,
};
pub use manifest::{ManifestAnswer, ManifestPlan, ManifestRequest, NodePlan, PlanStep};
pub use messages::{CallAnswer, CallRequest, SendAnswer, SendRequest};
pub use node::{
    ApiError, ErrorAnswer, LiveAnswer, NodeState, NodeTree, ReadyAnswer, StatusAnswer, Supervision,
    TreeAnswer, TreeNode, TreeQuery, TreeStartAnswer,
};
pub use placement::{PlacedNowhere, PlacementAnswer, PlacementNode};
pub use platform::{AmsAnswer, AmsEntry, DfAgentQuery, DfAnswer, DfEntry, DfQuery, DfService};
pub use tools::{
    McpServerSummary, ToolCallRecord, ToolCallsAnswer, ToolCallsQuery, ToolSummary, ToolsAnswer,
};
pub use wasm::{
    ComponentFetch, ComponentKept, ComponentSummary, ComponentsAnswer, DeploymentAgent,
    DeploymentReport, DeploymentRequest, DeploymentsAnswer,
};
pub use work::{ChaosReport, ChaosRequest, JobAnswer, JobRequest, RunEnded};
