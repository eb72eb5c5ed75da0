//! Runs hooks: in order of weight and name, one after the other.
//!
//! A hook's object carries marks that its template does not have: the release that it belongs to, because Helm leaves
//! hooks without an owner; the run that created it, so that after a crash a hook that is still running is waited for
//! instead of run twice; and a label by which those that run are watched.
//!
//! Nothing here waits for the end of a hook: one that runs is noted in the record, with its deadline, and looked at
//! again when the watch tells of it.

mod seen;

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use pintle_helm::manifest::{DeletePolicy, Hook, HookEvent, OutputLogPolicy};

use super::facts::{Facts, HookFacts, RunningHook};
use super::inquiry::{Inquiry, indented};
use super::live::read;
use super::ownership::{self, HOOK_OWNER, Ownership};
use super::plan::place;
use super::targets::identify;
use super::{Error, History, LiveObject, Outcome, Release};
use crate::api::{DeletionPropagation, Reason};
use crate::cluster::{ApplyOptions, Class, Kind, ObjectRef, Readiness, Retry, pod_readiness, readiness};

pub use seen::SeenHooks;

/// The annotation with the run that created a hook's object: revision and event.
const HOOK_RUN: &str = "pintle.dev/hook-run";
/// The label of a hook's object, by which those that run are watched.
pub const HOOK_LABEL: &str = "pintle.dev/hook";
/// The object of an earlier run goes within this time, unless a finalizer holds it.
const CLEARED_WITHIN: Duration = Duration::from_secs(2);
/// The first pause between two looks at it, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How far the hooks of an event are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All are done.
    Done,
    /// This one runs.
    Running(Box<RunningHook>),
}

impl Progress {
    /// What the action comes to for now, unless all hooks are done.
    pub(super) fn parked(self) -> Option<Outcome> {
        match self {
            Self::Done => None,
            Self::Running(running) => Some(parked(&running)),
        }
    }
}

fn parked(running: &RunningHook) -> Outcome {
    Outcome::Parked {
        waiting: vec![(running.object.clone(), format!("{} hook, still running", running.event))],
        deadline: running.deadline,
        ready: std::collections::BTreeSet::new(),
        warnings: Vec::new(),
    }
}

/// How far one hook is.
enum Ran {
    /// It is done, and printed this, when it asks for that to be told.
    Done(String),
    /// It runs.
    Running(Box<RunningHook>),
}

/// How a hook's object stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum HookState {
    Running,
    Succeeded,
    Failed(String),
}

/// An object of a hook, ready to be applied.
struct HookObject {
    object: ObjectRef,
    kind: Kind,
    content: Value,
}

/// Runs the hooks of an event as far as it goes without waiting; those that the facts say are done are not run again.
///
/// # Errors
/// The first hook that failed or did not end in time; later ones are not run.
pub(super) async fn run_event(
    cx: &Release<'_>,
    history: &mut History,
    number: u32,
    event: HookEvent,
    hooks: &[&Hook],
) -> Result<Progress, Error> {
    for (at, hook) in hooks.iter().enumerate() {
        let facts = history.find(number).and_then(|r| r.facts.as_ref());
        if facts.is_some_and(|f| f.hook_done(event, &hook.kind, &hook.name)) {
            continue;
        }
        let running = facts.and_then(|f| f.running.clone()).filter(|r| r.is(event, &hook.kind, &hook.name));
        let started_at = running.as_ref().map_or_else(Timestamp::now, |r| r.started_at);
        let result = run(cx, history, number, event, hook, running.as_ref()).await;
        let result = match result {
            Err(error) if error.transient => return Err(error),
            Ok(Ran::Running(now)) => {
                if running.as_ref() != Some(&*now) {
                    history.note(cx, number, &|facts| facts.note_running(RunningHook::clone(&now))).await?;
                }
                return Ok(Progress::Running(now));
            }
            Ok(Ran::Done(output)) => Ok(output),
            Err(error) => Err(error),
        };
        if let Some(output) = result.as_ref().ok().filter(|output| !output.is_empty()) {
            tracing::info!(release = %cx.key, revision = number, %event, hook = hook.name, output, "a hook printed");
        }
        let done = HookFacts {
            event: event.as_str().to_owned(),
            kind: hook.kind.clone(),
            name: hook.name.clone(),
            started_at,
            completed_at: Timestamp::now(),
            succeeded: result.is_ok(),
            output: result.as_ref().ok().cloned().unwrap_or_default(),
        };
        history.note(cx, number, &|facts| facts.note_hook(done.clone())).await?;
        if let Err(error) = result {
            delete_by(cx, hook, DeletePolicy::HookFailed).await;
            for earlier in hooks.iter().take(at) {
                delete_by(cx, earlier, DeletePolicy::HookSucceeded).await;
            }
            return Err(error);
        }
    }
    // Only when all are done: a later hook may need what an earlier one made.
    for hook in hooks.iter().rev() {
        delete_by(cx, hook, DeletePolicy::HookSucceeded).await;
    }
    Ok(Progress::Done)
}

