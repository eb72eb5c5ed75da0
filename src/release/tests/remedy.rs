//! Unit: failures and what followed from them, as the records tell of it.

use super::*;
use Status::{Deployed, Failed, PendingRollback, Superseded, Uninstalled, Uninstalling};

fn assessed(revisions: &[Built], desired: &Desired) -> ReleaseState {
    assess(&Observation { history: history(revisions) }, desired)
}

fn broken(number: u32, before: u32) -> Built {
    revision(number, Failed).failed("WaitTimeout", RetryFact::Soon).with(|f| {
        f.action = Action::Upgrade;
        f.values_digest = "bad".into();
        f.attempt.failures = before;
    })
}

/// What puts revision `of` right, which was made of bad values.
fn remedy(of: u32, failures: u32) -> Remedy {
    broken(of, failures - 1).facts.unwrap().to_remedy(of)
}

/// A revision with the content of revision 1 that puts revision `of` right.
fn mended(number: u32, status: Status, of: u32, failures: u32) -> Built {
    revision(number, status).with(|f| {
        f.action = Action::Rollback;
        f.rollback_of = Some(1);
        f.remedy = Some(remedy(of, failures));
    })
}

fn bad() -> Desired {
    Desired { values_digest: "bad".into(), ..desired() }
}

/// The state in short.
fn words(state: &ReleaseState) -> String {
    match state {
        ReleaseState::Failed { revision, failed, is_remedy, good, .. } => {
            let what = if *is_remedy { "a remedy" } else { failed.action.as_str() };
            let good = good.map_or("nothing".to_owned(), |good| good.to_string());
            format!("{what} failed {} times at {revision}, {good} is good", failed.failures)
        }
        ReleaseState::Remediated { revision, failed, back_at } => {
            let back = back_at.map_or("nothing".to_owned(), |back| back.to_string());
            format!(
                "{} failed {} times, {revision} is back at {back}",
                failed.action.as_str(),
                failed.failures
            )
        }
        ReleaseState::OutOfSync { why, .. } => why.clone(),
        ReleaseState::Pending { same_inputs, .. } => format!("pending, wanted: {same_inputs}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_failure_that_was_put_right_is_remembered() {
    let good = || revision(1, Superseded);
    let gone = |failures| {
        broken(2, failures - 1).with(|f| f.remedy = Some(remedy(2, failures))).with_status(Uninstalled)
    };
    for (name, revisions, desired, want) in [
        (
            "a failed upgrade",
            vec![revision(1, Deployed), broken(2, 0)],
            bad(),
            "upgrade failed 1 times at 2, 1 is good",
        ),
        (
            "rolled back",
            vec![good(), broken(2, 0), mended(3, Deployed, 2, 1)],
            bad(),
            "upgrade failed 1 times, 3 is back at 1",
        ),
        (
            "the failed one has left the history",
            vec![good(), mended(3, Deployed, 2, 1)],
            bad(),
            "upgrade failed 1 times, 3 is back at 1",
        ),
        (
            "the spec is what it was before",
            vec![good(), broken(2, 0), mended(3, Deployed, 2, 1)],
            desired(),
            "InSync { revision: 3 }",
        ),
        (
            "the spec is another one",
            vec![good(), broken(2, 0), mended(3, Deployed, 2, 1)],
            Desired { chart_digest: "other".into(), ..bad() },
            "the chart changed",
        ),
        (
            "the next try failed too",
            vec![good(), broken(2, 0), mended(3, Superseded, 2, 1), mended(4, Deployed, 2, 1), broken(5, 1)],
            bad(),
            "upgrade failed 2 times at 5, 4 is good",
        ),
        (
            "the rollback failed",
            vec![revision(1, Deployed), broken(2, 0), mended(3, Failed, 2, 1)],
            bad(),
            "a remedy failed 1 times at 3, 1 is good",
        ),
        (
            "the rollback is under way",
            vec![revision(1, Deployed), broken(2, 0), mended(3, PendingRollback, 2, 1)],
            bad(),
            "pending, wanted: true",
        ),
        (
            "the rollback is under way, and nobody wants what failed any more",
            vec![revision(1, Deployed), broken(2, 0), mended(3, PendingRollback, 2, 1)],
            desired(),
            "pending, wanted: false",
        ),
        ("uninstalled", vec![gone(1)], bad(), "upgrade failed 1 times, 2 is back at nothing"),
        ("uninstalled, and another spec", vec![gone(1)], desired(), "Absent"),
        (
            "what was before the uninstall is no target",
            vec![good(), gone(1), broken(3, 1)],
            bad(),
            "upgrade failed 2 times at 3, nothing is good",
        ),
        (
            "an uninstall is under way",
            vec![broken(2, 0).with(|f| f.remedy = Some(remedy(2, 1))).with_status(Uninstalling)],
            desired(),
            "Uninstalling { revision: 2 }",
        ),
    ] {
        assert_eq!(words(&assessed(&revisions, &desired)), want, "{name}");
    }
}

#[test]
fn who_asks_anew_is_heard_at_once() {
    let anew = |desired: Desired| {
        [
            ("a new generation", desired.clone().asked_by(Some(8), None)),
            ("a reset", desired.clone().asked_by(Some(7), Some("now"))),
            ("a force", desired.asked_by(Some(7), None).forced(true)),
        ]
    };
    let seven = |built: Built| built.with(|f| f.attempt.generation = Some(7));
    let failed_test = || {
        seven(revision(2, Deployed)).with(|f| {
            f.action = Action::Upgrade;
            f.values_digest = "bad".into();
            f.tested = Some(Tested { at: at(1000), failure: Some("no".into()) });
        })
    };
    let tests = Some(Tests { ignore_failures: false });
    for (name, revisions) in [
        ("failed", vec![revision(1, Deployed), seven(broken(2, 3))]),
        ("put right", vec![revision(1, Superseded), seven(mended(3, Deployed, 2, 3))]),
        ("a remedy failed", vec![revision(1, Deployed), seven(mended(3, Failed, 2, 3))]),
        ("tests failed", vec![revision(1, Superseded), failed_test()]),
    ] {
        let history = history(&revisions);
        let same = bad().asked_by(Some(7), None).tested(tests);
        assert!(matches!(
            assess(&Observation { history: history.clone() }, &same),
            ReleaseState::Failed { .. } | ReleaseState::Remediated { .. }
        ));
        for (who, desired) in anew(bad().tested(tests)) {
            let state = assess(&Observation { history: history.clone() }, &desired);
            assert!(matches!(state, ReleaseState::OutOfSync { .. }), "{name}, {who}: {state:?}");
            assert_eq!(desired.attempt(&history, false).failures, 0, "{name}, {who}");
        }
    }
    let handled = revision(1, Deployed);
    let again = seven(broken(2, 3)).with(|f| f.attempt.reset_at = Some("now".into()));
    let state = assessed(&[handled, again], &bad().asked_by(Some(7), Some("now")));
    assert!(matches!(state, ReleaseState::Failed { .. }), "a reset counts once: {state:?}");
}

#[test]
fn attempts_count_what_failed_before_them() {
    let good = || revision(1, Superseded);
    let cut_short = |n, before| broken(n, before).failed("Interrupted", RetryFact::Soon);
    for (name, revisions, desired, is_remedy, want) in [
        ("nothing before", vec![], bad(), false, 0),
        ("a good one before", vec![revision(1, Deployed)], bad(), false, 0),
        ("a failure", vec![revision(1, Deployed), broken(2, 0)], bad(), false, 1),
        ("one that was cut short", vec![revision(1, Deployed), cut_short(2, 3)], bad(), false, 3),
        ("of other inputs", vec![revision(1, Deployed), broken(2, 3)], desired(), false, 0),
        ("put right", vec![good(), mended(3, Deployed, 2, 4)], bad(), false, 4),
        ("a remedy counts its own", vec![revision(1, Deployed), broken(2, 3)], bad(), true, 0),
        ("a remedy after a failed one", vec![revision(1, Deployed), mended(3, Failed, 2, 4)], bad(), true, 1),
    ] {
        assert_eq!(desired.attempt(&history(&revisions), is_remedy).failures, want, "{name}");
    }
}

#[test]
fn tests_are_run_once_and_fail_like_an_action() {
    let tested = |failure: Option<&str>| {
        let failure = failure.map(str::to_owned);
        revision(2, Deployed).with(|f| {
            f.action = Action::Upgrade;
            f.tested = Some(Tested { at: at(1000), failure });
        })
    };
    let wanted = |ignore_failures| desired().tested(Some(Tests { ignore_failures }));
    let good = || revision(1, Superseded);
    let bad_before = revision(1, Superseded).with(|f| {
        f.tested = Some(Tested { at: at(900), failure: Some("no".into()) });
    });
    for (name, revisions, desired, want) in [
        ("none are wanted", vec![good(), revision(2, Deployed)], desired(), "InSync { revision: 2 }"),
        ("not yet", vec![good(), revision(2, Deployed)], wanted(false), "Untested { revision: 2 }"),
        ("well", vec![good(), tested(None)], wanted(false), "InSync { revision: 2 }"),
        (
            "not well",
            vec![good(), tested(Some("no"))],
            wanted(false),
            "upgrade failed 1 times at 2, 1 is good",
        ),
        ("ignored", vec![good(), tested(Some("no"))], wanted(true), "InSync { revision: 2 }"),
        ("not wanted any more", vec![good(), tested(Some("no"))], desired(), "InSync { revision: 2 }"),
        (
            "a revision whose tests failed is no target",
            vec![bad_before, tested(Some("no"))],
            wanted(false),
            "upgrade failed 1 times at 2, nothing is good",
        ),
    ] {
        assert_eq!(words(&assessed(&revisions, &desired)), want, "{name}");
    }
    let held = Desired::held(&owner(), 1).tested(Some(Tests { ignore_failures: false }));
    let rolled_back = revision(2, Deployed).with(|f| f.rollback_of = Some(1));
    assert_eq!(words(&assessed(&[good(), rolled_back], &held)), "Untested { revision: 2 }");
    assert_eq!(
        words(&assessed(&[revision(1, Deployed)], &held)),
        "Held { revision: 1, of: 1 }",
        "no revision was made"
    );
}

#[test]
fn a_release_is_held_at_what_a_remedy_brought_back() {
    let revisions = [revision(1, Superseded), broken(2, 0), mended(3, Deployed, 2, 1)];
    let held = assessed(&revisions, &Desired::held(&owner(), 1));
    assert_eq!(held, ReleaseState::Held { revision: 3, of: 1 });
}
