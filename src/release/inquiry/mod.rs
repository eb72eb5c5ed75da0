//! Finds out why an object does not become ready, or why a hook did not succeed, as far as the cluster tells: its
//! pods and their containers, why its controller makes none, the last warnings, the end of a log.
//!
//! All is asked once, in the tenant's name, and within seconds: a right that is missing, or an answer that does not
//! come, makes the report poorer and is no error. What is found can quote anything, so the Secrets of the release and
//! of its values are taken out of it; where those are not known, nothing is quoted.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::targets::identify;
use super::{History, Release};
use crate::api::condition::truncate;
use crate::cluster::masking::Redactions;
use crate::cluster::{Kind, Readiness, pod_readiness};

/// All of one inquiry must be done within this time.
const WITHIN: Duration = Duration::from_secs(8);
/// Kinds whose objects have pods, and select them as these do.
const OF_PODS: [&str; 5] = ["DaemonSet", "Deployment", "Job", "ReplicaSet", "StatefulSet"];
/// Pods that are told of.
const PODS: usize = 2;
/// Warnings of one object that are told of.
const WARNINGS: usize = 3;
/// Longest quotation of a message, in bytes.
const QUOTED: usize = 400;
/// Longest end of a log, in bytes.
pub(super) const LOG_BYTES: usize = 2048;

/// Asks on behalf of one revision.
pub(super) struct Inquiry<'a> {
    cx: &'a Release<'a>,
    redactions: Redactions,
}

/// What was found of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Findings {
    /// Why its controller makes no pods, in the words of a condition.
    refused: Option<String>,
    /// Warnings of the object and of what makes its pods.
    warnings: Vec<Warning>,
    pods: Vec<Pod>,
    /// The end of a log, and of which container.
    log: Option<(String, String)>,
}

/// A pod that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pod {
    name: String,
    troubles: Vec<String>,
    warnings: Vec<Warning>,
}

/// A warning of the cluster, and how often it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Warning {
    about: String,
    text: String,
    count: i64,
}

impl<'a> Inquiry<'a> {
    /// An inquiry about the objects of revision `number`.
    pub(super) fn new(cx: &'a Release<'a>, history: &History, number: u32) -> Self {
        let mut redactions = cx.redactions.clone();
        let deployed = history.deployed().filter(|r| r.number != number);
        for revision in history.find(number).into_iter().chain(deployed) {
            match revision.manifest() {
                Ok(manifest) => add_secrets(&mut redactions, &manifest),
                Err(_) => redactions = Redactions::unknown(),
            }
        }
        Self { cx, redactions }
    }

    /// Why a live object is not ready, a line each, besides what was `said` already. With `log` the end of a log is
    /// told of, whatever the pods say; else only that of a container that crashed.
    pub(super) async fn about(&self, live: &Value, said: &str, log: bool) -> Vec<String> {
        if !self.redactions.are_known() {
            return vec![
                "what its pods and events say is withheld: the Secrets of valuesFrom could not be read"
                    .to_owned(),
            ];
        }
        let mut findings = Findings::default();
        // What was found until then is told of.
        let _ = timeout(WITHIN, self.gather(live, log, &mut findings)).await;
        findings.lines(said).iter().map(|line| self.redactions.apply(line)).collect()
    }

    /// What the containers of a hook printed, the end of it, for a hook that asks for it.
    pub(super) async fn output(&self, live: &Value) -> String {
        if !self.redactions.are_known() {
            return String::new();
        }
        let read = async {
            let pods = self.pods_of(live).await;
            let mut parts = Vec::new();
            for pod in pods.iter().take(PODS) {
                for container in names(pod, "/spec/containers") {
                    let Some(log) = self.log(pod, &container, false).await else { continue };
                    let of =
                        (pods.len() > 1).then(|| format!("{}/{container}: ", text(pod, "/metadata/name")));
                    parts.push(format!("{}{log}", of.unwrap_or_default()));
                }
            }
            parts.join("\n")
        };
        let output = timeout(WITHIN, read).await.unwrap_or_default();
        // Before it is cut: half a secret would not be found.
        tail(&self.redactions.apply(&output), LOG_BYTES).to_owned()
    }

