//! Unit: the decision table: every state with every policy that it depends on.

use super::*;
use crate::api::RemediationStrategy;
use crate::cluster::Retry;

/// A failure of revision 4, at second 1000.
fn failure(action: Action, failures: u32, retry: Retry) -> Failed {
    Failed {
        action,
        failures,
        reason: "WaitTimeout".into(),
        retry,
        at: Some(at(1000)),
        message: "it broke".into(),
    }
}

fn failed_with(failed: Failed, good: Option<u32>) -> ReleaseState {
    ReleaseState::Failed { revision: 4, failed, installed: good.is_some(), is_remedy: false, good }
}

fn failed(action: Action, failures: u32, retry: Retry) -> ReleaseState {
    failed_with(failure(action, failures, retry), (action != Action::Install).then_some(2))
}

/// A rollback, made to put a failed upgrade right, that failed itself.
fn failed_remedy(good: Option<u32>, failures: u32, retry: Retry) -> ReleaseState {
    let failed = failure(Action::Rollback, failures, retry);
    ReleaseState::Failed { revision: 4, failed, installed: true, is_remedy: true, good }
}

fn remediated(action: Action, failures: u32, retry: Retry, back_at: Option<u32>) -> ReleaseState {
    ReleaseState::Remediated { revision: 5, failed: failure(action, failures, retry), back_at }
}

fn pending(ours: bool, same_inputs: bool, until: Option<i64>) -> ReleaseState {
    ReleaseState::Pending { revision: 4, ours, same_inputs, until: until.map(at), beside: None }
}

/// No word of the spec about failures: they are tried again for ever.
const PLAIN: Remedies = Remedies { install: None, upgrade: None, replace: false };

fn with(strategy: RemediationStrategy, retries: Option<u32>, last: bool) -> Remedies {
    let of = |strategy| Some(Remediation { retries, strategy, last });
    Remedies { install: of(RemediationStrategy::Uninstall), upgrade: of(strategy), replace: false }
}

fn rollback(retries: Option<u32>, last: bool) -> Remedies {
    with(RemediationStrategy::Rollback, retries, last)
}

fn uninstall(retries: Option<u32>, last: bool) -> Remedies {
    with(RemediationStrategy::Uninstall, retries, last)
}

/// Action and reason of a decision, in short.
fn words(decision: &Decision) -> String {
    match decision {
        Decision::Nothing => "nothing".into(),
        Decision::Install => "install".into(),
        Decision::Upgrade => "upgrade".into(),
        Decision::Adopt { revision } => format!("adopt {revision}"),
        Decision::Rollback { to } => format!("roll back to {to}"),
        Decision::Remediate { revision, how: Remedial::Rollback { to } } => {
            format!("put {revision} right by {to}")
        }
        Decision::Remediate { revision, how: Remedial::Uninstall } => {
            format!("put {revision} right by an uninstall")
        }
        Decision::Test { revision } => format!("test {revision}"),
        Decision::Resume { revision } => format!("resume {revision}"),
        Decision::Supersede { revision, reason, .. } => format!("give up {revision}: {reason}"),
        Decision::Uninstall => "uninstall".into(),
        Decision::Stall { reason, .. } => format!("stall: {reason}"),
        Decision::Later { reason, .. } => format!("later: {reason}"),
    }
}

/// The state's name. A state that is added here has to be added to the table.
fn name_of(state: &ReleaseState) -> &'static str {
    match state {
        ReleaseState::Absent => "Absent",
        ReleaseState::Uninstalled { .. } => "Uninstalled",
        ReleaseState::Claimed { .. } => "Claimed",
        ReleaseState::Pending { .. } => "Pending",
        ReleaseState::Uninstalling { .. } => "Uninstalling",
        ReleaseState::Unmanaged { .. } => "Unmanaged",
        ReleaseState::External { .. } => "External",
        ReleaseState::OutOfSync { .. } => "OutOfSync",
        ReleaseState::Failed { .. } => "Failed",
        ReleaseState::Remediated { .. } => "Remediated",
        ReleaseState::Untested { .. } => "Untested",
        ReleaseState::InSync { .. } => "InSync",
        ReleaseState::Held { .. } => "Held",
        ReleaseState::MissingRevision { .. } => "MissingRevision",
    }
}