/// Whether the hook that the record says is running still is: one read instead of a new plan. None when it is not, or
/// cannot be read; the plan goes on from there.
pub(super) async fn still_running(cx: &Release<'_>, facts: &Facts) -> Option<Outcome> {
    let (before, after) = facts.action.events();
    // One that was left by an action that an uninstall ended counts for nothing.
    still_running_at(cx, facts, &[before, after]).await
}

/// The same for a hook of these events.
pub(super) async fn still_running_at(
    cx: &Release<'_>,
    facts: &Facts,
    events: &[HookEvent],
) -> Option<Outcome> {
    let current = |r: &&RunningHook| events.iter().any(|event| r.event == event.as_str());
    let running = facts.running.as_ref().filter(current).filter(|r| Timestamp::now() < r.deadline)?;
    let kind = cx.discovery.kind(&running.object).await.ok()?;
    let live = read(cx, &kind, &running.object).await.ok()??;
    let same = live.uid() == Some(running.uid.as_str());
    (same && state(live.value()) == HookState::Running).then(|| parked(running))
}

/// Deletes the object of a hook that runs for a revision that is given up: nobody waits for its end any more, and the
/// next revision's hooks must not run beside it. Best effort.
pub(super) async fn cut_short(cx: &Release<'_>, facts: &Facts) {
    let Some(running) = &facts.running else { return };
    let Ok(kind) = cx.discovery.kind(&running.object).await else { return };
    let (uid, propagation) = (Some(running.uid.as_str()), DeletionPropagation::Background);
    if let Err(error) = cx.tenant.delete(&kind, &running.object, uid, propagation).await {
        tracing::warn!(%error, "failed to delete the running hook of a revision that is given up");
    }
}

/// Begins one hook, or looks at how it stands. `running` is what the record says of it.
async fn run(
    cx: &Release<'_>,
    history: &History,
    number: u32,
    event: HookEvent,
    hook: &Hook,
    running: Option<&RunningHook>,
) -> Result<Ran, Error> {
    let facts = history.find(number).and_then(|r| r.facts.as_ref());
    // What failed before is run anew, not waited for: an uninstall tries again under the same revision.
    let anew = facts.is_some_and(|f| f.hook_failed(event, &hook.kind, &hook.name)) && running.is_none();
    // With the time of the action: numbers begin again when a release is installed anew.
    let begun = facts.and_then(|f| f.started_at).unwrap_or_default();
    let mark = format!("{number}/{event}/{begun}");
    let mut outputs = Vec::new();
    for mut target in objects(cx, hook).await? {
        ownership::set(&mut target.content, "annotations", HOOK_OWNER, &cx.key.to_string());
        ownership::set(&mut target.content, "annotations", HOOK_RUN, &mark);
        ownership::set(&mut target.content, "labels", HOOK_LABEL, "true");
        let recorded = running.filter(|r| r.object == target.object);
        let live = read(cx, &target.kind, &target.object).await?.filter(|_| !anew);
        let attached = live.filter(|live| live.annotation(HOOK_RUN) == Some(&mark) && is_hook_of(live, cx));
        let live = match (attached, recorded) {
            (Some(live), _) => live,
            (None, Some(recorded)) => match gone(cx, event, hook, &target, recorded)? {
                Gone::Succeeded => continue,
                // Whether it succeeded is known to nobody.
                Gone::Unknown => {
                    clear_way(cx, history, number, hook, &target).await?;
                    create(cx, hook, &target).await?
                }
            },
            (None, None) => {
                clear_way(cx, history, number, hook, &target).await?;
                create(cx, hook, &target).await?
            }
        };
        let recorded = recorded.filter(|r| live.uid() == Some(r.uid.as_str()));
        let deadline = match recorded {
            Some(recorded) => recorded.deadline,
            // It may be there since long before this run.
            None if is_crd(hook) => super::draft::after(cx.policy.timeout),
            None => deadline(cx, &live),
        };
        match state(live.value()) {
            // A definition is served now: the next hook may be an object of it.
            HookState::Succeeded if is_crd(hook) => drop(cx.discovery.refresh(Duration::ZERO).await?),
            HookState::Succeeded => {
                if hook.output_log_policies.contains(&OutputLogPolicy::HookSucceeded) {
                    outputs.push(Inquiry::new(cx, history, number).output(live.value()).await);
                }
            }
            HookState::Failed(text) => {
                let lines = Inquiry::new(cx, history, number).about(live.value(), &text, true).await;
                return Err(failed(event, hook, &target, &format!("{text}{}", indented(&lines))));
            }
            HookState::Running if Timestamp::now() >= deadline => {
                let lines = Inquiry::new(cx, history, number).about(live.value(), "", true).await;
                return Err(timeout(cx, event, hook, &target, &lines));
            }
            HookState::Running => {
                return Ok(Ran::Running(Box::new(RunningHook {
                    event: event.as_str().to_owned(),
                    kind: hook.kind.clone(),
                    name: hook.name.clone(),
                    object: target.object,
                    uid: live.uid().unwrap_or_default().to_owned(),
                    started_at: recorded.or(running).map_or_else(Timestamp::now, |r| r.started_at),
                    deadline,
                })));
            }
        }
    }
    outputs.retain(|output| !output.is_empty());
    Ok(Ran::Done(outputs.join("\n")))
}

