//! otp.md A13: reports.

mod common;

use common::puppet::{Act, Puppet, logged, name, quiet, spec};
use std::time::Duration;
use swarm_protocols::{Address, ErrorChain, ExitReason, Incarnation, Path, Pid};
use swarm_supervisors::{
    ChildType, Context, FormatLimits, Level, Offender, OffenderPid, Report, ReportReason, Restart,
    Shutdown, SupervisorFlags, SupervisorReport, start_root,
};

#[tokio::test(start_paused = true)]
async fn s155_each_failure_has_its_report() {
    let (env, log) = logged();
    let child = Puppet::new().acts([Act::Run, Act::Fail("no")]);
    let flags = SupervisorFlags::default().intensity(1, Duration::from_secs(60));
    let root = start_root(env, spec(flags, [child.spec("b")]))
        .await
        .expect("starts");
    let first = child.pid();
    child.crash();
    root.wait().await;
    let reports = log.take();
    let failures: Vec<&SupervisorReport> = reports
        .iter()
        .filter_map(|report| match report {
            Report::Supervisor(failure) => Some(failure),
            _ => None,
        })
        .collect();
    let contexts: Vec<Context> = failures.iter().map(|failure| failure.context).collect();
    assert_eq!(
        contexts,
        [
            Context::ChildTerminated,
            Context::StartError,
            Context::Shutdown
        ]
    );
    assert_eq!(failures[2].reason, ReportReason::ReachedMaxRestartIntensity);
    assert_eq!(failures[0].supervisor, Path::root());
    assert_eq!(
        failures[0].offender,
        Offender {
            pid: OffenderPid::Pid(first),
            id: name("b"),
            restart: Restart::Permanent,
            significant: false,
            shutdown: Shutdown::WORKER_DEFAULT,
            child_type: ChildType::Worker,
        }
    );
    assert!(reports.iter().any(|report| report.level() == Level::Error));
}

#[tokio::test(start_paused = true)]
async fn s156_which_ends_are_reported_depends_on_the_restart_type() {
    for (restart, reason, reported) in [
        (Restart::Permanent, ExitReason::Normal, true),
        (Restart::Permanent, ExitReason::SHUTDOWN, true),
        (Restart::Permanent, ExitReason::Killed, true),
        (Restart::Transient, ExitReason::Normal, false),
        (Restart::Transient, ExitReason::SHUTDOWN, false),
        (Restart::Transient, ExitReason::Killed, true),
        (Restart::Temporary, ExitReason::Normal, false),
        (Restart::Temporary, ExitReason::Killed, true),
    ] {
        let (env, log) = logged();
        let child = Puppet::new();
        let root = start_root(
            env,
            spec(
                SupervisorFlags::default(),
                [child.spec("c").restart(restart)],
            ),
        )
        .await;
        child.end(reason.clone());
        quiet().await;
        let expected = if reported {
            vec![format!("child_terminated c {reason}")]
        } else {
            vec![]
        };
        assert_eq!(log.failures(), expected, "{restart:?} {reason}");
        drop(root);
    }
}

#[tokio::test(start_paused = true)]
async fn s157_starts_are_progress_and_quieter_when_somebody_called_for_them() {
    let (env, log) = logged();
    let child = Puppet::new();
    let root = start_root(env, spec(SupervisorFlags::default(), [child.spec("a")]))
        .await
        .expect("starts");
    child.crash();
    quiet().await;
    assert_eq!(log.starts(), ["info a", "info a"]);
    root.supervisor()
        .start_child(Puppet::new().spec("b"))
        .await
        .expect("starts");
    root.supervisor()
        .terminate_child(&name("b"))
        .await
        .expect("stops");
    root.supervisor()
        .restart_child(&name("b"))
        .await
        .expect("starts");
    assert_eq!(log.starts(), ["debug b", "debug b"]);
}

fn report(reason: ReportReason, pid: OffenderPid) -> Report {
    Report::Supervisor(SupervisorReport {
        supervisor: Path::new("/pool").expect("a path"),
        supervisor_pid: Pid {
            address: Address(1),
            incarnation: Incarnation(1),
        },
        context: Context::ChildTerminated,
        reason,
        offender: Offender {
            pid,
            id: name("w"),
            restart: Restart::Transient,
            significant: true,
            shutdown: Shutdown::BrutalKill,
            child_type: ChildType::Worker,
        },
    })
}

#[test]
fn s158_reports_are_formatted_in_one_line_or_several_and_within_limits() {
    let chain = ExitReason::Error(std::sync::Arc::new(ErrorChain {
        messages: vec!["outer".into(), "middle".into(), "inner".into()],
    }));
    let pid = OffenderPid::Pid(Pid {
        address: Address(2),
        incarnation: Incarnation(3),
    });
    let report = report(ReportReason::Exit(chain), pid);
    let all = FormatLimits::default();
    assert_eq!(
        report.single_line(all),
        "Supervisor: /pool. Context: child_terminated. Reason: error(outer: middle: inner). \
         Offender: id=w,pid=00000000000000000000000000000002#3."
    );
    assert_eq!(
        report.multi_line(all),
        "    supervisor: /pool\n    errorContext: child_terminated\n    reason: error(outer: middle: inner)\n    \
         offender: [pid=00000000000000000000000000000002#3, id=w, restart_type=transient, \
         significant=true, shutdown=brutal_kill, child_type=worker]"
    );
    let shallow = FormatLimits {
        depth: Some(1),
        ..all
    };
    assert!(
        report
            .single_line(shallow)
            .contains("Reason: error(outer: ...).")
    );
    let short = FormatLimits {
        chars: Some(20),
        ..all
    };
    assert_eq!(report.single_line(short), "Supervisor: /pool...");
    assert_eq!(report.multi_line(short).chars().count(), 20);
}

#[test]
fn s158_grouped_children_are_counted() {
    let report = report(
        ReportReason::ReachedMaxRestartIntensity,
        OffenderPid::Children(3),
    );
    let line = report.single_line(FormatLimits::default());
    assert!(
        line.ends_with("Reason: reached_max_restart_intensity. Offender: id=w,nb_children=3."),
        "{line}"
    );
}
