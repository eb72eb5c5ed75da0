//! Unit: what the spec says about how each action is carried out.

use super::*;
use crate::api::HelmReleaseSpec;

fn spec(rest: Value) -> HelmReleaseSpec {
    let mut spec = json!({"chart": {"url": "https://h/c-1.tgz"}, "timeout": "60s"});
    spec.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

#[test]
fn each_option_is_that_of_its_action_alone() {
    let all = [Action::Install, Action::Upgrade, Action::Rollback, Action::Uninstall];
    type Read = fn(&Policy) -> bool;
    let rows: [(&str, Value, Action, Read); 15] = [
        ("install hooks", json!({"install": {"disableHooks": true}}), all[0], |p| p.disable_hooks),
        ("upgrade hooks", json!({"upgrade": {"disableHooks": true}}), all[1], |p| p.disable_hooks),
        ("rollback hooks", json!({"rollback": {"disableHooks": true}}), all[2], |p| p.disable_hooks),
        ("uninstall hooks", json!({"uninstall": {"disableHooks": true}}), all[3], |p| p.disable_hooks),
        ("install wait", json!({"install": {"disableWait": true}}), all[0], |p| p.disable_wait),
        ("upgrade wait", json!({"upgrade": {"disableWait": true}}), all[1], |p| p.disable_wait),
        ("rollback wait", json!({"rollback": {"disableWait": true}}), all[2], |p| p.disable_wait),
        ("uninstall wait", json!({"uninstall": {"disableWait": true}}), all[3], |p| p.disable_wait),
        ("install jobs", json!({"install": {"disableWaitForJobs": false}}), all[0], |p| p.wait_for_jobs),
        ("upgrade jobs", json!({"upgrade": {"disableWaitForJobs": false}}), all[1], |p| p.wait_for_jobs),
        ("rollback jobs", json!({"rollback": {"disableWaitForJobs": false}}), all[2], |p| p.wait_for_jobs),
        ("upgrade leftovers", json!({"upgrade": {"cleanupOnFail": true}}), all[1], |p| p.cleanup_on_fail),
        ("rollback leftovers", json!({"rollback": {"cleanupOnFail": true}}), all[2], |p| p.cleanup_on_fail),
        ("dependents", json!({"uninstall": {"deletionPropagation": "foreground"}}), all[3], |p| {
            p.deletion_propagation == DeletionPropagation::Foreground
        }),
        ("time of the uninstall", json!({"uninstall": {"timeout": "7s"}}), all[3], |p| {
            p.timeout == Duration::from_secs(7)
        }),
    ];
    for (name, rest, meant, read) in rows {
        for action in all {
            let policy = Policy::new(&spec(rest.clone()), action);
            assert_eq!(read(&policy), action == meant, "{name}: {}", action.as_str());
            assert!(!read(&Policy::new(&spec(json!({})), action)), "{name} is no default");
        }
    }
}

#[test]
fn tests_have_a_time_of_their_own() {
    let timeout = |rest: Value| Policy::of_tests(&spec(rest)).timeout.as_secs();
    assert_eq!(timeout(json!({})), 60);
    assert_eq!(timeout(json!({"test": {"timeout": "9s"}})), 9);
    assert!(Policy::new(&spec(json!({"uninstall": {"keepHistory": true}})), Action::Uninstall).keep_history);
}
