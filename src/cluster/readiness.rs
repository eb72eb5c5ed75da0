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
    if let Some(unseen) = not_yet_seen(object) {
        return unseen;
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

/// What holds for every kind: an object that is being deleted, or whose controller has not seen its generation, is in
/// progress. None when neither is the case.
pub fn not_yet_seen(object: &Value) -> Option<Readiness> {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Some(Readiness::InProgress("is being deleted".to_owned()));
    }
    let generation = number(object, "/metadata/generation")?;
    let observed = number(object, "/status/observedGeneration")?;
    (generation != observed)
        .then(|| Readiness::InProgress("its controller has not seen the change yet".to_owned()))
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

fn too_many(number: i64) -> Readiness {
    Readiness::InProgress(format!("{number} replicas too many are still there"))
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
    if let Some(available) = condition(object, "Available").filter(|c| !c.is("True")) {
        return Readiness::InProgress(available.text());
    }
    // Without a deadline its controller writes no such condition.
    let has_deadline =
        number(object, "/spec/progressDeadlineSeconds").is_some_and(|seconds| seconds < i64::from(i32::MAX));
    match progressing.filter(|_| has_deadline) {
        Some(condition) if condition.reason() != "NewReplicaSetAvailable" => {
            Readiness::InProgress(condition.text())
        }
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
    let (have, ready) = (count(object, "/status/replicas"), count(object, "/status/readyReplicas"));
    if let Some(verdict) = at_least(want, &[("made", have), ("ready", ready)]) {
        return verdict;
    }
    if have > want {
        return too_many(have - want);
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
    // Helm 3: pods that are replaced only when somebody deletes them are nobody's wait. kstatus waits for them in vain.
    let updated = match text(object, "/spec/updateStrategy/type") {
        "OnDelete" => want,
        _ => count(object, "/status/updatedNumberScheduled"),
    };
    let counts = [
        ("scheduled", count(object, "/status/currentNumberScheduled")),
        ("updated", updated),
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
    let have = count(object, "/status/replicas");
    if have > want {
        return too_many(have - want);
    }
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
    let started = !text(object, "/status/startTime").is_empty();
    let suspended = object.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true);
    if done || (!complete && (started || suspended)) {
        return Readiness::Current;
    }
    if suspended {
        return Readiness::InProgress("is suspended".to_owned());
    }
    if !started {
        return Readiness::InProgress("has not started yet".to_owned());
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
            ("a new Job", job(json!({})), false, progress("has not started yet")),
            ("a started Job", job(json!({"active": 1, "startTime": "now"})), false, Readiness::Current),
            (
                "a running Job",
                job(json!({"active": 1, "startTime": "now"})),
                true,
                progress("1 pods are running, 0 have failed"),
            ),
            (
                "a Job that failed",
                job(
                    json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}),
                ),
                false,
                failed("BackoffLimitExceeded"),
            ),
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

    /// Kinds and states that the rules of kstatus and Helm's legacy checker name, one by one.
    #[test]
    fn every_rule_has_a_row() {
        let object = |api_version: &str, kind: &str, spec: Value, status: Value| {
            let metadata = json!({"generation": 2});
            json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec, "status": status})
        };
        let with = |mut object: Value, status: Value| {
            object["status"].as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
            object
        };
        let conditions = |conditions: &[(&str, &str, &str)]| {
            let one = |(type_, status, reason): &(&str, &str, &str)| json!({"type": type_, "status": status, "reason": reason});
            json!({"observedGeneration": 2, "conditions": conditions.iter().map(one).collect::<Vec<_>>()})
        };
        let full = json!({
            "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
            "fullyLabeledReplicas": 2, "currentRevision": "b", "updateRevision": "b",
        });
        let deployment = object(
            "apps/v1",
            "Deployment",
            json!({"replicas": 2, "progressDeadlineSeconds": 600}),
            full.clone(),
        );
        let set = |strategy: Value, status: Value| {
            let spec = json!({"replicas": 2, "updateStrategy": strategy});
            with(object("apps/v1", "StatefulSet", spec, full.clone()), status)
        };
        let rolling =
            |partition: i64| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}});
        let replicas = object("apps/v1", "ReplicaSet", json!({"replicas": 2}), full.clone());
        let scheduled = json!({
            "observedGeneration": 2, "desiredNumberScheduled": 2, "currentNumberScheduled": 2, "updatedNumberScheduled": 1,
            "numberAvailable": 2, "numberReady": 2,
        });
        let daemons = |strategy: &str| {
            object("apps/v1", "DaemonSet", json!({"updateStrategy": {"type": strategy}}), scheduled.clone())
        };
        let of = |api_version: &str, kind: &str, status: Value| object(api_version, kind, json!({}), status);
        let crd = |status: Value| of("apiextensions.k8s.io/v1", "CustomResourceDefinition", status);
        let service = |spec: Value| object("v1", "Service", spec, json!({}));
        let job = |spec: Value| object("batch/v1", "Job", spec, json!({}));
        let pod = |status: Value| of("v1", "Pod", status);
        let progress = |text: &str| Readiness::InProgress(text.to_owned());
        let failed = |text: &str| Readiness::Failed(text.to_owned());
        for (name, object, jobs, want) in [
            (
                "a Deployment whose rollout goes on",
                with(deployment.clone(), conditions(&[("Progressing", "True", "ReplicaSetUpdated")])),
                false,
                progress("ReplicaSetUpdated"),
            ),
            (
                "one whose rollout is over",
                with(deployment.clone(), conditions(&[("Progressing", "True", "NewReplicaSetAvailable")])),
                false,
                Readiness::Current,
            ),
            (
                "one that is not available",
                with(deployment.clone(), conditions(&[("Available", "False", "MinimumReplicasUnavailable")])),
                false,
                progress("MinimumReplicasUnavailable"),
            ),
            (
                "a paused one",
                object("apps/v1", "Deployment", json!({"paused": true}), json!({"observedGeneration": 2})),
                false,
                Readiness::Current,
            ),
            (
                "one that nobody has seen",
                object("apps/v1", "Deployment", json!({}), json!({})),
                false,
                progress("its controller has not seen it yet"),
            ),
            (
                "a StatefulSet that is replaced by hand",
                set(json!({"type": "OnDelete"}), json!({"updatedReplicas": 0})),
                false,
                Readiness::Current,
            ),
            ("a StatefulSet", set(rolling(0), json!({})), false, Readiness::Current),
            (
                "one that is being rolled",
                set(rolling(0), json!({"currentRevision": "a"})),
                false,
                progress("the rolling update is not finished"),
            ),
            (
                "one that is rolled down to its partition",
                set(rolling(1), json!({"updatedReplicas": 1, "currentRevision": "a"})),
                false,
                Readiness::Current,
            ),
            (
                "one that is not there yet",
                set(rolling(1), json!({"updatedReplicas": 0})),
                false,
                progress("0 of 1 replicas are updated"),
            ),
            (
                "one that shrinks",
                set(rolling(0), json!({"replicas": 3})),
                false,
                progress("1 replicas too many are still there"),
            ),
            ("a DaemonSet", daemons("RollingUpdate"), false, progress("1 of 2 replicas are updated")),
            ("a DaemonSet that is replaced by hand", daemons("OnDelete"), false, Readiness::Current),
            ("a ReplicaSet", replicas.clone(), false, Readiness::Current),
            (
                "a ReplicaSet that shrinks",
                with(replicas.clone(), json!({"replicas": 3})),
                false,
                progress("1 replicas too many are still there"),
            ),
            (
                "a ReplicaSet that may make no pods",
                with(replicas, conditions(&[("ReplicaFailure", "True", "FailedCreate")])),
                false,
                progress("FailedCreate"),
            ),
            ("a pod that ended well", pod(json!({"phase": "Succeeded"})), false, Readiness::Current),
            (
                "a pod without a node",
                pod(json!({"phase": "Pending", "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"},
                ]})),
                false,
                progress("Unschedulable: no node"),
            ),
            ("a suspended Job", job(json!({"suspend": true})), false, Readiness::Current),
            (
                "a suspended Job that is waited for",
                job(json!({"suspend": true})),
                true,
                progress("is suspended"),
            ),
            (
                "a bound claim",
                of("v1", "PersistentVolumeClaim", json!({"phase": "Bound"})),
                false,
                Readiness::Current,
            ),
            ("a Service", service(json!({"type": "ClusterIP"})), false, Readiness::Current),
            ("a headless Service", service(json!({"clusterIP": "None"})), false, Readiness::Current),
            ("an external name", service(json!({"type": "ExternalName"})), false, Readiness::Current),
            (
                "a balancer without an address",
                service(json!({"type": "LoadBalancer"})),
                false,
                progress("has no cluster IP yet"),
            ),
            (
                "a balancer, whatever the cloud has given it",
                service(json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1"})),
                false,
                Readiness::Current,
            ),
            ("a new definition", crd(json!({})), false, progress("is not established yet")),
            ("a definition", crd(conditions(&[("Established", "True", "")])), false, Readiness::Current),
            (
                "a definition that is being installed",
                crd(conditions(&[("Established", "False", "Installing")])),
                false,
                progress("is not established yet"),
            ),
            (
                "a definition whose names are taken",
                crd(conditions(&[("NamesAccepted", "False", "ListKindConflict")])),
                false,
                failed("ListKindConflict"),
            ),
            ("an Ingress", of("networking.k8s.io/v1", "Ingress", json!({})), false, Readiness::Current),
            (
                "a disruption budget",
                of("policy/v1", "PodDisruptionBudget", conditions(&[("DisruptionAllowed", "False", "")])),
                false,
                Readiness::Current,
            ),
            (
                "an autoscaler",
                of("autoscaling/v2", "HorizontalPodAutoscaler", conditions(&[("AbleToScale", "False", "")])),
                false,
                Readiness::Current,
            ),
            (
                "an aggregated API, which Helm does not wait for",
                of("apiregistration.k8s.io/v1", "APIService", conditions(&[("Available", "False", "")])),
                false,
                Readiness::Current,
            ),
            (
                "a custom resource that is ready",
                of("x.io/v1", "X", conditions(&[("Ready", "True", "Fine")])),
                false,
                Readiness::Current,
            ),
            (
                "one that is not known to be",
                of("x.io/v1", "X", conditions(&[("Ready", "Unknown", "Working")])),
                false,
                progress("Working"),
            ),
            (
                "one that is worked on",
                of("x.io/v1", "X", conditions(&[("Ready", "True", ""), ("Reconciling", "True", "Rolling")])),
                false,
                progress("Rolling"),
            ),
            (
                "one that is stuck",
                of("x.io/v1", "X", conditions(&[("Ready", "False", ""), ("Stalled", "True", "Denied")])),
                false,
                failed("Denied"),
            ),
            (
                "one whose controller lags behind",
                of(
                    "x.io/v1",
                    "X",
                    json!({"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}),
                ),
                false,
                progress("its controller has not seen the change yet"),
            ),
        ] {
            assert_eq!(readiness(&object, jobs), want, "{name}");
        }
    }
}
