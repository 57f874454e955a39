//! Components that a node keeps, and deployments of them: between the API's words and those of `swarm-wasm`.

use super::WasmAgents;
use crate::api::types::{
    ComponentSummary, DeploymentAgent, DeploymentReport, DeploymentRequest, Time,
};
use crate::manifest::component::{Source, Wasm};
use crate::node::{UpgradeFault, Upgrades};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use swarm_actors::AnyRef;
use swarm_wasm::deployment::{NotBegun, Outcome, Phase, Place, Report, Rules, Strategy, Target};
use swarm_wasm::{Digest, Kept, LoadError};

impl Upgrades for WasmAgents {
    fn keep(&self, bytes: &[u8]) -> Result<ComponentSummary, UpgradeFault> {
        self.host.keep(bytes).map_err(not_kept)?;
        let digest = Digest::of(bytes);
        let kept = self.host.kept().into_iter();
        let kept = kept
            .map(summary)
            .find(|kept| kept.digest == digest.to_string());
        kept.ok_or_else(|| UpgradeFault::Failed("it was removed at once".to_owned()))
    }

    fn kept(&self) -> Vec<ComponentSummary> {
        self.host.kept().into_iter().map(summary).collect()
    }

    fn content(&self, digest: &str) -> Result<Option<Vec<u8>>, UpgradeFault> {
        let digest = digest_of("digest", digest)?;
        let Some(file) = self.host.stored(digest) else {
            return Ok(None);
        };
        let bytes = std::fs::read(file).map_err(|error| UpgradeFault::Failed(error.to_string()))?;
        if Digest::of(&bytes) != digest {
            let what = format!("the file of {digest} has another content");
            return Err(UpgradeFault::Failed(what));
        }
        Ok(Some(bytes))
    }

    fn discard(&self, digest: &str) -> Result<bool, UpgradeFault> {
        let digest = digest_of("digest", digest)?;
        self.host.discard(digest).map_err(not_kept)
    }

    fn deploy(
        &self,
        request: &DeploymentRequest,
        agents: Vec<(AnyRef, Wasm)>,
    ) -> Result<DeploymentReport, UpgradeFault> {
        let digest = digest_of("component", &request.component)?;
        let rules = rules_of(request)?;
        // Before anything is compiled.
        rules.check().map_err(|error| UpgradeFault::Invalid {
            field: "strategy",
            message: error.to_string(),
        })?;
        let targets = agents.into_iter().map(|(agent, wasm)| {
            let wasm = Wasm {
                source: Source::Digest(request.component.clone()),
                ..wasm
            };
            match self.load(&wasm) {
                Ok((component, _, _)) => Ok(Target { agent, component }),
                Err(fault) => Err(UpgradeFault::Invalid {
                    field: "component",
                    message: format!("{}: {fault}", agent.path()),
                }),
            }
        });
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        let begun = self.deployments.begin(digest, targets, rules);
        begun.map(report).map_err(|error| match error {
            NotBegun::Rules(_) | NotBegun::Nobody => UpgradeFault::Invalid {
                field: "target",
                message: error.to_string(),
            },
            NotBegun::Busy { .. } | NotBegun::TooMany => UpgradeFault::Refused(error.to_string()),
        })
    }

    fn deployments(&self) -> Vec<DeploymentReport> {
        self.deployments.list().into_iter().map(report).collect()
    }

    fn abort(
        &self,
        id: u64,
    ) -> Pin<Box<dyn Future<Output = Option<DeploymentReport>> + Send + '_>> {
        Box::pin(async move { self.deployments.abort(id).await.map(report) })
    }
}

fn summary(kept: Kept) -> ComponentSummary {
    ComponentSummary {
        digest: kept.digest.to_string(),
        bytes: kept.bytes,
        kept_at: Time::from(kept.at),
    }
}

fn digest_of(field: &'static str, text: &str) -> Result<Digest, UpgradeFault> {
    text.parse()
        .map_err(|error: swarm_wasm::NotADigest| UpgradeFault::Invalid {
            field,
            message: error.to_string(),
        })
}

fn not_kept(error: LoadError) -> UpgradeFault {
    match error {
        LoadError::NotKept(_) => UpgradeFault::Failed(error.to_string()),
        LoadError::NoFolder | LoadError::Full => UpgradeFault::Refused(error.to_string()),
        error => UpgradeFault::Invalid {
            field: "component",
            message: error.to_string(),
        },
    }
}

fn rules_of(request: &DeploymentRequest) -> Result<Rules, UpgradeFault> {
    let usual = Rules::default();
    let strategy = match &request.strategy {
        None => usual.strategy,
        Some(word) => Strategy::ALL
            .into_iter()
            .find(|strategy| strategy.as_str() == word)
            .ok_or_else(|| UpgradeFault::Invalid {
                field: "strategy",
                message: "none of direct, blue-green, canary, shadow".to_owned(),
            })?,
    };
    Ok(Rules {
        strategy,
        probation: request.probation_turns.unwrap_or(usual.probation),
        stages: request.stages_percent.clone().unwrap_or(usual.stages),
        stage_time: request
            .stage_ms
            .map_or(usual.stage_time, Duration::from_millis),
        stage_turns: request.stage_turns.unwrap_or(usual.stage_turns),
        errors_per_mille_max: request
            .errors_per_mille_max
            .unwrap_or(usual.errors_per_mille_max),
        restarts_max: request.restarts_max.unwrap_or(usual.restarts_max),
        turn_time_max: request.turn_max_ms.map(Duration::from_millis),
        within: request
            .within_ms
            .map_or(usual.within, Duration::from_millis),
    })
}

fn report(report: Report) -> DeploymentReport {
    let (state, reason, stage_percent) = match report.phase {
        Phase::Watching => ("watching", None, None),
        Phase::Stage(percent) => ("stage", None, Some(percent)),
        Phase::TakingBack(ref why) => ("taking-back", Some(why.clone()), None),
        Phase::Over(Outcome::Deployed(_)) => ("deployed", None, None),
        Phase::Over(Outcome::Watched) => ("watched", None, None),
        Phase::Over(Outcome::TakenBack(ref why)) => ("taken-back", Some(why.clone()), None),
    };
    let agents = report.agents.into_iter().map(|(path, place)| {
        let (state, reason) = match place {
            Place::Old => ("old", None),
            Place::Changing => ("changing", None),
            Place::New => ("new", None),
            Place::Joining => ("joining", None),
            Place::Followed => ("followed", None),
            Place::Returning => ("returning", None),
            Place::Kept => ("kept", None),
            Place::Back => ("back", None),
            Place::Failed(why) => ("failed", Some(why)),
        };
        DeploymentAgent {
            path: path.to_string(),
            state: state.to_owned(),
            reason,
        }
    });
    let seen = report.seen;
    let whole = |time: u128| u64::try_from(time).unwrap_or(u64::MAX);
    DeploymentReport {
        id: report.id,
        // Who asks says which node it is.
        node: String::new(),
        component: report.digest.to_string(),
        strategy: report.rules.strategy.as_str().to_owned(),
        state: state.to_owned(),
        is_over: matches!(report.phase, Phase::Over(_)),
        reason,
        stage_percent,
        elapsed_ms: whole(report.elapsed.as_millis()),
        agents: agents.collect(),
        turn_p95_us: whole(seen.turn_time_p95().as_micros()),
        turns: seen.turns,
        failed: seen.failed,
        restarts: seen.restarts,
        went_back: seen.rolled_back,
        same: seen.same,
        different: seen.different,
        differences: seen.differences,
    }
}
