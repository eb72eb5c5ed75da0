//! What happens to one object.

use serde_json::{Value, json};

use super::{Change, Planned};
use crate::api::CrdPolicy;
use crate::cluster::masking::Redactions;
use crate::cluster::{Kind, ObjectRef, Readiness, readiness};
use crate::release::diff::{covers, diff_live, diff_objects};
use crate::release::targets::{TargetObject, Targets};
use crate::release::{Live, LiveObject, ReleaseKey, ownership, prune};

/// Plans the objects of a manifest.
pub(super) struct Planner<'a> {
    key: &'a ReleaseKey,
    targets: &'a Targets,
    live: &'a Live,
    /// What the Secrets of the release hold, now and before: a chart may copy it into other objects.
    redactions: Redactions,
}

impl<'a> Planner<'a> {
    pub(super) fn new(key: &'a ReleaseKey, targets: &'a Targets, live: &'a Live) -> Self {
        let mut redactions = Redactions::default();
        let earlier = targets.previous.values().flatten();
        let rendered = targets.objects.iter().chain(earlier).map(|target| &target.content);
        let all = rendered.chain(live.objects.values().map(LiveObject::value));
        all.for_each(|object| redactions.add_object(object));
        Self { key, targets, live, redactions }
    }

    /// What happens to an object of the manifest.
    pub(super) fn plan(&self, target: &TargetObject) -> Planned {
        let content = target.marked(self.key);
        let found = self.live.find(&target.object).cloned();
        let earlier = self.targets.previous.get(&target.object).map(Vec::as_slice).unwrap_or_default();
        let recorded = earlier.last().map(|e| e.marked(self.key));
        let change = match &found {
            None if self.live.proven.contains(&target.object) => Change::Unchanged,
            None => Change::Create,
            Some(live) => {
                let same = self.targets.is_unchanged(target);
                if same && !live.is_terminating() && covers(live.value(), &content) {
                    Change::Unchanged
                } else {
                    let mut paths = earlier
                        .last()
                        .map(|e| diff_objects(&e.content, &target.content, &self.redactions))
                        .unwrap_or_default();
                    if paths.is_empty() {
                        paths = diff_live(live.value(), &content, &self.redactions);
                    }
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
            earlier: recorded,
            contests: Vec::new(),
            recorded: self.targets.deployed.contains(&target.object),
        }
    }
}

/// An object with its namespace and the release's marks.
pub(in crate::release) fn marked(
    content: &Value,
    object: &ObjectRef,
    kind: &Kind,
    key: &ReleaseKey,
) -> Value {
    let mut content = content.clone();
    place(&mut content, object, kind);
    ownership::mark(&mut content, key);
    content
}

/// Gives the body of an object its namespace.
pub(in crate::release) fn place(content: &mut Value, object: &ObjectRef, kind: &Kind) {
    let Some(metadata) = content.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if kind.namespaced {
        metadata.insert("namespace".to_owned(), json!(object.namespace));
    } else {
        metadata.remove("namespace");
    }
}

/// What happens to an object that left the manifest; nothing when it is gone already.
pub(super) fn plan_leftover(key: &ReleaseKey, target: &TargetObject, live: &Live) -> Option<Planned> {
    let found = live.find(&target.object)?.clone();
    let change = prune::removal(key, &found);
    Some(Planned {
        object: target.object.clone(),
        kind: target.kind.clone(),
        source: target.source.clone(),
        content: Value::Null,
        change,
        live: Some(found),
        earlier: None,
        contests: Vec::new(),
        recorded: true,
    })
}

/// Objects that left the manifest together with their kind: they are named, and nothing is done to them. When the kind
/// comes back, so do they, and nobody owns them.
pub(in crate::release) fn unserved(targets: &Targets) -> impl Iterator<Item = Planned> {
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
        contests: Vec::new(),
        recorded: true,
    })
}

/// What happens to the definitions of `crds/`: they have no owner, and existing ones are replaced only on request. One
/// that is not served yet is waited for, whoever made it: a process that ended before it was may have.
pub(super) fn plan_crds(policy: CrdPolicy, targets: &Targets, live: &Live) -> Vec<Planned> {
    if policy == CrdPolicy::Skip {
        return Vec::new();
    }
    let planned = targets.crds.iter().filter_map(|target| {
        let found = live.find(&target.object).cloned();
        let change = match (policy, &found) {
            (_, None) => Change::Create,
            (CrdPolicy::CreateReplace, Some(live)) if !covers(live.value(), &target.content) => {
                Change::Update { paths: diff_live(live.value(), &target.content, &Redactions::default()) }
            }
            (_, Some(live)) if readiness(live.value(), false) == Readiness::Current => return None,
            (_, Some(_)) => Change::Unchanged,
        };
        Some(Planned {
            object: target.object.clone(),
            kind: target.kind.clone(),
            source: target.source.clone(),
            content: target.content.clone(),
            change,
            live: found,
            earlier: None,
            contests: Vec::new(),
            recorded: true,
        })
    });
    planned.collect()
}
