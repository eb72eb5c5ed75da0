//! Whether an object has become what its spec asks for.
//!
//! The rules of kstatus, as Helm 4's watcher uses them (`helm-compat` names them "watcher"): an object that is
//! being deleted or whose controller has not seen its generation is in progress, then each kind has a rule,
//! and every other kind is judged by its condition `Ready`.

use serde_json::Value;

/// The verdict on one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is as its spec asks.
    Current,
    /// It is on its way; the text says what is missing.
    InProgress(String),
    /// It will not get there by itself.
    Failed(String),
}

/// Judges a live object. A Job counts when it is started, unless `jobs` asks for its completion.
pub fn readiness(object: &Value, jobs: bool) -> Readiness {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Readiness::InProgress("is being deleted".to_owned());
    }
    let generation = number(object, "/metadata/generation");
    let observed = number(object, "/status/observedGeneration");
    if let (Some(generation), Some(observed)) = (generation, observed)
        && generation != observed
    {
        return Readiness::InProgress("its controller has not seen the change yet".to_owned());
    }
    if let Some(condition) = condition(object, "Reconciling").filter(|c| c.is("True")) {
        return Readiness::InProgress(condition.text());
    }
    if let Some(condition) = condition(object, "Stalled").filter(|c| c.is("True")) {
        return Readiness::Failed(condition.text());
    }
    let group = object["apiVersion"].as_str().and_then(|v| v.split_once('/')).map_or("", |(group, _)| group);
    match (group, object["kind"].as_str().unwrap_or_default()) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") => replica_set(object),
        ("", "Pod") => pod(object),
        ("batch", "Job") => job(object, jobs),
        ("", "PersistentVolumeClaim") => match text(object, "/status/phase") {
            "Bound" => Readiness::Current,
            phase => Readiness::InProgress(format!("the claim is {}, not Bound", or_unknown(phase))),
        },
        ("", "Service") => service(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => crd(object),
        ("", "ConfigMap" | "Secret") | ("batch", "CronJob") | ("policy", "PodDisruptionBudget") => {
            Readiness::Current
        }
        _ => match condition(object, "Ready") {
            Some(ready) if !ready.is("True") => Readiness::InProgress(ready.text()),
            _ => Readiness::Current,
        },
    }
}

struct Condition<'a>(&'a Value);

impl Condition<'_> {
    fn is(&self, status: &str) -> bool {
        self.0["status"].as_str() == Some(status)
    }

    fn reason(&self) -> &str {
        self.0["reason"].as_str().unwrap_or_default()
    }

    fn text(&self) -> String {
        let message = self.0["message"].as_str().unwrap_or_default();
        match (self.reason(), message) {
            ("", message) => message.to_owned(),
            (reason, "") => reason.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }
}

fn condition<'a>(object: &'a Value, type_: &str) -> Option<Condition<'a>> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|c| c["type"].as_str() == Some(type_)).map(Condition)
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer)?.as_i64()
}

fn count(object: &Value, pointer: &str) -> i64 {
    number(object, pointer).unwrap_or(0)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn or_unknown(phase: &str) -> &str {
    if phase.is_empty() { "without a phase" } else { phase }
}

/// The first of the counts that is too small, as a verdict.
fn at_least(want: i64, counts: &[(&str, i64)]) -> Option<Readiness> {
    let (what, have) = counts.iter().find(|(_, have)| *have < want)?;
    Some(Readiness::InProgress(format!("{have} of {want} replicas are {what}")))
}

fn deployment(object: &Value) -> Readiness {
    if object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return Readiness::Current;
    }
    let progressing = condition(object, "Progressing");
    if let Some(condition) =
        progressing.as_ref().filter(|c| c.is("False") && c.reason() == "ProgressDeadlineExceeded")
    {
        return Readiness::Failed(condition.text());
    }
    let want = number(object, "/spec/replicas").unwrap_or(1);
    if number(object, "/status/observedGeneration").is_none() {
        return Readiness::InProgress("its controller has not seen it yet".to_owned());
    }
    let (have, updated) = (count(object, "/status/replicas"), count(object, "/status/updatedReplicas"));
    if let Some(verdict) = at_least(want, &[("made", have), ("updated", updated)]) {
        return verdict;
    }
    if have > updated {
        return Readiness::InProgress(format!("{} old replicas are still there", have - updated));
    }
    let ready = count(object, "/status/readyReplicas");
    let available = count(object, "/status/availableReplicas");
    if let Some(verdict) = at_least(want, &[("available", available), ("ready", ready)]) {
        return verdict;
    }
    match condition(object, "Available") {
        Some(available) if !available.is("True") => Readiness::InProgress(available.text()),
        _ => Readiness::Current,
    }
}

