//! Removes a release: hooks, objects, record.
//!
//! Each call goes on where the last one ended. What tells where that was is the latest revision: its status, the hooks
//! that its facts list, and which objects are still there.

use std::collections::BTreeSet;

use jiff::Timestamp;

use pintle_helm::manifest::{Hook, HookEvent, Manifest, Order, compare_kinds, sort_for_execution};
use pintle_helm::record::Status;

use super::draft::after;
use super::hook::{Progress, cut_short, run_event, still_running};
use super::ownership;
use super::targets::{Earlier, TargetObject, Targets};
use super::{Change, Error, History, Live, Outcome, Planned, Release, ReleaseKey, spill};
use crate::api::{Changes, Reason};
use crate::cluster::Retry;
use crate::telemetry::failpoint::Failpoint;

/// Goes on with the removal of a release; [`Outcome::Done`] when nothing of it is left but what is kept on purpose,
/// which the warnings list.
///
/// `was_ours` says that Pintle had the release once. The record alone cannot tell: helm drops Pintle's facts from every
/// revision that it writes.
pub async fn uninstall(cx: &Release<'_>, history: &mut History, was_ours: bool) -> Outcome {
    match step(cx, history, was_ours).await {
        Ok(outcome) => outcome,
        Err(error) if error.transient => Outcome::Retry { error },
        Err(error) => Outcome::Failed { error },
    }
}

async fn step(cx: &Release<'_>, history: &mut History, was_ours: bool) -> Result<Outcome, Error> {
    let Some(number) = begin(cx, history, was_ours).await? else {
        spill::sweep(cx, history).await?;
        return Ok(Outcome::Done { changes: Changes::default(), warnings: Vec::new() });
    };
    if let Some(facts) = history.find(number).and_then(|r| r.facts.as_ref())
        && let Some(parked) = still_running(cx, facts).await
    {
        return Ok(parked);
    }
    let base: Vec<u32> = history.base_of(u32::MAX).iter().map(|r| r.number).collect();
    history.complete(cx.tenant, cx.key, &base).await?;
    let hooks = hooks(cx, history, number);
    if let Some(parked) = run_hooks(cx, history, number, HookEvent::PreDelete, &hooks).await?.parked() {
        return Ok(parked);
    }
    let planned = inventory(cx, history).await?;
    let warnings: Vec<String> =
        planned.iter().filter(|p| matches!(p.change, Change::Keep { .. })).map(ToString::to_string).collect();
    let held = delete(cx, &planned).await?;
    if !cx.policy.disable_wait
        && let Some(parked) = wait_gone(cx, history, number, &held, &warnings).await?
    {
        return Ok(parked);
    }
    if let Some(parked) = run_hooks(cx, history, number, HookEvent::PostDelete, &hooks).await?.parked() {
        return Ok(parked);
    }
    Failpoint::Forgetting.reach();
    forget(cx, history, number).await?;
    let deleted = planned.iter().filter(|p| p.change == Change::Delete).count();
    let changes = Changes { deleted: i64::try_from(deleted).unwrap_or(i64::MAX), ..Changes::default() };
    Ok(Outcome::Done { changes, warnings })
}

/// Marks the latest revision; `None` when there is nothing to remove.
async fn begin(cx: &Release<'_>, history: &mut History, was_ours: bool) -> Result<Option<u32>, Error> {
    let Some(latest) = history.latest() else { return Ok(None) };
    let number = latest.number;
    if latest.status == Status::Uninstalled {
        if !cx.policy.keep_history {
            forget(cx, history, number).await?;
        }
        return Ok(None);
    }
    if let Some(facts) = latest.facts.as_ref()
        && facts.owner != cx.owner.uid
        && facts.owner_name != cx.owner.name
    {
        return Err(super::history::claimed(&facts.owner_name, &facts.holder));
    }
    // helm made every revision: nothing of it was ever adopted, and nothing of it is ours to remove.
    if !was_ours && history.revisions().iter().all(|r| r.facts.is_none()) {
        return Ok(None);
    }
    if super::state::helm_until(latest).is_some_and(|until| Timestamp::now() < until) {
        let message = format!("helm is working on revision {number}; the release is removed when that ends");
        let mut error = Error::new(Reason::Progressing, Retry::Soon, message);
        error.transient = true;
        return Err(error);
    }
    let has_facts = latest.facts.is_some();
    if let Some(facts) = latest.facts.as_ref().filter(|_| latest.status.is_pending()) {
        cut_short(cx, facts).await;
    }
    if latest.status != Status::Uninstalling || !has_facts {
        history.mark_uninstalling(cx, number, after(cx.policy.timeout)).await?;
        Failpoint::Uninstalling.reach();
    }
    Ok(Some(number))
}

/// The hooks of the latest revision, as Helm takes them.
fn hooks(cx: &Release<'_>, history: &History, number: u32) -> Vec<Hook> {
    if cx.policy.disable_hooks {
        return Vec::new();
    }
    let revision = history.find(number);
    let manifest = revision.and_then(|r| r.manifest().ok()).unwrap_or_default();
    let mut hooks = manifest.hooks;
    sort_for_execution(&mut hooks);
    hooks
}

