//! What partitions decide, carried out.

use super::driver::Driver;
use swarm_cluster::partition::{Decision, Event, Side, Strategy};
use swarm_cluster::placement;
use swarm_protocols::Name;

impl Driver {
    /// Tells the core of partitions something, and everybody what comes of it.
    pub(super) fn partition(&mut self, event: Event) {
        let now = self.origin.elapsed();
        let decisions = self.partition.lock().handle(event, now);
        for decision in decisions {
            match decision {
                Decision::Detected { missing, agreed } => {
                    let detail =
                        format!("{} of {agreed} missing: {}", missing.len(), list(&missing));
                    tracing::warn!(detail, "members are gone without a goodbye");
                    self.tell("partition-detected", &detail);
                }
                Decision::Side(side) => self.stand_on(side),
                Decision::Healed => {
                    tracing::info!("nobody is missing any more");
                    self.tell("partition-healed", "");
                    self.is_reconciling = true;
                }
            }
        }
    }

    fn stand_on(&mut self, side: Side) {
        let missing = list(&self.partition.lock().missing());
        match side {
            Side::Greater => self.tell("partition-greater", &format!("going on without {missing}")),
            Side::Lesser => {
                tracing::error!(missing, "this is the lesser side of a partition");
                self.tell("partition-lesser", &format!("waiting for {missing}"));
            }
            Side::Whole | Side::Undecided => {}
        }
        if self.strategy == Strategy::None {
            return;
        }
        if let Some(cluster) = &self.cluster {
            cluster.hold_standbys(side == Side::Undecided);
            if side != Side::Undecided {
                cluster.keep_names_local(side == Side::Lesser);
            }
        }
        self.handle(match side {
            Side::Whole | Side::Greater => placement::Event::Resume,
            Side::Undecided => placement::Event::Hold,
            Side::Lesser => placement::Event::Suspend,
        });
    }

    /// After a heal: tells once that everything runs where it belongs again.
    pub(super) fn reconcile(&mut self) {
        if self.is_reconciling && self.core.lock().is_settled() {
            self.is_reconciling = false;
            self.tell("partition-reconciled", "");
        }
    }

    fn tell(&self, name: &str, detail: &str) {
        if let Some(node) = self.node.upgrade() {
            node.system().publish_custom(None, name, detail);
        }
    }
}

fn list(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    names.join(", ")
}
