//! The plan: every step of an action, in order, before the first of them is made.
//!
//! [`plan`] is pure; [`prepare`] reads what it needs: the kinds that are served, the earlier manifests, the live
//! objects. Steps have stable ids and print as a user would list them.

mod object;
mod summary;

use std::time::Instant;

use serde_json::Value;

use pintle_helm::manifest::{Hook, HookEvent, Manifest, Order, sort_for_execution};

use self::object::{Planner, plan_crds, plan_leftover};
pub(super) use self::object::{marked, place, unserved};
use super::contest::{Contest, contests};
use super::diff::PathChange;
use super::ownership;
use super::targets::{Earlier, Targets};
use super::{Action, Error, Facts, History, Live, LiveObject, Policy, Release, ReleaseKey};
use crate::api::{Changes, CrdPolicy};
use crate::cluster::{Kind, ObjectRef};

/// What happens to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It does not exist.
    Create,
    /// It differs; the paths are those that the manifests differ in, none when only the live object does.
    Update {
        /// The fields.
        paths: Vec<PathChange>,
    },
    /// A field of it cannot be changed: it is deleted, and made anew.
    Recreate {
        /// The fields that differ.
        paths: Vec<PathChange>,
        /// Which of them cannot be changed.
        why: String,
    },
    /// It left the manifest.
    Delete,
    /// It left the manifest and stays; the text says why.
    Keep {
        /// Why.
        why: String,
    },
    /// It is as it should be.
    Unchanged,
}

/// An object and what happens to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its identity.
    pub object: ObjectRef,
    /// Where it is served.
    pub kind: Kind,
    /// The template that it comes from.
    pub source: String,
    /// What is applied: the rendered object with its namespace and Helm's marks.
    pub content: Value,
    /// What happens to it.
    pub change: Change,
    /// The object as it was when the plan was made.
    pub live: Option<LiveObject>,
    /// The object as the last recorded manifest has it, with the release's marks.
    pub earlier: Option<Value>,
    /// Fields of other managers that applying it changes.
    pub contests: Vec<Contest>,
    /// Whether a revision that was deployed lists it: then marks of ownership that it lost are put back.
    pub recorded: bool,
}

impl Planned {
    /// Whether applying it writes anything.
    pub fn is_write(&self) -> bool {
        matches!(self.change, Change::Create | Change::Update { .. } | Change::Recreate { .. })
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The target namespace is created when it is missing.
    Namespace(String),
    /// The definitions of `crds/`, waited for until they are served.
    Crds(Vec<Planned>),
    /// A hook.
    Hook(HookEvent, Hook),
    /// Objects of one rank of Helm's install order, applied at the same time.
    Apply {
        /// The place in the order.
        rank: usize,
        /// The objects.
        objects: Vec<Planned>,
    },
    /// What left the manifest is deleted.
    Prune(Vec<Planned>),
    /// The objects become ready.
    Wait,
}

impl Step {
    /// What the step is, the same each time that the plan is made.
    pub fn id(&self) -> String {
        match self {
            Self::Namespace(name) => format!("namespace/{name}"),
            Self::Crds(_) => "crds".to_owned(),
            Self::Hook(event, hook) => format!("hook/{event}/{}/{}", hook.kind, hook.name),
            Self::Apply { rank, .. } => format!("apply/{rank}"),
            Self::Prune(_) => "prune".to_owned(),
            Self::Wait => "wait".to_owned(),
        }
    }
}

/// What an action does, step by step.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What is done.
    pub action: Action,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Numbers of objects, without hooks and the definitions of `crds/`.
    pub changes: Changes,
    /// Whether the chart has definitions in `crds/` that are not skipped.
    pub brings_definitions: bool,
    /// When the live objects were read.
    pub read_at: Option<Instant>,
}

impl Plan {
    /// The objects of the manifest.
    pub fn objects(&self) -> impl Iterator<Item = &Planned> {
        self.steps.iter().flat_map(|step| match step {
            Step::Apply { objects, .. } => objects.as_slice(),
            _ => &[],
        })
    }

