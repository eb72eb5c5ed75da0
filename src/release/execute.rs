//! Carries a plan out, step by step.
//!
//! Every step can be made again: after a crash the same plan is made from the record and executed from the start;
//! hooks that are recorded as done and objects that are as they should be are passed over. Nothing here blocks on
//! readiness: the action parks, and [`resume_wait`] goes on when a watched object changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use pintle_helm::manifest::{Hook, HookEvent, Manifest};

use super::apply::{Written, apply};
use super::draft::after;
use super::hook::{Progress, still_running};
use super::inquiry::Inquiry;
use super::live::read;
use super::plan::hook_steps;
use super::wait::{self, Verdict};
use super::{Error, Facts, History, LiveObject, Plan, Planned, Release, Step, bounded_until_refused};
use crate::api::{Changes, Reason};
use crate::cluster::{ApplyOptions, Class, Kind, ObjectRef, Readiness, Retry, Served, readiness};
use crate::telemetry::failpoint::Failpoint;

/// A wait is recorded when the action has taken this long.
const RECORDED_AFTER: SignedDuration = SignedDuration::from_secs(2);
/// The plan's view of an object counts as young for this long.
const FRESH: Duration = Duration::from_secs(1);

/// How far an action came.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All is done.
    Done {
        /// What was changed.
        changes: Changes,
        /// The server's warnings, such as those of Pod Security.
        warnings: Vec<String>,
    },
    /// A hook runs, or everything is applied and some objects are not ready.
    Parked {
        /// Which, and what is missing.
        waiting: Vec<(ObjectRef, String)>,
        /// When the wait is over.
        deadline: Timestamp,
        /// The objects that are ready: they need no further look until they change.
        ready: BTreeSet<ObjectRef>,
        /// The server's warnings.
        warnings: Vec<String>,
    },
    /// The server could not be reached, or something is in the way for a moment: the revision stays pending, and is
    /// to be resumed with a short pause.
    Retry {
        /// Why.
        error: Error,
    },
    /// It failed.
    Failed {
        /// Why.
        error: Error,
    },
}

/// Carries out a plan for the pending revision `number`.
pub async fn execute(cx: &Release<'_>, history: &mut History, number: u32, plan: &Plan) -> Outcome {
    let (known, ready, warnings) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    let mut run = Run { cx, history, number, plan, known, ready, warnings };
    let result = run.all().await;
    run.outcome(result)
}

/// Goes on with the hooks before the changes, when the action parked in one of them: what it plans to change is not
/// looked at for that. None when they are done.
pub async fn resume_hooks(
    cx: &Release<'_>,
    history: &mut History,
    number: u32,
    manifest: &Manifest,
) -> Option<Outcome> {
    let facts = history.find(number)?.facts.clone()?;
    if let Some(parked) = still_running(cx, &facts).await {
        return Some(parked);
    }
    let (before, _) = facts.action.events();
    if facts.applied || !facts.has_begun(before) {
        return None;
    }
    let steps = hook_steps(&manifest.hooks, cx.policy, before);
    let plan = Plan { action: facts.action, steps, changes: facts.changes, ..Plan::default() };
    let (known, ready, warnings) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    let mut run = Run { cx, history, number, plan: &plan, known, ready, warnings };
    match run.hooks(before).await {
        Ok(progress) => progress.parked(),
        Err(error) => Some(run.outcome(Err(error))),
    }
}

/// Goes on with a parked action: looks at the objects once, but for those in `ready`, then runs the post hooks when
/// all are ready.
pub async fn resume_wait(
    cx: &Release<'_>,
    history: &mut History,
    number: u32,
    plan: &Plan,
    ready: BTreeSet<ObjectRef>,
) -> Outcome {
    let mut run = Run { cx, history, number, plan, known: BTreeMap::new(), ready, warnings: Vec::new() };
    let result = run.finish().await;
    run.outcome(result)
}

/// One go at a plan.
struct Run<'a, 'b> {
    cx: &'a Release<'b>,
    history: &'a mut History,
    number: u32,
    plan: &'a Plan,
    /// Objects as the answers to their applies, or the plan's reads, show them.
    known: BTreeMap<ObjectRef, LiveObject>,
    /// Objects that were ready, and did not change since.
    ready: BTreeSet<ObjectRef>,
    warnings: Vec<String>,
}