    async fn gather(&self, live: &Value, log: bool, findings: &mut Findings) {
        findings.refused = refused(live);
        let maker = self.newest_replica_set(live).await;
        if findings.refused.is_none() {
            findings.refused = maker.as_ref().and_then(refused);
        }
        for object in std::iter::once(live).chain(&maker) {
            findings.warnings.extend(self.warnings(object).await);
        }
        let mut pods: Vec<Value> = self.pods_of(maker.as_ref().unwrap_or(live)).await;
        // Those that failed first, and of those that say the same one.
        pods.sort_by_key(|pod| !matches!(pod_readiness(pod), Readiness::Failed(_)));
        let mut said = BTreeSet::new();
        let is_news = |pod: &&Value| said.insert(troubles(pod));
        let pods: Vec<&Value> =
            pods.iter().filter(|pod| is_of_interest(pod, log)).filter(is_news).take(PODS).collect();
        for pod in &pods {
            let warnings = self.warnings(pod).await;
            findings.pods.push(Pod { name: text(pod, "/metadata/name"), troubles: troubles(pod), warnings });
        }
        if let Some((pod, container, previous)) = pods.iter().find_map(|pod| loudest(pod, log)) {
            let log = self.log(pod, &container, previous).await;
            findings.log =
                log.map(|log| (format!("container {container} of pod {}", text(pod, "/metadata/name")), log));
        }
    }

    /// The ReplicaSet that makes the pods of a Deployment now.
    async fn newest_replica_set(&self, live: &Value) -> Option<Value> {
        if text(live, "/kind") != "Deployment" {
            return None;
        }
        let kind = Kind {
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            kind: "ReplicaSet".to_owned(),
            plural: "replicasets".to_owned(),
            namespaced: true,
        };
        let sets =
            self.cx.tenant.list(&kind, &text(live, "/metadata/namespace"), &selector(live)?).await.ok()?;
        let revision = |set: &Value| {
            let annotation = set.pointer("/metadata/annotations/deployment.kubernetes.io~1revision")?;
            annotation.as_str()?.parse::<u64>().ok()
        };
        let mut newest = sets.into_iter().filter(|set| is_owned(set, live)).max_by_key(revision)?;
        // What a list holds does not say what it is.
        newest["kind"] = "ReplicaSet".into();
        newest["apiVersion"] = "apps/v1".into();
        Some(newest)
    }

    /// The pods of a workload; a Pod is its own.
    async fn pods_of(&self, live: &Value) -> Vec<Value> {
        if text(live, "/kind") == "Pod" {
            return vec![live.clone()];
        }
        if !OF_PODS.contains(&text(live, "/kind").as_str()) {
            return Vec::new();
        }
        let Some(selector) = selector(live) else { return Vec::new() };
        let pods = Kind::core("Pod", "pods", true);
        let listed = self.cx.tenant.list(&pods, &text(live, "/metadata/namespace"), &selector).await;
        let mut pods: Vec<Value> = listed.unwrap_or_default();
        // The pods of a Deployment are its ReplicaSet's: where that may not be seen all of them count.
        pods.retain(|pod| is_owned(pod, live) || text(live, "/kind") == "Deployment");
        for pod in &mut pods {
            pod["kind"] = "Pod".into();
            pod["apiVersion"] = "v1".into();
        }
        pods
    }

    async fn warnings(&self, object: &Value) -> Vec<Warning> {
        let (namespace, uid) = (text(object, "/metadata/namespace"), text(object, "/metadata/uid"));
        // Events of what has no namespace are in this one.
        let namespace = if namespace.is_empty() { "default" } else { &namespace };
        let events = self.cx.tenant.events(namespace, &uid).await.unwrap_or_default();
        newest_warnings(&events)
    }

    async fn log(&self, pod: &Value, container: &str, previous: bool) -> Option<String> {
        let object = identify(pod, "").ok()?;
        let log = self.cx.tenant.log(&object, container, previous).await.ok()?;
        let log = self.redactions.apply(&plain(&log));
        Some(tail(log.trim_end(), LOG_BYTES).to_owned()).filter(|log| !log.is_empty())
    }
}

impl Findings {
    /// What was found, a line each: the nearest to the cause last. Nothing is said twice.
    fn lines(&self, said: &str) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let mut say = |line: String, quoted: &str| {
            if !said.contains(quoted) && !lines.iter().any(|line| line.contains(quoted)) {
                lines.push(line);
            }
        };
        if let Some(refused) = &self.refused {
            say(refused.clone(), refused);
        }
        let warn = |warning: &Warning| {
            let times = if warning.count > 1 { format!(" ({} times)", warning.count) } else { String::new() };
            format!("event of {}: {}{times}", warning.about, warning.text)
        };
        for warning in &self.warnings {
            let quoted = warning.text.split_once(": ").map_or(warning.text.as_str(), |(_, note)| note);
            say(warn(warning), quoted);
        }
        for pod in &self.pods {
            for trouble in &pod.troubles {
                say(format!("pod {}: {trouble}", pod.name), trouble);
            }
            for warning in &pod.warnings {
                let quoted = warning.text.split_once(": ").map_or(warning.text.as_str(), |(_, note)| note);
                say(warn(warning), quoted);
            }
        }
        if let Some((of, log)) = &self.log {
            lines.push(format!("the log of {of} ends with:\n{log}"));
        }
        lines
    }
}