const STATES: [&str; 14] = [
    "Absent",
    "Uninstalled",
    "Claimed",
    "Pending",
    "Uninstalling",
    "Unmanaged",
    "External",
    "OutOfSync",
    "Failed",
    "Remediated",
    "Untested",
    "InSync",
    "Held",
    "MissingRevision",
];

type Row = (&'static str, ReleaseState, Remedies, &'static str);

/// Without a word about failures in the spec.
fn plain() -> Vec<Row> {
    use Action::{Install, Upgrade};
    let unmanaged = |deployed| ReleaseState::Unmanaged { revision: 1, deployed };
    let out_of_sync = |installed| ReleaseState::OutOfSync { why: String::new(), installed };
    let interrupted = |action| Failed { reason: "Interrupted".into(), ..failure(action, 9, Retry::Soon) };
    let rows = [
        ("an absent release is installed", ReleaseState::Absent, "install"),
        (
            "a kept record is not overwritten",
            ReleaseState::Uninstalled { revision: 3 },
            "stall: InstallFailed",
        ),
        (
            "the release of another HelmRelease is left alone",
            ReleaseState::Claimed { owner: "a/b".into(), holder: "p".into() },
            "stall: ReleaseClaimed",
        ),
        ("a crash is resumed", pending(true, true, None), "resume 4"),
        ("a newer spec takes over", pending(true, false, None), "give up 4: Superseded"),
        ("helm at work is left alone", pending(false, false, Some(2500)), "later: Progressing"),
        ("what helm left is given up", pending(false, false, Some(2000)), "give up 4: Interrupted"),
        ("what helm left without a date too", pending(false, false, None), "give up 4: Interrupted"),
        ("an uninstall is ended", ReleaseState::Uninstalling { revision: 1 }, "uninstall"),
        ("helm's release is taken over", unmanaged(true), "adopt 1"),
        ("helm's failed release is upgraded", unmanaged(false), "upgrade"),
        (
            "what helm does beside Pintle is told",
            ReleaseState::External { revision: 2, what: "web-1.0.0".into() },
            "stall: ExternalRelease",
        ),
        ("a change is an upgrade", out_of_sync(true), "upgrade"),
        ("a change before the first success is an install", out_of_sync(false), "install"),
        ("a terminal failure stalls", failed(Upgrade, 1, Retry::OnChange), "stall: WaitTimeout"),
        ("a failure is tried again when its pause is over", failed(Upgrade, 1, Retry::Soon), "upgrade"),
        ("however often it failed", failed(Upgrade, 1000, Retry::Soon), "upgrade"),
        ("a failed install is installed again", failed(Install, 1, Retry::Soon), "install"),
        ("what was cut short is begun anew", failed_with(interrupted(Upgrade), Some(2)), "upgrade"),
        ("so is an install", failed_with(interrupted(Install), None), "install"),
        ("a failed remedy is tried again", failed_remedy(Some(2), 1, Retry::Soon), "put 4 right by 2"),
        ("a remedy that cannot be", failed_remedy(Some(2), 1, Retry::OnChange), "stall: WaitTimeout"),
        (
            "a remedy whose target is gone",
            failed_remedy(None, 1, Retry::Soon),
            "stall: MissingRollbackTarget",
        ),
        ("a new revision is tested", ReleaseState::Untested { revision: 4 }, "test 4"),
        ("a release that is in sync is left alone", ReleaseState::InSync { revision: 1 }, "nothing"),
        ("a held release is left alone", ReleaseState::Held { revision: 1, of: 1 }, "nothing"),
        (
            "a revision that is not there",
            ReleaseState::MissingRevision { message: "no".into() },
            "stall: RevisionNotFound",
        ),
        (
            "the policy went while a failure was put right",
            remediated(Upgrade, 9, Retry::Soon, Some(2)),
            "upgrade",
        ),
    ];
    rows.into_iter().map(|(name, state, want)| (name, state, PLAIN, want)).collect()
}

