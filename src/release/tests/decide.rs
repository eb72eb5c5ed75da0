//! Unit: the decision table.

use super::*;
use crate::api::Reason;
use crate::cluster::Retry;

fn failed(failures: u32, retry: Retry, installed: bool) -> ReleaseState {
    ReleaseState::Failed {
        revision: 4,
        same_inputs: true,
        installed,
        failures,
        reason: "ImmutableField".into(),
        retry,
        at: Some(at(1000)),
        message: "it broke".into(),
    }
}

fn pending(ours: bool, same_inputs: bool, until: Option<i64>) -> ReleaseState {
    ReleaseState::Pending { revision: 4, ours, same_inputs, until: until.map(at), beside: None }
}

#[test]
fn decisions() {
    let unmanaged = |deployed| ReleaseState::Unmanaged { revision: 1, deployed };
    let out_of_sync = |installed| ReleaseState::OutOfSync { why: String::new(), installed };
    let stall = Decision::Stall { reason: Reason::ImmutableField, message: "it broke".into() };
    for (name, state, want) in [
        ("an absent release is installed", ReleaseState::Absent, Decision::Install),
        ("a release that is in sync is left alone", ReleaseState::InSync { revision: 1 }, Decision::Nothing),
        ("a held release is left alone", ReleaseState::Held { revision: 1, of: 1 }, Decision::Nothing),
        ("a change is an upgrade", out_of_sync(true), Decision::Upgrade),
        ("a change before the first success is an install", out_of_sync(false), Decision::Install),
        ("helm's release is taken over", unmanaged(true), Decision::Adopt { revision: 1 }),
        ("helm's failed release is upgraded", unmanaged(false), Decision::Upgrade),
        ("a crash is resumed", pending(true, true, None), Decision::Resume { revision: 4 }),
        ("an uninstall is ended", ReleaseState::Uninstalling { revision: 1 }, Decision::Uninstall),
        ("a terminal failure stalls", failed(1, Retry::OnChange, true), stall),
        ("a failure is tried again when its pause is over", failed(1, Retry::Soon, true), Decision::Upgrade),
        ("a failed install is installed again", failed(1, Retry::Soon, false), Decision::Install),
    ] {
        assert_eq!(decide(&state, &desired(), at(2000)), want, "{name}");
    }
    let ReleaseState::Failed { revision, same_inputs, failures, retry, message, .. } =
        failed(9, Retry::Soon, true)
    else {
        unreachable!()
    };
    let interrupted = ReleaseState::Failed {
        revision,
        same_inputs,
        installed: false,
        failures,
        reason: "Interrupted".into(),
        retry,
        at: Some(at(1000)),
        message,
    };
    assert_eq!(
        decide(&interrupted, &desired(), at(1000)),
        Decision::Install,
        "what was interrupted is begun anew without a pause"
    );
    let held = Desired::held(&owner(), 2);
    assert_eq!(decide(&out_of_sync(true), &held, at(2000)), Decision::Rollback { to: 2 });
    assert_eq!(decide(&failed(1, Retry::Soon, true), &held, at(2000)), Decision::Rollback { to: 2 });
}

#[test]
fn pauses_are_kept() {
    let after = |state: &ReleaseState, now| match decide(state, &desired(), at(now)) {
        Decision::Later { after, .. } => Some(after.as_secs()),
        _ => None,
    };
    for (name, state, now, want) in [
        ("the first failure", failed(1, Retry::Soon, true), 1000, Some(4..=5)),
        ("half-way", failed(3, Retry::Soon, true), 1010, Some(8..=12)),
        ("a quota needs longer", failed(1, Retry::Later, true), 1000, Some(60..=60)),
        ("over", failed(1, Retry::Later, true), 1061, None),
        ("a clock that went back", failed(1, Retry::Soon, true), 10, Some(4..=5)),
        ("helm is at work", pending(false, false, Some(2000)), 1990, Some(10..=10)),
        ("helm is at work for long", pending(false, false, Some(2000)), 1000, Some(30..=30)),
    ] {
        let got = after(&state, now);
        assert!(got.is_some() == want.is_some(), "{name}: {got:?}");
        assert!(got.zip(want).is_none_or(|(got, want)| want.contains(&got)), "{name}: {got:?}");
    }
}

#[test]
fn pending_revisions_that_nobody_wants_are_given_up() {
    for (name, state, want) in [
        ("a newer spec", pending(true, false, None), Reason::Superseded),
        ("helm is gone", pending(false, false, Some(2000)), Reason::Interrupted),
        ("helm's has no date", pending(false, false, None), Reason::Interrupted),
    ] {
        let decision = decide(&state, &desired(), at(2000));
        let Decision::Supersede { revision: 4, reason, .. } = decision else {
            panic!("{name}: {decision:?}")
        };
        assert_eq!(reason, want, "{name}");
    }
}

#[test]
fn what_cannot_be_done_stalls() {
    let claimed = ReleaseState::Claimed { owner: "a/b".into(), holder: "p".into() };
    let missing = ReleaseState::MissingRevision { message: "no".into() };
    let external =
        ReleaseState::External { revision: 2, what: "web-1.0.0, deployed: Upgrade complete".into() };
    for (state, want) in [
        (claimed, Reason::ReleaseClaimed),
        (missing, Reason::RevisionNotFound),
        (external, Reason::ExternalRelease),
    ] {
        let decision = decide(&state, &desired(), at(0));
        let Decision::Stall { reason, .. } = decision else { panic!("{decision:?}") };
        assert_eq!(reason, want);
    }
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
