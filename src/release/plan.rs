//! The plan: every step of an action, in order, before the first of them is made.
//!
//! [`plan`] is pure; [`prepare`] reads what it needs: the kinds that are served, the earlier manifests, the live
//! objects. Steps have stable ids and print as a user would list them.

use std::fmt;
use std::time::Instant;

use serde_json::{Value, json};

use pintle_helm::manifest::{Hook, HookEvent, Manifest, Order, sort_for_execution};

use super::diff::{PathChange, covers, diff_objects};
use super::ownership;
use super::targets::{Earlier, TargetObject, Targets};
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
    /// Whether a revision that was deployed lists it: then marks of ownership that it lost are put back.
    pub recorded: bool,
}

impl Planned {
    /// Whether applying it writes anything.
    pub fn is_write(&self) -> bool {
        matches!(self.change, Change::Create | Change::Update { .. })
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

    /// The objects that left the manifest.
    pub fn leftovers(&self) -> impl Iterator<Item = &Planned> {
        self.steps.iter().flat_map(|step| match step {
            Step::Prune(objects) => objects.as_slice(),
            _ => &[],
        })
    }

    /// Whether the plan makes kinds known to the server: objects of them may be refused until that is done.
    pub fn defines_kinds(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Crds(_)))
            || self.objects().any(|p| p.object.kind == "CustomResourceDefinition")
    }

    /// The identities and kinds that the release owns once the plan is carried out: what is to be watched.
    pub fn inventory(&self) -> Vec<(Kind, ObjectRef)> {
        self.objects().map(|p| (p.kind.clone(), p.object.clone())).collect()
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

    /// The numbers in one line, and the first objects that change: for an event or a condition.
    pub fn summary(&self) -> String {
        self.describe(ToString::to_string)
    }

    /// The same without a value: objects and paths only.
    pub fn outline(&self) -> String {
        self.describe(|planned| match &planned.change {
            Change::Update { paths } if !paths.is_empty() => {
                let paths: Vec<&str> = paths.iter().take(5).map(|p| p.path.as_str()).collect();
                format!("{}: {}", planned.object, paths.join(", "))
            }
            _ => planned.to_string(),
        })
    }

    fn describe(&self, one: impl Fn(&Planned) -> String) -> String {
        let Changes { created, updated, deleted, unchanged } = self.changes;
        let mut text =
            format!("{created} created, {updated} updated, {deleted} deleted, {unchanged} unchanged");
        let changed: Vec<&Planned> =
            self.objects().chain(self.leftovers()).filter(|p| p.change != Change::Unchanged).collect();
        for planned in changed.iter().take(5) {
            text.push_str("; ");
            text.push_str(&one(planned));
        }
        if changed.len() > 5 {
            text.push_str(&format!("; and {} more", changed.len() - 5));
        }
        text
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.change {
            Change::Create => write!(f, "create {}", self.object),
            Change::Update { paths } if paths.is_empty() => {
                write!(f, "update {}: the live object differs", self.object)
            }
            Change::Update { paths } => {
                let shown: Vec<String> = paths.iter().take(5).map(ToString::to_string).collect();
                write!(f, "{}: {}", self.object, shown.join(", "))?;
                if paths.len() > 5 {
                    write!(f, " and {} fields more", paths.len() - 5)?;
                }
                Ok(())
            }
            Change::Delete => write!(f, "delete {}", self.object),
            Change::Keep { why } => write!(f, "keep {}: {why}", self.object),
            Change::Unchanged => write!(f, "unchanged {}", self.object),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            match step {
                Step::Namespace(name) => writeln!(f, "create Namespace {name} if it is missing")?,
                Step::Hook(event, hook) => writeln!(f, "run {event} hook {} {}", hook.kind, hook.name)?,
                Step::Wait => writeln!(f, "wait until the objects are ready")?,
                Step::Crds(objects) | Step::Apply { objects, .. } | Step::Prune(objects) => {
                    for planned in objects.iter().filter(|p| p.change != Change::Unchanged) {
                        writeln!(f, "{planned}")?;
                    }
                }
            }
        }
        let Changes { created, updated, deleted, unchanged } = self.changes;
        write!(f, "{created} created, {updated} updated, {deleted} deleted, {unchanged} unchanged")
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
    if !crds.is_empty() {
        steps.push(Step::Crds(crds));
    }
    let leftovers = targets.leftovers().into_iter().filter_map(|t| plan_leftover(key, t, live));
    let prune: Vec<Planned> = leftovers.chain(unserved(&targets)).collect();
    let (before, after) = action.events();
    steps.extend(hook_steps(&targets.hooks, policy, before));

    let mut conflicts: Vec<Error> = Vec::new();
    let mut changes = Changes::default();
    let mut last: Option<(Option<usize>, String)> = None;
    for target in &targets.objects {
        let planned = plan_object(key, target, &targets, live);
        if let Some(live) = &planned.live
            && let Err(error) = ownership::check(live, &planned.object, key, action, planned.recorded)
        {
            conflicts.push(error);
            continue;
        }
        match &planned.change {
            Change::Create => changes.created += 1,
            Change::Update { .. } => changes.updated += 1,
            _ => changes.unchanged += 1,
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
    let deleted = prune.iter().filter(|p| p.change == Change::Delete).count();
    changes.deleted = i64::try_from(deleted).unwrap_or(i64::MAX);
    if !prune.is_empty() {
        steps.push(Step::Prune(prune));
    }
    if !policy.disable_wait {
        steps.push(Step::Wait);
    }
    steps.extend(hook_steps(&targets.hooks, policy, after));
    Ok(Plan { action, steps, changes, read_at: live.read_at })
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

/// What happens to an object of the manifest.
fn plan_object(key: &ReleaseKey, target: &TargetObject, targets: &Targets, live: &Live) -> Planned {
    let content = target.marked(key);
    let found = live.find(&target.object).cloned();
    let earlier = targets.previous.get(&target.object).map(Vec::as_slice).unwrap_or_default();
    let change = match &found {
        None if live.proven.contains(&target.object) => Change::Unchanged,
        None => Change::Create,
        Some(live) => {
            if targets.is_unchanged(target) && !live.is_terminating() && covers(live.value(), &content) {
                Change::Unchanged
            } else {
                let old = earlier.last().map_or_else(|| live.value(), |e| &e.content);
                let paths = if earlier.is_empty() { Vec::new() } else { diff_objects(old, &target.content) };
                Change::Update { paths }
            }
        }
    };
    Planned {
        object: target.object.clone(),
        kind: target.kind.clone(),
        source: target.source.clone(),
        content,
        change,
        live: found,
        earlier: earlier.last().map(|e| e.marked(key)),
        recorded: targets.deployed.contains(&target.object),
    }
}

/// An object with its namespace and the release's marks.
pub(super) fn marked(content: &Value, object: &ObjectRef, kind: &Kind, key: &ReleaseKey) -> Value {
    let mut content = content.clone();
    place(&mut content, object, kind);
    ownership::mark(&mut content, key);
    content
}

/// Gives the body of an object its namespace.
pub(super) fn place(content: &mut Value, object: &ObjectRef, kind: &Kind) {
    let Some(metadata) = content.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if kind.namespaced {
        metadata.insert("namespace".to_owned(), json!(object.namespace));
    } else {
        metadata.remove("namespace");
    }
}

/// What happens to an object that left the manifest; nothing when it is gone already.
fn plan_leftover(key: &ReleaseKey, target: &TargetObject, live: &Live) -> Option<Planned> {
    let found = live.find(&target.object)?.clone();
    let change = super::prune::removal(key, &found);
    Some(Planned {
        object: target.object.clone(),
        kind: target.kind.clone(),
        source: target.source.clone(),
        content: Value::Null,
        change,
        live: Some(found),
        earlier: None,
        recorded: true,
    })
}

/// Objects that left the manifest together with their kind: they are named, and nothing is done to them. When the kind
/// comes back, so do they, and nobody owns them.
pub(super) fn unserved(targets: &Targets) -> impl Iterator<Item = Planned> {
    targets.unserved.iter().map(|object| Planned {
        object: object.clone(),
        // It has no path: nothing asks for it.
        kind: Kind {
            group: object.group.clone(),
            version: object.version.clone(),
            kind: object.kind.clone(),
            plural: String::new(),
            namespaced: !object.namespace.is_empty(),
        },
        source: String::new(),
        content: Value::Null,
        change: Change::Keep {
            why: format!("{} is not served any more in any version", object.api_version()),
        },
        live: None,
        earlier: None,
        recorded: true,
    })
}

/// What happens to the definitions of `crds/`: they have no owner, and existing ones are replaced only on request.
fn plan_crds(policy: CrdPolicy, targets: &Targets, live: &Live) -> Vec<Planned> {
    let planned = targets.crds.iter().filter_map(|target| {
        let found = live.find(&target.object).cloned();
        let change = match (policy, &found) {
            (CrdPolicy::Skip, _) | (CrdPolicy::Create, Some(_)) => return None,
            (_, None) => Change::Create,
            (CrdPolicy::CreateReplace, Some(live)) if covers(live.value(), &target.content) => return None,
            (CrdPolicy::CreateReplace, Some(_)) => Change::Update { paths: Vec::new() },
        };
        Some(Planned {
            object: target.object.clone(),
            kind: target.kind.clone(),
            source: target.source.clone(),
            content: target.content.clone(),
            change,
            live: found,
            earlier: None,
            recorded: true,
        })
    });
    planned.collect()
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