fn stateful_set(object: &Value) -> Readiness {
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Readiness::Current;
    }
    if number(object, "/status/observedGeneration").is_none() {
        return Readiness::InProgress("its controller has not seen it yet".to_owned());
    }
    let want = number(object, "/spec/replicas").unwrap_or(1);
    let ready = count(object, "/status/readyReplicas");
    if let Some(verdict) = at_least(want, &[("made", count(object, "/status/replicas")), ("ready", ready)]) {
        return verdict;
    }
    if ready > want {
        return Readiness::InProgress(format!("{} replicas too many are still there", ready - want));
    }
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    if let Some(verdict) =
        at_least(want - partition, &[("updated", count(object, "/status/updatedReplicas"))])
    {
        return verdict;
    }
    let (current, update) = (text(object, "/status/currentRevision"), text(object, "/status/updateRevision"));
    if partition == 0 && current != update {
        return Readiness::InProgress("the rolling update is not finished".to_owned());
    }
    Readiness::Current
}

fn daemon_set(object: &Value) -> Readiness {
    if number(object, "/status/observedGeneration").is_none() {
        return Readiness::InProgress("its controller has not seen it yet".to_owned());
    }
    let want = count(object, "/status/desiredNumberScheduled");
    let counts = [
        ("scheduled", count(object, "/status/currentNumberScheduled")),
        ("updated", count(object, "/status/updatedNumberScheduled")),
        ("available", count(object, "/status/numberAvailable")),
        ("ready", count(object, "/status/numberReady")),
    ];
    at_least(want, &counts).unwrap_or(Readiness::Current)
}

fn replica_set(object: &Value) -> Readiness {
    if let Some(failure) = condition(object, "ReplicaFailure").filter(|c| c.is("True")) {
        return Readiness::InProgress(failure.text());
    }
    let want = number(object, "/spec/replicas").unwrap_or(1);
    let counts = [
        ("labelled", count(object, "/status/fullyLabeledReplicas")),
        ("available", count(object, "/status/availableReplicas")),
        ("ready", count(object, "/status/readyReplicas")),
    ];
    at_least(want, &counts).unwrap_or(Readiness::Current)
}

/// A pod; also used to say why a workload's pods are not ready.
pub fn pod(object: &Value) -> Readiness {
    match text(object, "/status/phase") {
        "Succeeded" => Readiness::Current,
        "Failed" => Readiness::Failed(pod_failure(object)),
        "Running" => match condition(object, "Ready") {
            Some(ready) if ready.is("True") => Readiness::Current,
            _ => match waiting(object) {
                Some((reason, text)) if reason == "CrashLoopBackOff" => Readiness::Failed(text),
                Some((_, text)) => Readiness::InProgress(text),
                None => Readiness::InProgress("is running and not ready yet".to_owned()),
            },
        },
        phase => match (waiting(object), condition(object, "PodScheduled")) {
            (Some((_, text)), _) => Readiness::InProgress(text),
            (None, Some(scheduled)) if !scheduled.is("True") => Readiness::InProgress(scheduled.text()),
            _ => Readiness::InProgress(format!("is {}", or_unknown(phase))),
        },
    }
}

/// The first container that waits for something, its reason and a text.
fn waiting(object: &Value) -> Option<(String, String)> {
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses = statuses.iter().filter_map(|p| object.pointer(p)?.as_array()).flatten();
    statuses
        .filter(|s| s.pointer("/state/waiting/reason").is_some())
        .map(|status| {
            let reason = text(status, "/state/waiting/reason");
            let message = text(status, "/state/waiting/message");
            let name = text(status, "/name");
            let separator = if message.is_empty() { "" } else { ": " };
            (reason.to_owned(), format!("container {name}: {reason}{separator}{message}"))
        })
        .next()
}

fn pod_failure(object: &Value) -> String {
    let statuses = object.pointer("/status/containerStatuses").and_then(Value::as_array);
    let ended = statuses.into_iter().flatten().find_map(|status| {
        let ended = status.pointer("/state/terminated")?;
        let code = ended["exitCode"].as_i64().filter(|c| *c != 0)?;
        let message = ended["message"].as_str().filter(|m| !m.is_empty());
        let reason = ended["reason"].as_str().unwrap_or("Error");
        let detail = message.map(|m| format!(": {m}")).unwrap_or_default();
        Some(format!("container {} ended with code {code} ({reason}){detail}", text(status, "/name")))
    });
    ended.unwrap_or_else(|| match (text(object, "/status/reason"), text(object, "/status/message")) {
        ("", "") => "the pod failed".to_owned(),
        (reason, "") => reason.to_owned(),
        ("", message) => message.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    })
}