impl Run<'_, '_> {
    fn facts(&self) -> Facts {
        self.history.find(self.number).and_then(|r| r.facts.clone()).unwrap_or_default()
    }

    async fn all(&mut self) -> Result<Outcome, Error> {
        if !self.facts().applied
            && let Some(parked) = self.change().await?
        {
            return Ok(parked);
        }
        self.finish().await
    }

    /// Makes the steps up to the wait, or up to a hook that runs.
    async fn change(&mut self) -> Result<Option<Outcome>, Error> {
        let plan = self.plan;
        let (before, _) = plan.action.events();
        let mut hooks_ran = false;
        for step in &plan.steps {
            match step {
                Step::Namespace(name) => create_namespace(self.cx, name).await?,
                Step::Crds(crds) => {
                    if let Some(parked) = self.define(crds).await? {
                        return Ok(Some(parked));
                    }
                }
                Step::Hook(event, _) if *event == before && !hooks_ran => {
                    hooks_ran = true;
                    if let Some(parked) = self.hooks(before).await?.parked() {
                        return Ok(Some(parked));
                    }
                }
                Step::Hook(..) | Step::Wait => {}
                Step::Apply { objects, .. } => {
                    let parked = self.apply_rank(objects).await?;
                    Failpoint::RankApplied.reach();
                    if parked.is_some() {
                        return Ok(parked);
                    }
                }
                Step::Prune(leftovers) => drop(super::prune::prune(self.cx, leftovers).await?),
            }
        }
        Ok(None)
    }

    /// The wait and what comes after it.
    async fn finish(&mut self) -> Result<Outcome, Error> {
        let (_, after) = self.plan.action.events();
        // What a hook after the wait does to the objects is no reason to wait again.
        if self.plan.steps.contains(&Step::Wait) && !self.facts().has_begun(after) {
            let now = Timestamp::now();
            let is_over = self.facts().deadline.is_some_and(|deadline| now >= deadline);
            let (verdict, ready) = wait::check(self.cx, self.plan, &self.known, &self.ready, is_over).await?;
            match verdict {
                Verdict::Ready => {}
                Verdict::Failed(objects) => return Err(self.not_ready(&objects, false).await),
                Verdict::Waiting(waiting) => {
                    let deadline = self.park().await?;
                    if now >= deadline {
                        return Err(self.not_ready(&waiting, true).await);
                    }
                    let warnings = std::mem::take(&mut self.warnings);
                    return Ok(Outcome::Parked { waiting, deadline, ready, warnings });
                }
            }
        }
        if let Some(parked) = self.hooks(after).await?.parked() {
            return Ok(parked);
        }
        let warnings = std::mem::take(&mut self.warnings);
        Ok(Outcome::Done { changes: self.facts().changes, warnings })
    }

    async fn not_ready(&self, objects: &[(ObjectRef, String)], timed_out: bool) -> Error {
        let inquiry = Inquiry::new(self.cx, self.history, self.number);
        wait::failure(&inquiry, self.cx, self.plan, objects, timed_out).await
    }

    /// Records, once, that everything is applied, and until when the wait goes on. Most waits are over soon, and the
    /// record is written then anyway: only a longer one is recorded. Whoever resumes an action that is not recorded as
    /// applied applies what is not as it should be, which is nothing.
    async fn park(&mut self) -> Result<Timestamp, Error> {
        let facts = self.facts();
        let unwritten = self.history.find(self.number).is_some_and(|r| r.is_unwritten);
        if let Some(deadline) = facts.deadline {
            if facts.applied && !unwritten {
                return Ok(deadline);
            }
            let begun = facts.started_at.unwrap_or_default();
            if Timestamp::now().duration_since(begun) < RECORDED_AFTER {
                self.history.presume_applied(self.number);
                return Ok(deadline);
            }
        }
        let deadline = after(self.cx.policy.timeout);
        let note = |facts: &mut Facts| {
            facts.applied = true;
            facts.deadline = Some(deadline);
        };
        self.history.note(self.cx, self.number, &note).await?;
        Ok(deadline)
    }