    /// The definitions of `crds/` that are made, replaced or waited for.
    fn definitions(&self) -> impl Iterator<Item = &Planned> {
        self.steps.iter().flat_map(|step| match step {
            Step::Crds(objects) => objects.as_slice(),
            _ => &[],
        })
    }

    /// The kinds of the objects that are applied, definitions included: what is to be watched.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        let applied = self.steps.iter().flat_map(|step| match step {
            Step::Apply { objects, .. } | Step::Crds(objects) => objects.as_slice(),
            _ => &[],
        });
        applied.map(|planned| &planned.kind)
    }

    /// The objects of the manifest, to be changed; [`count`](Self::count) afterwards.
    pub(super) fn objects_mut(&mut self) -> impl Iterator<Item = &mut Planned> {
        self.steps.iter_mut().flat_map(|step| match step {
            Step::Apply { objects, .. } => objects.as_mut_slice(),
            _ => &mut [],
        })
    }

    /// The objects that left the manifest.
    pub fn leftovers(&self) -> impl Iterator<Item = &Planned> {
        self.steps.iter().flat_map(|step| match step {
            Step::Prune(objects) => objects.as_slice(),
            _ => &[],
        })
    }

    /// Whether the chart makes kinds known to the server: objects of them may be refused until that is done.
    pub fn defines_kinds(&self) -> bool {
        self.brings_definitions || self.objects().any(|p| p.object.kind == "CustomResourceDefinition")
    }

    /// The identities and kinds that the release owns once the plan is carried out.
    pub fn inventory(&self) -> Vec<(Kind, ObjectRef)> {
        self.objects().map(|p| (p.kind.clone(), p.object.clone())).collect()
    }

    /// Finds the fields of other managers that the plan changes.
    fn find_contests(&mut self, manager: &str) {
        for planned in self.objects_mut() {
            if let (Change::Update { .. }, Some(live)) = (&planned.change, &planned.live) {
                let earlier = planned.earlier.as_ref();
                planned.contests = contests(live.value(), &planned.content, earlier, manager);
            }
        }
    }

    /// Counts what happens to the objects.
    pub(super) fn count(&mut self) {
        let mut changes = Changes::default();
        for planned in self.objects().chain(self.leftovers()) {
            match planned.change {
                Change::Create => changes.created += 1,
                Change::Update { .. } => changes.updated += 1,
                Change::Recreate { .. } => changes.recreated += 1,
                Change::Delete => changes.deleted += 1,
                Change::Unchanged => changes.unchanged += 1,
                Change::Keep { .. } => {}
            }
        }
        self.changes = changes;
    }

    /// Takes into account what is recorded of an action that is resumed: its numbers, and that nothing is applied any
    /// more once all of it was.
    fn resume(&mut self, facts: &Facts) {
        self.changes = facts.changes;
        if !facts.applied {
            return;
        }
        for step in &mut self.steps {
            if let Step::Apply { objects, .. } = step {
                objects.iter_mut().for_each(|planned| planned.change = Change::Unchanged);
            }
        }
    }
}

/// Reads what a plan needs, and plans: the only way to a plan outside of tests.
///
/// `number` is the revision that the plan is for; `manifest` is its manifest, rendered or recorded.
///
/// # Errors
/// Everything that can be known before the first change; nothing has been changed.
pub async fn prepare(
    cx: &Release<'_>,
    history: &History,
    number: u32,
    action: Action,
    manifest: &Manifest,
) -> Result<Plan, Error> {
    // A record that cannot be read must not block the way out of that state; what it lists stays in place.
    let base = history.base_of(number);
    let numbers: Vec<u32> = base.iter().map(|r| r.number).collect();
    history.complete(cx.tenant, cx.key, &numbers).await?;
    let base: Vec<Earlier> = base.into_iter().filter_map(|r| Earlier::of(r).ok()).collect();
    // Definitions that are not made serve no kind.
    let without;
    let manifest = match cx.policy.crds {
        CrdPolicy::Skip if !manifest.crds.is_empty() => {
            without = Manifest { crds: Vec::new(), ..manifest.clone() };
            &without
        }
        _ => manifest,
    };
    let facts = history.find(number).and_then(|r| r.facts.as_ref());
    // Once all is applied nothing is compared any more: what the wait needs to know, it reads itself.
    let (targets, live) = if facts.is_some_and(|f| f.applied) {
        (Targets::known(cx, manifest, &base).await?, super::live(cx, Vec::new()).await?)
    } else {
        Targets::looked_at(cx, manifest, &base).await?
    };
    let mut plan = plan(action, cx.key, cx.policy, targets, &live)?;
    if let Some(facts) = facts {
        plan.resume(facts);
    }
    plan.find_contests(cx.field_manager);
    Ok(plan)
}