fn failed(event: HookEvent, hook: &Hook, target: &HookObject, text: &str) -> Error {
    let message = format!("{event} hook {} ({}) failed: {text}", target.object, hook.path);
    Error::new(Reason::HookFailed, Retry::Soon, message).about(&target.object)
}

/// What is to be thought of a hook's object that ran and is gone.
#[derive(Debug)]
enum Gone {
    Succeeded,
    Unknown,
}

/// Judges a hook's object that is gone by what was seen of it last. A Job with a time to live goes by itself when it
/// has ended, well or not: one that nobody saw is run again.
fn gone(
    cx: &Release<'_>,
    event: HookEvent,
    hook: &Hook,
    target: &HookObject,
    recorded: &RunningHook,
) -> Result<Gone, Error> {
    match cx.hooks.end_of(&recorded.uid) {
        Some(HookState::Succeeded) => Ok(Gone::Succeeded),
        Some(HookState::Failed(text)) => Err(failed(event, hook, target, &text)),
        _ if target.content.pointer("/spec/ttlSecondsAfterFinished").is_some() => Ok(Gone::Unknown),
        _ => {
            let message = format!("{event} hook {} ({}) was deleted while it ran", target.object, hook.path);
            Err(Error::new(Reason::HookFailed, Retry::Soon, message).about(&target.object))
        }
    }
}