async fn run_hooks(
    cx: &Release<'_>,
    history: &mut History,
    number: u32,
    event: HookEvent,
    hooks: &[Hook],
) -> Result<Progress, Error> {
    let due: Vec<&Hook> = hooks.iter().filter(|h| h.runs_at(event)).collect();
    if due.is_empty() {
        return Ok(Progress::Done);
    }
    match run_event(cx, history, number, event, &due).await {
        // Nothing can be created there any more, and the HelmRelease must not hold its namespace for ever.
        Err(error) if error.reason == Reason::NamespaceTerminating => {
            tracing::warn!(release = %cx.key, %event, error = error.message, "the hooks are left out");
            Ok(Progress::Done)
        }
        ended => ended,
    }
}

/// Everything that the release may own, in Helm's uninstall order.
async fn inventory(cx: &Release<'_>, history: &History) -> Result<Vec<Planned>, Error> {
    let base = history.base_of(u32::MAX).into_iter().map(Earlier::of);
    let base: Vec<Earlier> = base.collect::<Result<_, _>>()?;
    let (targets, live) = Targets::looked_at(cx, &Manifest::default(), &base).await?;
    let found = targets.leftovers().into_iter().filter_map(|t| plan_removal(cx.key, t, &live));
    let mut planned: Vec<Planned> = found.chain(super::plan::unserved(&targets)).collect();
    planned.sort_by(|a, b| compare_kinds(Order::Uninstall, &a.object.kind, &b.object.kind));
    Ok(planned)
}

fn plan_removal(key: &ReleaseKey, target: &TargetObject, live: &Live) -> Option<Planned> {
    let found = live.find(&target.object)?.clone();
    let change = if ownership::is_kept(&target.content) {
        Change::Keep { why: "its resource policy says so".to_owned() }
    } else {
        super::prune::removal(key, &found)
    };
    Some(Planned {
        object: target.object.clone(),
        kind: target.kind.clone(),
        source: target.source.clone(),
        content: serde_json::Value::Null,
        change,
        live: Some(found),
        earlier: None,
        contests: Vec::new(),
        recorded: true,
    })
}

/// Deletes rank by rank; the objects of one kind at the same time. Those that something holds are given back.
async fn delete<'p>(cx: &Release<'_>, planned: &'p [Planned]) -> Result<Vec<&'p Planned>, Error> {
    let mut held = Vec::new();
    for rank in planned.chunk_by(|a, b| a.object.kind == b.object.kind) {
        held.extend(super::prune::prune(cx, rank).await?);
    }
    Ok(held)
}

/// Parks while deleted objects are still there.
async fn wait_gone(
    cx: &Release<'_>,
    history: &History,
    number: u32,
    held: &[&Planned],
    warnings: &[String],
) -> Result<Option<Outcome>, Error> {
    if held.is_empty() {
        return Ok(None);
    }
    let refs = held.iter().map(|p| (p.kind.clone(), p.object.clone())).collect();
    let live = super::live(cx, refs).await?;
    let mut waiting = Vec::new();
    for planned in held {
        let Some(found) = live.find(&planned.object) else { continue };
        if found.uid() != planned.live.as_ref().and_then(super::LiveObject::uid) {
            continue;
        }
        let finalizers = found.finalizers();
        let text = if finalizers.is_empty() {
            "is still being deleted".to_owned()
        } else {
            format!("is still being deleted, held by the finalizers {}", finalizers.join(", "))
        };
        waiting.push((planned.object.clone(), text));
    }
    if waiting.is_empty() {
        return Ok(None);
    }
    let facts = history.find(number).and_then(|r| r.facts.as_ref());
    let deadline =
        facts.and_then(|f| f.over_at(cx.policy.timeout)).unwrap_or_else(|| after(cx.policy.timeout));
    if Timestamp::now() >= deadline {
        return Err(stuck(cx, &waiting));
    }
    Ok(Some(Outcome::Parked { waiting, deadline, ready: BTreeSet::new(), warnings: warnings.to_vec() }))
}

fn stuck(cx: &Release<'_>, waiting: &[(crate::cluster::ObjectRef, String)]) -> Error {
    let mut message = format!(
        "{} still there after {} s; remove what holds them, or set deletionPolicy to Orphan",
        super::error::objects(waiting.len()),
        cx.policy.timeout.as_secs()
    );
    for (object, text) in waiting.iter().take(10) {
        message.push_str(&format!("\n{object} {text}"));
    }
    Error::new(Reason::UninstallFailed, Retry::Later, message)
}

/// Removes the record, the marked revision last: while it is there, the removal is known to go on.
async fn forget(cx: &Release<'_>, history: &mut History, number: u32) -> Result<(), Error> {
    if cx.policy.keep_history {
        let deployed: Vec<u32> = history
            .revisions()
            .iter()
            .filter(|r| r.status == Status::Deployed && r.number != number)
            .map(|r| r.number)
            .collect();
        for older in deployed {
            history.supersede(cx, older).await?;
        }
        return history.mark_uninstalled(cx, number).await;
    }
    spill::sweep(cx, history).await?;
    let numbers: Vec<u32> = history.revisions().iter().map(|r| r.number).collect();
    for older in numbers {
        history.remove(cx, older).await?;
    }
    Ok(())
}
