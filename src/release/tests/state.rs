//! Unit: what observations amount to.

use super::*;
use Status::{Deployed, Failed, PendingInstall, PendingUpgrade, Superseded, Uninstalled, Uninstalling};

fn assessed(revisions: &[Built], desired: &Desired) -> ReleaseState {
    assess(&Observation { history: history(revisions) }, desired)
}

fn changed(why: &str, installed: bool) -> ReleaseState {
    ReleaseState::OutOfSync { why: why.into(), installed }
}

#[test]
fn going_forward() {
    let other = |r: Built| r.with(|f| f.values_digest = "other".into());
    let pending = |ours, same_inputs, until| ReleaseState::Pending {
        revision: 1,
        ours,
        same_inputs,
        until,
        beside: None,
    };
    let unmanaged = |deployed| ReleaseState::Unmanaged { revision: 1, deployed };
    for (name, revisions, want) in [
        ("nothing", vec![], ReleaseState::Absent),
        (
            "uninstalled, with its history",
            vec![revision(1, Uninstalled)],
            ReleaseState::Uninstalled { revision: 1 },
        ),
        ("deployed", vec![revision(1, Deployed)], ReleaseState::InSync { revision: 1 }),
        ("other values", vec![other(revision(1, Deployed))], changed("the values changed", true)),
        (
            "another chart",
            vec![revision(1, Deployed).with(|f| f.chart_digest = "o".into())],
            changed("the chart changed", true),
        ),
        (
            "another spec",
            vec![revision(1, Deployed).with(|f| f.spec_digest = "o".into())],
            changed("the spec changed", true),
        ),
        (
            "a failed install with other values",
            vec![other(revision(1, Failed))],
            changed("the values changed", false),
        ),
        ("a pending install", vec![revision(1, PendingInstall)], pending(true, true, None)),
        (
            "a pending install of other values",
            vec![other(revision(1, PendingInstall))],
            pending(true, false, None),
        ),
        (
            "helm's pending install",
            vec![revision(1, PendingInstall).by_helm()],
            pending(false, false, Some(at(1200))),
        ),
        ("helm's revision", vec![revision(1, Deployed).by_helm()], unmanaged(true)),
        ("helm's failed revision", vec![revision(1, Failed).by_helm()], unmanaged(false)),
        ("an uninstall", vec![revision(1, Uninstalling)], ReleaseState::Uninstalling { revision: 1 }),
        (
            "the latest is superseded",
            vec![revision(1, Superseded)],
            changed("the latest revision is superseded", true),
        ),
        (
            "a held release that is let go with the same content",
            vec![
                revision(1, Superseded),
                revision(2, Superseded),
                revision(3, Deployed).with(|f| f.rollback_of = Some(1)),
            ],
            ReleaseState::InSync { revision: 3 },
        ),
    ] {
        assert_eq!(assessed(&revisions, &desired()), want, "{name}");
    }
    assert_eq!(
        assessed(&[revision(1, Deployed)], &desired().forced(true)),
        changed("a new revision is asked for", true)
    );
}

#[test]
fn a_force_is_heeded_when_its_revision_has_ended() {
    let forced = |number, status| revision(number, status).with(|f| f.forced_at = Some("now".into()));
    for (name, revisions, want) in [
        ("no revision was made", vec![revision(1, Deployed)], false),
        ("its revision is on the way", vec![revision(1, Deployed), forced(2, PendingUpgrade)], false),
        ("its revision is deployed", vec![forced(2, Deployed)], true),
        ("its revision failed", vec![revision(1, Deployed), forced(2, Failed)], true),
        ("another force", vec![revision(1, Deployed).with(|f| f.forced_at = Some("before".into()))], false),
    ] {
        assert_eq!(is_heeded(&history(&revisions), "now"), want, "{name}");
    }
}

#[test]
fn failures_count_while_the_inputs_stay() {
    let failed = |n, before| {
        revision(n, Failed).failed("WaitTimeout", RetryFact::Soon).with(|f| f.attempt.failures = before)
    };
    let revisions = [revision(1, Deployed), failed(2, 4)];
    let ReleaseState::Failed { revision, failed, installed, is_remedy, good } =
        assessed(&revisions, &desired())
    else {
        panic!("it failed")
    };
    assert_eq!((revision, installed, is_remedy, good, failed.failures), (2, true, false, Some(1), 5));
    assert_eq!(
        (failed.reason.as_str(), failed.retry, failed.at, failed.message.as_str()),
        ("WaitTimeout", crate::cluster::Retry::Soon, Some(at(1000)), "it broke")
    );
}

#[test]
fn another_owner_is_respected() {
    let theirs = |status| {
        revision(1, status).with(|f| {
            f.owner = "u2".into();
            f.owner_name = "apps/other".into();
        })
    };
    let claimed = ReleaseState::Claimed { owner: "apps/other".into(), holder: "pod-1".into() };
    for status in [Deployed, Failed, PendingUpgrade, Uninstalling] {
        assert_eq!(assessed(&[theirs(status)], &desired()), claimed, "{status}");
    }
    assert_eq!(assessed(&[theirs(Uninstalled)], &desired()), ReleaseState::Uninstalled { revision: 1 });
    assert_eq!(
        assessed(&[theirs(Deployed)], &desired().taking_over(true)),
        ReleaseState::InSync { revision: 1 }
    );
    let restored = revision(1, Deployed).with(|f| f.owner = "old-uid".into());
    assert_eq!(
        assessed(&[restored], &desired()),
        ReleaseState::InSync { revision: 1 },
        "a restored HelmRelease"
    );
}