    async fn hooks(&mut self, event: HookEvent) -> Result<Progress, Error> {
        let hooks: Vec<&Hook> = self
            .plan
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Hook(at, hook) if *at == event => Some(hook),
                _ => None,
            })
            .collect();
        if hooks.is_empty() {
            return Ok(Progress::Done);
        }
        super::hook::run_event(self.cx, self.history, self.number, event, &hooks).await
    }

    /// Applies the objects of one rank at the same time. Parks when one has to go before it can be made anew, or when a
    /// definition is not served yet: further ranks may need it.
    async fn apply_rank(&mut self, objects: &[Planned]) -> Result<Option<Outcome>, Error> {
        let fresh = self.plan.read_at.is_some_and(|at| at.elapsed() < FRESH);
        let (cx, action) = (self.cx, self.plan.action);
        for planned in objects.iter().filter(|p| !p.is_write()) {
            if let Some(live) = &planned.live {
                self.known.insert(planned.object.clone(), live.clone());
            }
        }
        let due: Vec<&Planned> = objects.iter().filter(|p| p.is_write()).collect();
        let writes = due.iter().map(|planned| apply(cx, action, planned, fresh)).collect();
        let written = bounded_until_refused(writes).await?;
        let mut waiting = Vec::new();
        for (planned, written) in due.into_iter().zip(written) {
            match written {
                Written::Applied(applied) => {
                    self.warnings.extend(applied.warnings.iter().map(|w| format!("{}: {w}", planned.object)));
                    cx.objects.prove(&planned.object, &applied.object, &planned.content);
                    self.known.insert(planned.object.clone(), LiveObject::new(applied.object));
                }
                Written::Leaving(text) => waiting.push((planned.object.clone(), text)),
            }
        }
        let definitions = objects.iter().filter(|p| p.object.kind == "CustomResourceDefinition");
        let definitions: Vec<&Planned> = definitions.collect();
        waiting.extend(self.unestablished(&definitions)?);
        self.served(&definitions, waiting).await
    }

    /// Applies the definitions of `crds/`: they have no owner and are never deleted.
    async fn define(&mut self, crds: &[Planned]) -> Result<Option<Outcome>, Error> {
        for planned in crds {
            let live = planned.live.clone();
            let live = if planned.is_write() { self.apply_definition(planned).await? } else { live };
            self.known.extend(live.map(|live| (planned.object.clone(), live)));
        }
        let crds: Vec<&Planned> = crds.iter().collect();
        let waiting = self.unestablished(&crds)?;
        self.served(&crds, waiting).await
    }

    async fn apply_definition(&self, planned: &Planned) -> Result<Option<LiveObject>, Error> {
        let options = ApplyOptions { force: planned.live.is_some(), dry_run: false };
        let (kind, object) = (&planned.kind, &planned.object);
        let manager = self.cx.field_manager;
        match self.cx.tenant.apply(kind, object, &planned.content, manager, options).await {
            Ok(applied) => Ok(Some(LiveObject::new(applied.object))),
            // Somebody else created it meanwhile, which is as good.
            Err(error) if error.class == Class::FieldConflict && planned.live.is_none() => {
                read(self.cx, kind, object).await
            }
            Err(error) => Err(Error::from_template(error, &planned.source)),
        }
    }

    /// The definitions that are not served yet, as they were seen last.
    fn unestablished(&self, crds: &[&Planned]) -> Result<Vec<(ObjectRef, String)>, Error> {
        let mut waiting = Vec::new();
        for planned in crds {
            let Some(live) = self.known.get(&planned.object) else { continue };
            match readiness(live.value(), false) {
                Readiness::Current => {}
                Readiness::InProgress(text) => waiting.push((planned.object.clone(), text)),
                Readiness::Failed(text) => return Err(not_established(planned, &text)),
            }
        }
        Ok(waiting)
    }

    /// Parks when something is waited for; else looks again at what the server serves, when definitions changed that.
    async fn served(
        &mut self,
        definitions: &[&Planned],
        waiting: Vec<(ObjectRef, String)>,
    ) -> Result<Option<Outcome>, Error> {
        if !waiting.is_empty() {
            return self.park_midway(waiting).map(Some);
        }
        if definitions.is_empty() {
            return Ok(None);
        }
        let served = self.cx.discovery.served().await?;
        let is_new = definitions.iter().any(|p| p.is_write() || !defines_known(&p.content, &served));
        if is_new {
            self.cx.discovery.refresh(Duration::ZERO).await?;
        }
        Ok(None)
    }

    /// Parks before everything is applied: the plan is made again when an object that is waited for changed.
    fn park_midway(&self, waiting: Vec<(ObjectRef, String)>) -> Result<Outcome, Error> {
        let timeout = self.cx.policy.timeout;
        let deadline = self.facts().over_at(timeout).unwrap_or_else(|| after(timeout));
        if Timestamp::now() < deadline {
            return Ok(Outcome::Parked { waiting, deadline, ready: BTreeSet::new(), warnings: Vec::new() });
        }
        let rows: Vec<String> = waiting.iter().map(|(object, text)| format!("{object}: {text}")).collect();
        let message = format!("not done after {} s: {}", timeout.as_secs(), rows.join("; "));
        let mut error = Error::new(Reason::WaitTimeout, Retry::Soon, message);
        error.object = waiting.first().map(|(object, _)| Box::new(object.clone()));
        Err(error)
    }

    /// Whether an unknown kind is one that the release itself brings: a definition that somebody removed is put back.
    fn is_kind_coming(&self, error: &Error) -> bool {
        error.reason == Reason::KindNotFound && self.plan.defines_kinds()
    }

    /// Turns a result into an outcome: a passing fault keeps the revision pending until its time is over.
    fn outcome(&mut self, result: Result<Outcome, Error>) -> Outcome {
        match result {
            // A hook that runs parks without knowing what was applied before it.
            Ok(Outcome::Parked { waiting, deadline, ready, mut warnings }) => {
                warnings.append(&mut self.warnings);
                Outcome::Parked { waiting, deadline, ready, warnings }
            }
            Ok(outcome) => outcome,
            Err(error) if error.transient || self.is_kind_coming(&error) => {
                let over_at = self.facts().over_at(self.cx.policy.timeout);
                if over_at.is_some_and(|deadline| Timestamp::now() >= deadline) {
                    Outcome::Failed { error: named(error, self.plan) }
                } else {
                    Outcome::Retry { error }
                }
            }
            Err(error) => Outcome::Failed { error },
        }
    }
}