/// Deletes what a run before has left, as the policy says.
async fn clear_way(
    cx: &Release<'_>,
    history: &History,
    number: u32,
    hook: &Hook,
    target: &HookObject,
) -> Result<(), Error> {
    let Some(live) = read(cx, &target.kind, &target.object).await? else { return Ok(()) };
    // helm leaves no marks on its hooks: there the records of earlier revisions tell. A pending one does not count,
    // since it lists the hook in any case.
    let pending = history.find(number).filter(|r| r.status.is_pending()).map_or(0, |r| r.number);
    let recorded = || history.records_hook(&hook.kind, &hook.name, pending);
    let other = matches!(ownership::ownership(&live, cx.key), Ownership::Other { .. });
    if !is_hook_of(&live, cx) && (other || !recorded()) {
        let message = format!(
            "{} is in the way of the {} hook of {}: no revision of the release made it; delete or rename it",
            target.object, hook.name, hook.path
        );
        return Err(Error::new(Reason::OwnershipConflict, Retry::OnChange, message).about(&target.object));
    }
    let replace = hook.effective_delete_policies().contains(&DeletePolicy::BeforeHookCreation);
    // What goes already, such as the hook of a revision that was given up, is in nobody's way for long.
    if !live.is_terminating() && (!replace || is_crd(hook)) {
        if is_workload(&target.object) {
            let message = format!(
                "{} exists from an earlier run of the hook, and its delete policies do not remove it; \
                 add before-hook-creation to helm.sh/hook-delete-policy in {}",
                target.object, hook.path
            );
            return Err(Error::new(Reason::HookFailed, Retry::OnChange, message).about(&target.object));
        }
        return Ok(());
    }
    if !live.is_terminating() {
        cx.tenant.delete(&target.kind, &target.object, live.uid(), DeletionPropagation::Background).await?;
    }
    let deadline = Instant::now() + CLEARED_WITHIN;
    let mut pause = FIRST_PAUSE;
    while let Some(now) = read(cx, &target.kind, &target.object).await?.filter(|now| now.uid() == live.uid())
    {
        if Instant::now() >= deadline {
            let message = format!(
                "{} of the last run is still being deleted; finalizers: {}",
                target.object,
                now.finalizers().join(", ")
            );
            // Looked at again after a pause, without a worker, until the action's time is over.
            let mut error = Error::new(Reason::HookTimeout, Retry::Soon, message).about(&target.object);
            error.transient = true;
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Ok(())
}

async fn create(cx: &Release<'_>, hook: &Hook, target: &HookObject) -> Result<LiveObject, Error> {
    let options = ApplyOptions { force: false, dry_run: false };
    let applied =
        cx.tenant.apply(&target.kind, &target.object, &target.content, cx.field_manager, options).await;
    applied.map(|a| LiveObject::new(a.object)).map_err(|e| Error::from_template(e, &hook.path))
}

fn timeout(cx: &Release<'_>, event: HookEvent, hook: &Hook, target: &HookObject, lines: &[String]) -> Error {
    let message = format!(
        "{event} hook {} ({}) did not end within {} s; raise spec.timeout, or mend the hook{}",
        target.object,
        hook.path,
        cx.policy.timeout.as_secs(),
        indented(lines)
    );
    Error::new(Reason::HookTimeout, Retry::Soon, message).about(&target.object)
}

/// When a hook has to be done: counted from its creation, so that a crash does not stretch it.
fn deadline(cx: &Release<'_>, created: &LiveObject) -> Timestamp {
    let at = created.value().pointer("/metadata/creationTimestamp").and_then(Value::as_str);
    let at: Option<Timestamp> = at.and_then(|text| text.parse().ok());
    // Objects that are no run, such as a ConfigMap of an earlier revision, may be old; they are done at once anyway.
    let span = SignedDuration::try_from(cx.policy.timeout).unwrap_or(SignedDuration::from_hours(24));
    at.and_then(|at| at.checked_add(span).ok()).unwrap_or_else(|| super::draft::after(cx.policy.timeout))
}

/// Whether a run is over: Pods and Jobs are waited for until they end, definitions until they are served, everything else
/// is done when it exists.
fn state(live: &Value) -> HookState {
    let condition = |type_: &str| {
        let conditions = live.pointer("/status/conditions")?.as_array()?;
        conditions.iter().find(|c| c["type"] == type_ && c["status"] == "True")
    };
    let text = |key: &str| live[key].as_str().unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    match (group, text("kind")) {
        ("batch", "Job") => match (condition("Failed"), condition("Complete")) {
            (Some(failed), _) => {
                let text = |key: &str| failed[key].as_str().unwrap_or_default();
                HookState::Failed(format!("{}: {}", text("reason"), text("message")))
            }
            (None, Some(_)) => HookState::Succeeded,
            (None, None) => HookState::Running,
        },
        ("", "Pod") => match live.pointer("/status/phase").and_then(Value::as_str) {
            Some("Succeeded") => HookState::Succeeded,
            Some("Failed") => match pod_readiness(live) {
                Readiness::Failed(text) => HookState::Failed(text),
                _ => HookState::Failed("the pod failed".to_owned()),
            },
            _ => HookState::Running,
        },
        ("apiextensions.k8s.io", "CustomResourceDefinition") => match readiness(live, false) {
            Readiness::Current => HookState::Succeeded,
            Readiness::Failed(text) => HookState::Failed(text),
            Readiness::InProgress(_) => HookState::Running,
        },
        _ => HookState::Succeeded,
    }
}

/// Deletes a hook's objects when its policies name `policy`. Best effort: what stays is replaced by the next run.
async fn delete_by(cx: &Release<'_>, hook: &Hook, policy: DeletePolicy) {
    if !hook.effective_delete_policies().contains(&policy) || is_crd(hook) {
        return;
    }
    let Ok(targets) = objects(cx, hook).await else { return };
    for target in targets {
        let Ok(Some(live)) = read(cx, &target.kind, &target.object).await else { continue };
        if !is_hook_of(&live, cx) {
            continue;
        }
        let propagation = DeletionPropagation::Background;
        if let Err(error) = cx.tenant.delete(&target.kind, &target.object, live.uid(), propagation).await {
            tracing::warn!(%error, "failed to delete a hook as its delete policy asks");
        }
    }
}

/// The objects of a hook, placed into their namespace.
async fn objects(cx: &Release<'_>, hook: &Hook) -> Result<Vec<HookObject>, Error> {
    let contents = hook
        .objects()
        .map_err(|e| Error::new(Reason::InvalidManifest, Retry::OnChange, crate::cluster::chain(&e)))?;
    let mut found = Vec::with_capacity(contents.len());
    for mut content in contents {
        let mut object = identify(&content, &hook.path)?;
        let kind = match cx.discovery.kind(&object).await {
            Ok(kind) => kind,
            Err(error) if error.class == Class::KindNotFound => {
                return Err(Error::from_template(error, &hook.path).about(&object));
            }
            Err(error) => return Err(error.into()),
        };
        if !kind.namespaced {
            object.namespace.clear();
        } else if object.namespace.is_empty() {
            object.namespace.clone_from(&cx.key.namespace);
        }
        place(&mut content, &object, &kind);
        if content.get("metadata").is_none() {
            content["metadata"] = json!({});
        }
        found.push(HookObject { object, kind, content });
    }
    Ok(found)
}

fn is_hook_of(live: &LiveObject, cx: &Release<'_>) -> bool {
    live.annotation(HOOK_OWNER) == Some(cx.key.to_string().as_str())
        || ownership::ownership(live, cx.key) == Ownership::Ours
}

fn is_workload(object: &ObjectRef) -> bool {
    matches!((object.group.as_str(), object.kind.as_str()), ("batch", "Job") | ("", "Pod"))
}

/// Helm never deletes definitions by a hook's policies: their objects would go with them.
fn is_crd(hook: &Hook) -> bool {
    hook.kind == "CustomResourceDefinition"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pods_jobs_and_definitions_run() {
        let object = |api_version: &str, kind: &str, rest: Value| {
            let mut object = json!({"apiVersion": api_version, "kind": kind});
            object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            object
        };
        let job = |conditions: Value| json!({"status": {"conditions": conditions}});
        let failed = |text: &str| HookState::Failed(text.to_owned());
        for (name, live, want) in [
            ("a ConfigMap", object("v1", "ConfigMap", json!({})), HookState::Succeeded),
            ("a new Job", object("batch/v1", "Job", json!({})), HookState::Running),
            (
                "a complete Job",
                object("batch/v1", "Job", job(json!([{"type": "Complete", "status": "True"}]))),
                HookState::Succeeded,
            ),
            (
                "a failed Job",
                object(
                    "batch/v1",
                    "Job",
                    job(
                        json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "no"}]),
                    ),
                ),
                failed("BackoffLimitExceeded: no"),
            ),
            (
                "a ready Pod still runs",
                object("v1", "Pod", json!({"status": {"phase": "Running"}})),
                HookState::Running,
            ),
            (
                "a Pod that ended",
                object("v1", "Pod", json!({"status": {"phase": "Succeeded"}})),
                HookState::Succeeded,
            ),
            (
                "a failed Pod",
                object("v1", "Pod", json!({"status": {"phase": "Failed"}})),
                failed("the pod failed"),
            ),
            (
                "a definition that is not served yet",
                object("apiextensions.k8s.io/v1", "CustomResourceDefinition", json!({})),
                HookState::Running,
            ),
            (
                "one that is",
                object(
                    "apiextensions.k8s.io/v1",
                    "CustomResourceDefinition",
                    job(json!([{"type": "Established", "status": "True"}])),
                ),
                HookState::Succeeded,
            ),
            (
                "one whose names another one has",
                object(
                    "apiextensions.k8s.io/v1",
                    "CustomResourceDefinition",
                    job(json!([{"type": "NamesAccepted", "status": "False", "reason": "PluralConflict"}])),
                ),
                failed("PluralConflict"),
            ),
        ] {
            assert_eq!(state(&live), want, "{name}");
        }
    }
}