/// Adds what the Secrets of a manifest and of its hooks hold.
fn add_secrets(redactions: &mut Redactions, manifest: &pintle_helm::manifest::Manifest) {
    let documents = manifest.documents.iter().filter_map(|document| document.objects().ok());
    let hooks = manifest.hooks.iter().filter_map(|hook| hook.objects().ok());
    for object in documents.chain(hooks).flatten() {
        redactions.add_object(&object);
    }
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn names(object: &Value, pointer: &str) -> Vec<String> {
    let items = object.pointer(pointer).and_then(Value::as_array);
    items.into_iter().flatten().map(|item| text(item, "/name")).collect()
}

/// The labels by which a workload finds its pods.
fn selector(workload: &Value) -> Option<String> {
    let labels = workload.pointer("/spec/selector/matchLabels")?.as_object()?;
    let pairs = labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    Some(pairs.collect::<Vec<_>>().join(",")).filter(|selector| !selector.is_empty())
}

fn is_owned(object: &Value, owner: &Value) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let uid = owner.pointer("/metadata/uid");
    owners.into_iter().flatten().any(|reference| reference.get("uid") == uid && uid.is_some())
}

/// Why a controller makes no pods: one that admission refuses never exists, and only this condition tells of it.
fn refused(workload: &Value) -> Option<String> {
    let conditions = workload.pointer("/status/conditions").and_then(Value::as_array);
    let refusal = |c: &&Value| c["type"] == "ReplicaFailure" && c["status"] == "True";
    let message = text(conditions.into_iter().flatten().find(refusal)?, "/message");
    Some(truncate(&plain(&message), QUOTED)).filter(|message| !message.is_empty())
}

/// Whether a pod can tell why: one that is as it should be only when its log is asked for.
fn is_of_interest(pod: &Value, log: bool) -> bool {
    log || pod_readiness(pod) != Readiness::Current
}

/// What is wrong with a pod: with its place, and with each of its containers.
fn troubles(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let unscheduled =
        conditions.into_iter().flatten().find(|c| c["type"] == "PodScheduled" && c["status"] == "False");
    if let Some(condition) = unscheduled {
        let message = truncate(&text(condition, "/message"), QUOTED);
        found.push(format!("{}: {message}", text(condition, "/reason")));
    }
    for pointer in ["/status/initContainerStatuses", "/status/containerStatuses"] {
        let statuses = pod.pointer(pointer).and_then(Value::as_array);
        found.extend(statuses.into_iter().flatten().filter_map(container_trouble));
    }
    if !text(pod, "/status/reason").is_empty() {
        let message = truncate(&text(pod, "/status/message"), QUOTED);
        found.push(format!("{}: {message}", text(pod, "/status/reason")));
    }
    if found.is_empty() && pod_readiness(pod) != Readiness::Current {
        let phase = text(pod, "/status/phase");
        found.push(if phase == "Running" {
            "runs, and is not ready yet".to_owned()
        } else {
            format!("is {phase}; its node has told nothing of it yet")
        });
    }
    found.iter().map(|trouble| plain(trouble)).collect()
}

/// What is wrong with a container: what it waits for, how it ended, and how it ended before.
fn container_trouble(status: &Value) -> Option<String> {
    let name = text(status, "/name");
    let mut parts = Vec::new();
    let waiting = text(status, "/state/waiting/reason");
    // What every new container goes through says nothing.
    if !waiting.is_empty() && !matches!(waiting.as_str(), "ContainerCreating" | "PodInitializing") {
        let message = truncate(&text(status, "/state/waiting/message"), QUOTED);
        parts.push(if message.is_empty() { waiting } else { format!("{waiting}: {message}") });
    }
    parts.extend(ending(status.pointer("/state/terminated"), "ended"));
    parts.extend(ending(status.pointer("/lastState/terminated"), "ended before"));
    if parts.is_empty() && status.pointer("/state/running").is_some() && status["ready"] == false {
        parts.push("runs, and is not ready".to_owned());
    }
    if let Some(restarts) = status["restartCount"].as_i64().filter(|restarts| *restarts > 0) {
        parts.push(format!("restarted {restarts} times"));
    }
    let trouble = parts.iter().any(|part| !part.starts_with("restarted"));
    trouble.then(|| format!("container {name}: {}", parts.join("; ")))
}