/// A passing fault that did not pass is the action's failure.
fn named(mut error: Error, plan: &Plan) -> Error {
    if error.reason == Reason::ProgressingWithRetry {
        error.reason = plan.action.failed();
    }
    error
}

fn not_established(planned: &Planned, text: &str) -> Error {
    let message = format!("{} ({}) is not served: {text}", planned.object, planned.source);
    Error::new(Reason::WaitTimeout, Retry::OnChange, message).about(&planned.object)
}

/// Whether all that a definition serves is known to be served.
fn defines_known(crd: &Value, served: &Served) -> bool {
    let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let versions = crd.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
    versions.filter(|version| version["served"] == true).all(|version| {
        let version = version["name"].as_str().unwrap_or_default();
        served.api_versions.contains(&format!(
            "{}/{version}/{}",
            text("/spec/group"),
            text("/spec/names/kind")
        ))
    })
}

/// Creates the target namespace when it is missing; an existing one is left as it is.
async fn create_namespace(cx: &Release<'_>, name: &str) -> Result<(), Error> {
    let kind = Kind::core("Namespace", "namespaces", false);
    let object = ObjectRef {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
    };
    if read(cx, &kind, &object).await?.is_some() {
        return Ok(());
    }
    // Helm: the label is all that it gives a namespace that it creates.
    let content = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"name": name}},
    });
    let options = ApplyOptions { force: false, dry_run: false };
    match cx.tenant.apply(&kind, &object, &content, cx.field_manager, options).await {
        Ok(_) => Ok(()),
        Err(error) if error.class == Class::FieldConflict => Ok(()),
        Err(error) => Err(error.into()),
    }
}