/// With remedies.
fn remedied() -> Vec<Row> {
    use Action::{Install, Rollback, Upgrade};
    let replace = Remedies { replace: true, ..PLAIN };
    let untargeted = failed_with(failure(Upgrade, 1, Retry::Soon), None);
    let interrupted = Failed { reason: "Interrupted".into(), ..failure(Upgrade, 3, Retry::Soon) };
    vec![
        ("a kept record is gone on from", ReleaseState::Uninstalled { revision: 3 }, replace, "install"),
        (
            "a failed install is uninstalled",
            failed(Install, 1, Retry::Soon),
            rollback(Some(1), false),
            "put 4 right by an uninstall",
        ),
        (
            "the last one stays",
            failed(Install, 2, Retry::Soon),
            rollback(Some(1), false),
            "stall: RetriesExceeded",
        ),
        (
            "unless it is to go",
            failed(Install, 2, Retry::Soon),
            rollback(Some(1), true),
            "put 4 right by an uninstall",
        ),
        (
            "a failed upgrade is rolled back",
            failed(Upgrade, 1, Retry::Soon),
            rollback(Some(1), true),
            "put 4 right by 2",
        ),
        (
            "or uninstalled",
            failed(Upgrade, 1, Retry::Later),
            uninstall(Some(1), true),
            "put 4 right by an uninstall",
        ),
        (
            "the last failed upgrade too",
            failed(Upgrade, 2, Retry::Soon),
            rollback(Some(1), true),
            "put 4 right by 2",
        ),
        (
            "unless it is to stay",
            failed(Upgrade, 2, Retry::Soon),
            rollback(Some(1), false),
            "stall: RetriesExceeded",
        ),
        (
            "no retries, and nothing is put right",
            failed(Upgrade, 1, Retry::Soon),
            rollback(Some(0), false),
            "stall: RetriesExceeded",
        ),
        (
            "retries without an end",
            failed(Upgrade, 1000, Retry::Soon),
            rollback(None, false),
            "put 4 right by 2",
        ),
        (
            "what cannot be mended by a retry is the last failure",
            failed(Upgrade, 1, Retry::OnChange),
            rollback(Some(5), true),
            "put 4 right by 2",
        ),
        (
            "and has its own reason",
            failed(Upgrade, 1, Retry::OnChange),
            rollback(Some(5), false),
            "stall: WaitTimeout",
        ),
        (
            "nothing to go back to",
            untargeted.clone(),
            rollback(Some(5), true),
            "stall: MissingRollbackTarget",
        ),
        ("an uninstall needs no target", untargeted, uninstall(Some(5), true), "put 4 right by an uninstall"),
        (
            "what was cut short is no failure",
            failed_with(interrupted, Some(2)),
            rollback(Some(1), true),
            "upgrade",
        ),
        (
            "a failed rollback is never put right",
            failed(Rollback, 9, Retry::Soon),
            rollback(Some(1), true),
            "upgrade",
        ),
        (
            "nor is a failed remedy, which does not use up retries",
            failed_remedy(Some(2), 9, Retry::Soon),
            rollback(Some(1), true),
            "put 4 right by 2",
        ),
        (
            "after a rollback comes the next try",
            remediated(Upgrade, 1, Retry::Soon, Some(2)),
            rollback(Some(1), true),
            "upgrade",
        ),
        (
            "after the last one the end",
            remediated(Upgrade, 2, Retry::Soon, Some(2)),
            rollback(Some(1), true),
            "stall: RetriesExceeded",
        ),
        (
            "after a terminal failure the end",
            remediated(Upgrade, 1, Retry::OnChange, Some(2)),
            rollback(Some(5), true),
            "stall: WaitTimeout",
        ),
        (
            "after an uninstall comes an install",
            remediated(Upgrade, 1, Retry::Soon, None),
            uninstall(Some(1), true),
            "install",
        ),
        (
            "of an install as well",
            remediated(Install, 1, Retry::Soon, None),
            rollback(Some(1), false),
            "install",
        ),
        (
            "an uninstall may be the end",
            remediated(Install, 2, Retry::Soon, None),
            rollback(Some(1), true),
            "stall: RetriesExceeded",
        ),
    ]
}

#[test]
fn decisions() {
    let rows: Vec<Row> = plain().into_iter().chain(remedied()).collect();
    for (name, state, remedies, want) in &rows {
        assert_eq!(words(&decide(state, &desired(), remedies, at(2000))), *want, "{name}: {state:?}");
    }
    for state in STATES {
        assert!(rows.iter().any(|(_, row, ..)| name_of(row) == state), "{state} is in no row");
    }
}