fn job(object: &Value, complete: bool) -> Readiness {
    if let Some(failed) = condition(object, "Failed").filter(|c| c.is("True")) {
        return Readiness::Failed(failed.text());
    }
    let done = condition(object, "Complete").is_some_and(|c| c.is("True"));
    if !complete || done {
        return Readiness::Current;
    }
    let (active, failed) = (count(object, "/status/active"), count(object, "/status/failed"));
    Readiness::InProgress(format!("{active} pods are running, {failed} have failed"))
}

fn service(object: &Value) -> Readiness {
    let is_balancer = text(object, "/spec/type") == "LoadBalancer";
    if is_balancer && text(object, "/spec/clusterIP").is_empty() {
        return Readiness::InProgress("has no cluster IP yet".to_owned());
    }
    Readiness::Current
}

fn crd(object: &Value) -> Readiness {
    if let Some(names) = condition(object, "NamesAccepted").filter(|c| c.is("False")) {
        return Readiness::Failed(names.text());
    }
    match condition(object, "Established") {
        Some(established) if established.is("True") => Readiness::Current,
        Some(established) if established.reason() != "Installing" => Readiness::Failed(established.text()),
        _ => Readiness::InProgress("is not established yet".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_has_its_rule() {
        let deployment = |status: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status});
        let full = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2});
        let mut rollout = full.clone();
        rollout["replicas"] = json!(3);
        let mut unready = full.clone();
        unready["availableReplicas"] = json!(1);
        let mut late = full.clone();
        late["conditions"] = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too slow"}]);
        let pod = |status: Value| json!({"apiVersion": "v1", "kind": "Pod", "status": status});
        let job = |status: Value| json!({"apiVersion": "batch/v1", "kind": "Job", "status": status});
        let progress = |text: &str| Readiness::InProgress(text.to_owned());
        let failed = |text: &str| Readiness::Failed(text.to_owned());
        for (name, object, jobs, want) in [
            ("a complete Deployment", deployment(full), false, Readiness::Current),
            (
                "an unseen generation",
                deployment(json!({"observedGeneration": 1})),
                false,
                progress("its controller has not seen the change yet"),
            ),
            ("old replicas", deployment(rollout), false, progress("1 old replicas are still there")),
            ("an unavailable replica", deployment(unready), false, progress("1 of 2 replicas are available")),
            ("a missed deadline", deployment(late), false, failed("ProgressDeadlineExceeded: too slow")),
            (
                "a ready pod",
                pod(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})),
                false,
                Readiness::Current,
            ),
            (
                "a crash loop",
                pod(
                    json!({"phase": "Running", "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}]}),
                ),
                false,
                failed("container c: CrashLoopBackOff: back-off"),
            ),
            (
                "a bad image",
                pod(
                    json!({"phase": "Pending", "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}),
                ),
                false,
                progress("container c: ImagePullBackOff"),
            ),
            (
                "a failed pod",
                pod(
                    json!({"phase": "Failed", "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}]}),
                ),
                false,
                failed("container c ended with code 3 (Error)"),
            ),
            ("a started Job", job(json!({"active": 1})), false, Readiness::Current),
            ("a running Job", job(json!({"active": 1})), true, progress("1 pods are running, 0 have failed")),
            (
                "a complete Job",
                job(json!({"conditions": [{"type": "Complete", "status": "True"}]})),
                true,
                Readiness::Current,
            ),
            (
                "an unbound claim",
                json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Pending"}}),
                false,
                progress("the claim is Pending, not Bound"),
            ),
            ("a ConfigMap", json!({"apiVersion": "v1", "kind": "ConfigMap"}), false, Readiness::Current),
            (
                "a custom resource that is not ready",
                json!({"apiVersion": "x.io/v1", "kind": "X", "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "No"}]}}),
                false,
                progress("No"),
            ),
            (
                "a custom resource without conditions",
                json!({"apiVersion": "x.io/v1", "kind": "X"}),
                false,
                Readiness::Current,
            ),
            (
                "an object that is being deleted",
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"deletionTimestamp": "now"}}),
                false,
                progress("is being deleted"),
            ),
        ] {
            assert_eq!(readiness(&object, jobs), want, "{name}");
        }
    }
}