#[test]
fn what_helm_makes_beside_us_is_left_alone() {
    // helm drops our facts from the revision that it supersedes.
    let theirs = |status| [revision(1, Superseded).by_helm(), revision(2, status).by_helm()];
    let external = |state: &ReleaseState| matches!(state, ReleaseState::External { revision: 2, .. });
    let settled = || desired().settled(true);
    for (name, state, want) in [
        ("an upgrade", assessed(&theirs(Deployed), &settled()), true),
        ("a failed one", assessed(&theirs(Failed), &settled()), true),
        ("the spec changed since", assessed(&theirs(Deployed), &desired()), false),
        ("a new revision is asked for", assessed(&theirs(Deployed), &settled().forced(true)), false),
        ("helm is at work", assessed(&theirs(PendingUpgrade), &settled()), false),
        ("an uninstall", assessed(&theirs(Uninstalled), &settled()), false),
        (
            "beside a held release",
            assessed(&theirs(Deployed), &Desired::held(&owner(), 1).settled(true)),
            true,
        ),
        ("held at helm's", assessed(&theirs(Deployed), &Desired::held(&owner(), 2).settled(true)), false),
        ("ours", assessed(&[revision(2, Deployed)], &settled()), false),
    ] {
        assert_eq!(external(&state), want, "{name}: {state:?}");
    }
}

#[test]
fn what_helm_has_not_ended_gets_its_time_and_is_told_of_afterwards() {
    let at_work = |status: Status, desired: Desired| {
        let mut secret = revision(2, status).by_helm().secret();
        secret["metadata"]["labels"]["modifiedAt"] = json!("700");
        let history = History::from_secrets(&[revision(1, Deployed).secret(), secret]);
        let state = assess(&Observation { history }, &desired);
        let ReleaseState::Pending { revision: 2, ours: false, until, beside, .. } = &state else {
            panic!("{state:?}")
        };
        assert_eq!(*until, Some(at(1300)), "ten minutes after its last sign of life");
        let told = beside.is_some();
        let remedies = Remedies::default();
        let is_wait = |now| matches!(decide(&state, &desired, &remedies, at(now)), Decision::Later { .. });
        assert!(is_wait(701) && is_wait(1299), "what is fresh is never taken away, whatever is asked for");
        (told, decide(&state, &desired, &remedies, at(1300)))
    };
    let external = |decision: &Decision| {
        matches!(decision, Decision::Stall { reason: crate::api::Reason::ExternalRelease, message }
            if message.contains("helm made revision 2") && message.contains("never finished"))
    };
    let given_up = |decision: &Decision| {
        matches!(decision, Decision::Supersede { revision: 2, reason: crate::api::Reason::Interrupted, .. })
    };
    for status in [PendingUpgrade, Uninstalling] {
        for (name, desired, beside) in [
            ("nothing is asked for", desired().settled(true), true),
            ("the spec changed", desired(), false),
            ("a new revision is asked for", desired().settled(true).forced(true), false),
            ("a rollback is asked for", Desired::held(&owner(), 1), false),
            ("it is held", Desired::held(&owner(), 1).settled(true), true),
        ] {
            let (told, then) = at_work(status, desired);
            assert_eq!(told, beside, "{status}: {name}");
            assert!(if beside { external(&then) } else { given_up(&then) }, "{status}: {name}: {then:?}");
        }
    }
    let ours = [revision(1, Deployed), revision(2, Uninstalling)];
    assert_eq!(assessed(&ours, &desired()), ReleaseState::Uninstalling { revision: 2 });
}

#[test]
fn holding() {
    let held = |to| Desired::held(&owner(), to);
    let three = || vec![revision(1, Superseded), revision(2, Failed), revision(3, Deployed)];
    let mut rolled_back = three();
    rolled_back[2].status = Superseded;
    rolled_back.push(revision(4, Deployed).with(|f| f.rollback_of = Some(1)));
    for (name, revisions, to, want) in [
        ("deployed already", three(), 3, ReleaseState::Held { revision: 3, of: 3 }),
        ("rolled back already", rolled_back, 1, ReleaseState::Held { revision: 4, of: 1 }),
        ("to be rolled back", three(), 1, changed("rollbackTo asks for revision 1", true)),
    ] {
        assert_eq!(assessed(&revisions, &held(to)), want, "{name}");
    }
    let missing = |to| match assessed(&three(), &held(to)) {
        ReleaseState::MissingRevision { message } => message,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        missing(9),
        "the history has no revision 9; revisions that can be rolled back to: 1, 3; set spec.rollbackTo to one of \
         them, or remove it"
    );
    assert!(missing(2).starts_with("revision 2 is failed and was never deployed; "));
}

#[test]
fn a_failed_rollback_is_tried_again() {
    let failed = revision(3, Failed).with(|f| f.rollback_of = Some(1)).failed("WaitTimeout", RetryFact::Soon);
    let revisions = [revision(1, Superseded), revision(2, Deployed), failed];
    let state = assessed(&revisions, &Desired::held(&owner(), 1));
    assert!(
        matches!(&state, ReleaseState::Failed { revision: 3, failed, .. } if failed.failures == 1),
        "{state:?}"
    );
}