/// What does not depend on the policy does the same with each.
#[test]
fn remedies_are_for_failures_alone() {
    let concerns = ["Failed", "Remediated", "Uninstalled"];
    for (name, state, _, want) in plain().iter().filter(|(_, state, ..)| !concerns.contains(&name_of(state)))
    {
        for remedies in [rollback(Some(0), true), uninstall(None, false), Remedies { replace: true, ..PLAIN }]
        {
            assert_eq!(words(&decide(state, &desired(), &remedies, at(2000))), *want, "{name}");
        }
    }
}

#[test]
fn a_held_release_goes_back_and_is_never_put_right() {
    let held = Desired::held(&owner(), 2);
    let out_of_sync = ReleaseState::OutOfSync { why: String::new(), installed: true };
    for state in [out_of_sync, failed(Action::Rollback, 1, Retry::Soon)] {
        for remedies in [PLAIN, rollback(Some(0), true), uninstall(Some(0), true)] {
            let decision = decide(&state, &held, &remedies, at(2000));
            assert_eq!(decision, Decision::Rollback { to: 2 }, "{state:?}");
        }
    }
}

#[test]
fn pauses_are_kept() {
    use Action::Upgrade;
    let after = |state: &ReleaseState, now| match decide(state, &desired(), &PLAIN, at(now)) {
        Decision::Later { after, .. } => Some(after.as_secs()),
        _ => None,
    };
    for (name, state, now, want) in [
        ("the first failure", failed(Upgrade, 1, Retry::Soon), 1000, Some(4..=5)),
        ("half-way", failed(Upgrade, 3, Retry::Soon), 1010, Some(8..=12)),
        ("a quota needs longer", failed(Upgrade, 1, Retry::Later), 1000, Some(60..=60)),
        ("over", failed(Upgrade, 1, Retry::Later), 1061, None),
        ("a clock that went back", failed(Upgrade, 1, Retry::Soon), 10, Some(4..=5)),
        ("after it was put right", remediated(Upgrade, 3, Retry::Soon, Some(2)), 1010, Some(8..=12)),
        ("a failed remedy", failed_remedy(Some(2), 2, Retry::Soon), 1000, Some(9..=11)),
        ("helm is at work", pending(false, false, Some(2000)), 1990, Some(10..=10)),
        ("helm is at work for long", pending(false, false, Some(2000)), 1000, Some(30..=30)),
    ] {
        let got = after(&state, now);
        assert!(got.is_some() == want.is_some(), "{name}: {got:?}");
        assert!(got.zip(want).is_none_or(|(got, want)| want.contains(&got)), "{name}: {got:?}");
    }
    let first = decide(&failed(Upgrade, 1, Retry::Soon), &desired(), &rollback(Some(1), true), at(1000));
    assert_eq!(words(&first), "put 4 right by 2", "nobody waits with a broken release");
}

#[test]
fn the_end_says_what_failed_and_what_to_do() {
    let message = |state: &ReleaseState, remedies| match decide(state, &desired(), &remedies, at(2000)) {
        Decision::Stall { message, .. } => message,
        other => panic!("{other:?}"),
    };
    let state = remediated(Action::Upgrade, 3, Retry::Soon, Some(2));
    assert_eq!(
        message(&state, rollback(Some(2), true)),
        "the upgrade failed 3 times, which is all that spec.upgrade.remediation.retries allows; the last time with WaitTimeout: it broke; revision 5 has the content of revision 2 again; change the spec, or set the annotation pintle.dev/resetAt"
    );
    let state = failed(Action::Install, 1, Retry::Soon);
    assert_eq!(
        message(&state, rollback(Some(0), false)),
        "the install failed once, which is all that spec.install.remediation.retries allows; the last time with WaitTimeout: it broke; change the spec, or set the annotation pintle.dev/resetAt"
    );
    let state = ReleaseState::Uninstalled { revision: 3 };
    assert_eq!(
        message(&state, PLAIN),
        "the release was uninstalled, and its record is kept up to revision 3; set spec.install.replace to go on from it, or delete its Secrets"
    );
}

#[test]
fn backoff_doubles_up_to_five_minutes() {
    for (failures, want) in [(0, 5), (1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (40, 300), (u32::MAX, 300)]
    {
        let pause = backoff(failures, 42).as_secs_f64();
        let want = f64::from(want);
        assert!((want * 0.9..=want * 1.1).contains(&pause), "{failures}: {pause}");
    }
    assert_ne!(backoff(5, 1), backoff(5, 2), "releases that failed together try apart");
    assert_eq!(backoff(5, 1), backoff(5, 1));
}