/// Plans an action: pure.
///
/// # Errors
/// [`OwnershipConflict`](crate::api::Reason::OwnershipConflict), one line for each object.
pub fn plan(
    action: Action,
    key: &ReleaseKey,
    policy: &Policy,
    targets: Targets,
    live: &Live,
) -> Result<Plan, Error> {
    let mut steps = Vec::new();
    if policy.create_namespace && action == Action::Install {
        steps.push(Step::Namespace(key.namespace.clone()));
    }
    let crds = plan_crds(policy.crds, &targets, live);
    let brings_definitions = policy.crds != CrdPolicy::Skip && !targets.crds.is_empty();
    if !crds.is_empty() {
        steps.push(Step::Crds(crds));
    }
    let leftovers = targets.leftovers().into_iter().filter_map(|t| plan_leftover(key, t, live));
    let prune: Vec<Planned> = leftovers.chain(unserved(&targets)).collect();
    let (before, after) = action.events();
    steps.extend(hook_steps(&targets.hooks, policy, before));

    let mut conflicts: Vec<Error> = Vec::new();
    let planner = Planner::new(key, &targets, live);
    let mut last: Option<(Option<usize>, String)> = None;
    for target in &targets.objects {
        let planned = planner.plan(target);
        if let Some(live) = &planned.live
            && let Err(error) = ownership::check(live, &planned.object, key, action, planned.recorded)
        {
            conflicts.push(error);
            continue;
        }
        // Kinds that Helm does not know come last, each kind a rank of its own.
        let place = (Order::Install.rank(&target.object.kind), target.object.kind.clone());
        match steps.last_mut() {
            Some(Step::Apply { objects, .. }) if last.as_ref() == Some(&place) => objects.push(planned),
            _ => {
                let rank = last.as_ref().map_or(0, |_| rank_of(&steps) + 1);
                steps.push(Step::Apply { rank, objects: vec![planned] });
            }
        }
        last = Some(place);
    }
    if let Some(error) = merge_conflicts(conflicts) {
        return Err(error);
    }
    if !prune.is_empty() {
        steps.push(Step::Prune(prune));
    }
    if !policy.disable_wait {
        steps.push(Step::Wait);
    }
    steps.extend(hook_steps(&targets.hooks, policy, after));
    let changes = Changes::default();
    let mut plan = Plan { action, steps, changes, brings_definitions, read_at: live.read_at };
    plan.count();
    Ok(plan)
}

/// The hooks of an event, in the order in which they run.
pub(super) fn hook_steps(hooks: &[Hook], policy: &Policy, event: HookEvent) -> Vec<Step> {
    let due = |hook: &&Hook| !policy.disable_hooks && hook.runs_at(event);
    let mut due: Vec<Hook> = hooks.iter().filter(due).cloned().collect();
    sort_for_execution(&mut due);
    due.into_iter().map(|hook| Step::Hook(event, hook)).collect()
}

/// The rank of the last step that applies.
fn rank_of(steps: &[Step]) -> usize {
    let ranks = steps.iter().rev().filter_map(|step| match step {
        Step::Apply { rank, .. } => Some(*rank),
        _ => None,
    });
    ranks.max().unwrap_or(0)
}

/// One error for all conflicts.
fn merge_conflicts(conflicts: Vec<Error>) -> Option<Error> {
    let rest = conflicts.len().saturating_sub(3);
    let mut conflicts = conflicts.into_iter();
    let mut first = conflicts.next()?;
    for other in conflicts.take(2) {
        first.message.push('\n');
        first.message.push_str(&other.message);
    }
    if rest > 0 {
        first.message.push_str(&format!("\nand {rest} objects more"));
    }
    Some(first)
}
