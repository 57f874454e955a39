//! Makes events of what supervisors report.

use super::{ENDED_SUPERVISORS_MAX, SupervisorLine, WeakSystem};
use crate::events::What;
use crate::info::ActorState;
use swarm_protocols::ExitReason;
use swarm_supervisors::{Context, Observer, Report, ReportReason};

/// Makes events of what supervisors report.
pub(super) struct Witness(pub(super) WeakSystem);

impl Observer for Witness {
    fn report(&self, report: &Report) {
        let Some(system) = self.0.upgrade() else {
            return;
        };
        match report {
            Report::Supervisor(report) => {
                let child = report.supervisor.child(&report.offender.id);
                match (&report.context, &report.reason) {
                    (Context::StartError, ReportReason::Exit(reason)) => {
                        system.publish(
                            Some(child),
                            None,
                            What::StartFailed {
                                reason: reason.clone(),
                            },
                        );
                    }
                    (Context::Shutdown, _) => system.publish(
                        Some(report.supervisor.clone()),
                        Some(report.supervisor_pid.incarnation),
                        What::Escalated {
                            reason: ExitReason::SHUTDOWN,
                        },
                    ),
                    _ => {}
                }
            }
            Report::Progress(_) => {}
            Report::SupervisorStarted { supervisor, pid } => {
                let mut supervisors = system.0.supervisors.write();
                let line = supervisors
                    .entry(supervisor.clone())
                    .or_insert(SupervisorLine {
                        pid: *pid,
                        began_ms: 0,
                        state: ActorState::Running,
                        restarts: 0,
                    });
                line.pid = *pid;
                line.began_ms = system.wall_ms();
                line.state = ActorState::Running;
                line.restarts =
                    u32::try_from(pid.incarnation.0.saturating_sub(1)).unwrap_or(u32::MAX);
                drop(supervisors);
                system.publish(
                    Some(supervisor.clone()),
                    Some(pid.incarnation),
                    What::Started,
                );
            }
            Report::SupervisorStopping { .. } => {}
            Report::SupervisorEnded {
                supervisor,
                pid,
                reason,
            } => {
                let mut supervisors = system.0.supervisors.write();
                if let Some(line) = supervisors.get_mut(supervisor)
                    && line.pid == *pid
                {
                    line.state = ActorState::Stopped;
                }
                if supervisors.len() > ENDED_SUPERVISORS_MAX {
                    // Dynamic ones that come and go would fill the table; what is stopped can be asked of its supervisor.
                    supervisors.retain(|_, line| line.state.is_alive());
                }
                drop(supervisors);
                system.publish(
                    Some(supervisor.clone()),
                    Some(pid.incarnation),
                    What::Exited {
                        reason: reason.clone(),
                    },
                );
            }
        }
    }
}