/// How a container ended, unless it ended well.
fn ending(terminated: Option<&Value>, verb: &str) -> Option<String> {
    let terminated = terminated?;
    let code = terminated["exitCode"].as_i64()?;
    let reason = text(terminated, "/reason");
    if code == 0 {
        return None;
    }
    let message = truncate(text(terminated, "/message").trim(), QUOTED);
    let separator = if message.is_empty() { "" } else { ": " };
    Some(format!("{verb} with code {code} ({reason}){separator}{message}"))
}

/// The container whose log tells most, and whether it is that of its run before: the one that ended badly; with `any`
/// the last one, if none did.
fn loudest<'p>(pod: &'p &Value, any: bool) -> Option<(&'p Value, String, bool)> {
    let all = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses: Vec<&Value> = all.iter().filter_map(|p| pod.pointer(p)?.as_array()).flatten().collect();
    let failed = |status: &&&Value, state: &str| {
        status.pointer(state).is_some_and(|ended| ended["exitCode"].as_i64().is_some_and(|code| code != 0))
    };
    if let Some(status) = statuses.iter().find(|s| failed(s, "/state/terminated")) {
        return Some((pod, text(status, "/name"), false));
    }
    if let Some(status) = statuses.iter().find(|s| failed(s, "/lastState/terminated")) {
        // Between two runs there is the log of the last one only.
        return Some((pod, text(status, "/name"), status.pointer("/state/running").is_some()));
    }
    let started = |status: &&&Value| status.pointer("/state/waiting").is_none();
    let status = statuses.iter().rev().find(started).filter(|_| any)?;
    Some((pod, text(status, "/name"), false))
}

/// The newest warnings, oldest first, those that say the same as one.
fn newest_warnings(events: &[Value]) -> Vec<Warning> {
    let mut warnings: Vec<(String, Warning)> = Vec::new();
    for event in events.iter().filter(|event| event["type"] == "Warning") {
        let times = [
            "/series/lastObservedTime",
            "/deprecatedLastTimestamp",
            "/eventTime",
            "/metadata/creationTimestamp",
        ];
        let at = times.iter().map(|time| text(event, time)).find(|time| !time.is_empty()).unwrap_or_default();
        let counts = ["/series/count", "/deprecatedCount"];
        let count = counts.iter().find_map(|count| event.pointer(count)?.as_i64()).unwrap_or(1);
        let note = truncate(&plain(&text(event, "/note")), QUOTED);
        let warning = Warning {
            about: format!("{} {}", text(event, "/regarding/kind"), text(event, "/regarding/name")),
            text: format!("{}: {note}", text(event, "/reason")),
            count,
        };
        match warnings.iter_mut().find(|(_, known)| known.text == warning.text) {
            Some((newest, known)) => {
                known.count += warning.count;
                *newest = at.max(newest.clone());
            }
            None => warnings.push((at, warning)),
        }
    }
    warnings.sort_by(|a, b| a.0.cmp(&b.0));
    let older = warnings.len().saturating_sub(WARNINGS);
    warnings.into_iter().skip(older).map(|(_, warning)| warning).collect()
}

/// A text without what a terminal would act on.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            // A control sequence, as those for colours, goes to its final byte.
            '\u{1b}' if rest.next_if_eq(&'[').is_some() => {
                while rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
            '\n' | '\t' => plain.push(char),
            char if char.is_control() => {}
            char => plain.push(char),
        }
    }
    plain
}

/// The last lines of a text in at most `limit` bytes; of one line that is longer its end.
fn tail(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let from = |at: usize| (at..text.len()).find_map(|at| text.get(at..)).unwrap_or_default();
    // With the character before: a line that begins right here is whole.
    match from(text.len() - limit - 1).split_once('\n') {
        Some((_, lines)) => lines,
        None => from(text.len() - limit),
    }
}

/// An object's report below its headline: each line indented.
pub(super) fn indented(lines: &[String]) -> String {
    lines.iter().flat_map(|line| line.lines()).map(|line| format!("\n  {line}")).collect()
}

#[cfg(test)]
mod tests;
