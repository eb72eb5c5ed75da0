//! Unit: what is told of what was found.

use serde_json::json;

use super::*;

fn event(reason: &str, note: &str, at: &str, count: i64) -> Value {
    json!({
        "type": "Warning", "reason": reason, "note": note, "deprecatedLastTimestamp": at, "deprecatedCount": count,
        "regarding": {"kind": "Pod", "name": "web-1"},
    })
}

fn warning(text: &str, count: i64) -> Warning {
    Warning { about: "Pod web-1".to_owned(), text: text.to_owned(), count }
}

#[test]
fn the_newest_warnings_are_told_of_each_once() {
    let mut normal = event("Scheduled", "assigned", "2026-01-01T00:00:09Z", 1);
    normal["type"] = json!("Normal");
    let series = json!({
        "type": "Warning", "reason": "FailedScheduling", "note": "no node", "eventTime": "2026-01-01T00:00:01.000000Z",
        "series": {"count": 7, "lastObservedTime": "2026-01-01T00:00:08.000000Z"},
        "regarding": {"kind": "Pod", "name": "web-1"},
    });
    let events = [
        event("Unhealthy", "probe", "2026-01-01T00:00:02Z", 1),
        event("BackOff", "again", "2026-01-01T00:00:03Z", 4),
        series,
        event("FailedMount", "no volume", "2026-01-01T00:00:04Z", 1),
        event("BackOff", "again", "2026-01-01T00:00:06Z", 2),
        normal,
    ];
    assert_eq!(
        newest_warnings(&events),
        [
            warning("FailedMount: no volume", 1),
            warning("BackOff: again", 6),
            warning("FailedScheduling: no node", 7),
        ]
    );
}

#[test]
fn containers_say_what_they_wait_for_and_how_they_ended() {
    let container = |status: Value| json!({"status": {"phase": "Pending", "containerStatuses": [status]}});
    for (name, pod, want) in [
        (
            "a bad image",
            container(
                json!({"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}),
            ),
            vec!["container c: ImagePullBackOff: no such image"],
        ),
        (
            "a crash loop",
            container(json!({
                "name": "c", "restartCount": 5,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
                "lastState": {"terminated": {"exitCode": 3, "reason": "Error", "message": "\u{1b}[31mno database\u{1b}[0m\n"}},
            })),
            vec![
                "container c: CrashLoopBackOff: back-off 5m0s; ended before with code 3 (Error): no database; restarted 5 times",
            ],
        ),
        (
            "killed for its memory",
            container(
                json!({"name": "c", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}),
            ),
            vec!["container c: ended with code 137 (OOMKilled)"],
        ),
        (
            "one that is being made says nothing",
            container(json!({"name": "c", "state": {"waiting": {"reason": "ContainerCreating"}}})),
            vec!["is Pending; its node has told nothing of it yet"],
        ),
        (
            "a probe that fails",
            json!({"status": {"phase": "Running", "containerStatuses": [
                {"name": "c", "ready": false, "restartCount": 0, "state": {"running": {}}},
            ]}}),
            vec!["container c: runs, and is not ready"],
        ),
        (
            "no node",
            json!({"status": {"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available"},
            ]}}),
            vec!["Unschedulable: 0/2 nodes are available"],
        ),
        (
            "evicted",
            json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "the node was low on memory"}}),
            vec!["Evicted: the node was low on memory"],
        ),
    ] {
        assert_eq!(troubles(&pod), want, "{name}");
    }
}

#[test]
fn the_log_is_that_of_the_container_that_ended_badly() {
    let ended = |name: &str, code: i64| json!({"name": name, "state": {"terminated": {"exitCode": code}}});
    let running = |name: &str| json!({"name": name, "state": {"running": {}}});
    let waiting = |name: &str| json!({"name": name, "state": {"waiting": {"reason": "ImagePullBackOff"}}});
    let before = |name: &str, state: &str| json!({"name": name, "state": {state: {}}, "lastState": {"terminated": {"exitCode": 1}}});
    for (name, statuses, any, want) in [
        ("the one that failed", vec![running("a"), ended("b", 2)], false, Some(("b", false))),
        ("all is well", vec![running("a"), ended("b", 0)], false, None),
        ("all is well, and it is asked for", vec![running("a"), ended("b", 0)], true, Some(("b", false))),
        ("between two runs", vec![before("a", "waiting")], false, Some(("a", false))),
        ("the run before", vec![before("a", "running")], false, Some(("a", true))),
        ("nothing ever ran", vec![waiting("a")], true, None),
    ] {
        let pod = json!({"status": {"containerStatuses": statuses}});
        let found = loudest(&&pod, any).map(|(_, container, previous)| (container, previous));
        assert_eq!(found.as_ref().map(|(name, previous)| (name.as_str(), *previous)), want, "{name}");
    }
}

#[test]
fn nothing_is_said_twice_and_the_cause_comes_last() {
    let findings = Findings {
        refused: Some("pods \"web-\" is forbidden: exceeded quota: small".to_owned()),
        warnings: vec![
            Warning {
                about: "ReplicaSet web-1".to_owned(),
                text: "FailedCreate: pods \"web-\" is forbidden: exceeded quota: small".to_owned(),
                count: 9,
            },
            warning("Other: something else", 2),
        ],
        pods: vec![Pod {
            name: "web-1".to_owned(),
            troubles: vec!["Unschedulable: no node".to_owned()],
            warnings: vec![warning("FailedScheduling: no node", 3), warning("Unhealthy: probe", 1)],
        }],
        log: Some(("container main of pod web-1".to_owned(), "one\ntwo".to_owned())),
    };
    let report = format!(
        "Deployment apps/web: 0 of 1 replicas are available{}",
        indented(&findings.lines("something else"))
    );
    assert_eq!(
        report,
        "Deployment apps/web: 0 of 1 replicas are available
  pods \"web-\" is forbidden: exceeded quota: small
  pod web-1: Unschedulable: no node
  event of Pod web-1: Unhealthy: probe
  the log of container main of pod web-1 ends with:
  one
  two"
    );
}

#[test]
fn of_a_log_the_last_lines_are_kept() {
    assert_eq!(tail("one\ntwo\nthree", 100), "one\ntwo\nthree");
    assert_eq!(tail("one\ntwo\nthree", 9), "two\nthree");
    assert_eq!(tail("one\ntwo\nthree", 8), "three");
    assert_eq!(tail("ünïcödé", 5), "ödé");
    assert_eq!(plain("a\u{1b}[1;31mb\u{1b}[0m\u{7}\r\n\tc"), "ab\n\tc");
}
