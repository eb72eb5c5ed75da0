//! The objects of releases, as watches on their metadata tell of them.
//!
//! What is known here spares a read where the answer is known: which of an object's versions was last found to be as a
//! manifest asks, and whose an object is that is to be deleted. A watch may be behind, so whatever is written on the
//! strength of it carries the version that was seen, and the server refuses it when that is not the present one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::core::ObjectMeta;
use serde_json::{Value, json};

use super::LiveObject;
use super::diff::covers;
use super::ownership::{MANAGED_BY, RELEASE_NAME, RELEASE_NAMESPACE, RESOURCE_POLICY};
use crate::cluster::{Kind, ObjectRef, Readiness, is_as_new, readiness};

/// Proofs of a kind that are kept for objects that its watch has not told of yet.
const PENDING: usize = 1000;

/// Group, version and kind: each version is watched by itself, and no list of one is the other's.
type KindKey = (String, String, String);

/// What is known of the objects of all releases.
#[derive(Debug, Default)]
pub struct SeenObjects {
    kinds: Mutex<HashMap<KindKey, OfKind>>,
    hasher: RandomState,
}

/// The objects of a kind, by namespace and name.
#[derive(Debug, Default)]
struct OfKind {
    /// Whether the list is whole.
    is_listed: bool,
    objects: HashMap<(String, String), Sighting>,
    /// What was known before the list that is under way.
    before: HashMap<(String, String), Sighting>,
    /// What was proven of objects that the watch has not told of yet: a proof alone tells nothing, because no event
    /// might ever take it back.
    pending: HashMap<(String, String), Proof>,
    /// The newest version that the watch told of.
    told: String,
    /// The newest version of a proof that was not kept: until the watch has come so far, it does not tell how objects
    /// stand.
    unkept: Option<String>,
}

/// An object.
#[derive(Debug)]
struct Sighting {
    uid: String,
    version: String,
    /// Name and namespace of the release that its marks name.
    release: (Option<String>, Option<String>),
    policy: Option<String>,
    is_terminating: bool,
    proof: Option<Proof>,
    judged: Judged,
}

/// How an object stands, as far as the watch on its kind tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Judged {
    /// Only its metadata are watched.
    #[default]
    Unseen,
    Current,
    /// Anything else; the second one counts where Jobs are waited for.
    Other(Box<(Readiness, Readiness)>),
}

impl Judged {
    fn of(object: &Value) -> Self {
        let (plain, jobs) = (readiness(object, false), readiness(object, true));
        if (&plain, &jobs) == (&Readiness::Current, &Readiness::Current) {
            return Self::Current;
        }
        Self::Other(Box::new((plain, jobs)))
    }

    fn is_under_way(&self) -> bool {
        matches!(self, Self::Other(both) if matches!(**both, (Readiness::InProgress(_), Readiness::InProgress(_))))
    }
}

/// What an object's change means to whoever waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noticed {
    /// Nothing.
    Nothing,
    /// It is still on its way.
    Progress,
    /// It has become ready, or never will, or is another object, or is gone.
    Turn,
}

/// In which version an object was applied or read, and what it was as a manifest asks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Proof {
    uid: String,
    version: String,
    /// None when it was not as it was asked for: a webhook may change what is applied.
    content: Option<u64>,
}

impl SeenObjects {
    /// The objects of a kind are listed anew.
    pub fn list_begins(&self, kind: &Kind) {
        let mut kinds = self.lock();
        let of_kind = kinds.entry(place_of(kind)).or_default();
        of_kind.is_listed = false;
        // A server that was restored from a backup begins with older versions again.
        of_kind.told.clear();
        let objects = std::mem::take(&mut of_kind.objects);
        of_kind.before.extend(objects);
    }

    /// They are all told of.
    pub fn list_ends(&self, kind: &Kind) {
        if let Some(of_kind) = self.lock().get_mut(&place_of(kind)) {
            of_kind.is_listed = true;
            of_kind.before = HashMap::new();
            of_kind.drop_pending();
        }
    }

    /// An object that Helm manages changed, or does not exist, or not as one of Helm's, any more. `object` is the whole
    /// of it, where more than its metadata is watched.
    pub fn see(&self, kind: &Kind, metadata: &ObjectMeta, object: Option<&Value>, gone: bool) -> Noticed {
        let place =
            (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default());
        let judged = object.filter(|_| !gone).map(Judged::of).unwrap_or_default();
        let mut kinds = self.lock();
        let of_kind = kinds.entry(place_of(kind)).or_default();
        of_kind.has_told(metadata.resource_version.as_deref().unwrap_or_default());
        let before = of_kind.objects.remove(&place).or_else(|| of_kind.before.remove(&place));
        if gone {
            of_kind.forget_pending(&place);
            return Noticed::Turn;
        }
        let mut now = Sighting { judged, ..Sighting::of(metadata) };
        let noticed = match &before {
            Some(old) if old.uid == now.uid && old.judged == now.judged => Noticed::Nothing,
            _ if now.judged == Judged::Unseen => Noticed::Nothing,
            _ if now.judged.is_under_way() => Noticed::Progress,
            _ => Noticed::Turn,
        };
        let pending = of_kind.pending.remove(&place);
        now.proof = pending.or_else(|| before.and_then(|before| before.proof));
        of_kind.objects.insert(place, now);
        noticed
    }

    /// Whether the objects of a kind are watched, and the watch does not tell of them now: it is refused, or just beginning.
    pub fn is_blind_to(&self, object: &ObjectRef) -> bool {
        self.lock().get(&kind_of(object)).is_some_and(|of_kind| !of_kind.is_listed)
    }

    /// How the object stands; none when the watch does not tell, or not yet of what was applied last.
    pub(super) fn readiness_of(&self, object: &ObjectRef, jobs: bool) -> Option<Readiness> {
        self.with(object, |seen, of_kind| {
            if of_kind.unkept.is_some() {
                return None;
            }
            if seen.proof.as_ref().is_some_and(|proof| !is_as_new(&seen.version, &proof.version)) {
                return None;
            }
            match &seen.judged {
                Judged::Unseen => None,
                Judged::Current => Some(Readiness::Current),
                Judged::Other(both) => Some(if jobs { both.1.clone() } else { both.0.clone() }),
            }
        })
        .flatten()
    }

    /// Takes down how `live` was when `content` was asked for, and whether it is as that asks. An object that the watch has not told of stays untold: it may be
    /// gone again, and told to be.
    pub(super) fn prove(&self, object: &ObjectRef, live: &Value, content: &Value) {
        let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let (Some(uid), Some(version)) = (text("/metadata/uid"), text("/metadata/resourceVersion")) else {
            return;
        };
        let content = covers(live, content).then(|| self.digest(content));
        let proof = Proof { uid, version, content };
        let mut kinds = self.lock();
        let Some(of_kind) = kinds.get_mut(&kind_of(object)) else { return };
        let place = (object.namespace.clone(), object.name.clone());
        match of_kind.objects.get_mut(&place).or_else(|| of_kind.before.get_mut(&place)) {
            Some(seen) => seen.proof = Some(proof),
            None => of_kind.keep(place, proof),
        }
    }

    /// Whether the object is, as far as the watch tells, still the one that was found to be as `content` asks.
    pub(super) fn is_proven(&self, object: &ObjectRef, content: &Value) -> bool {
        let wanted = self.digest(content);
        self.with(object, |seen, _| {
            let is_same = |proof: &Proof| {
                proof.content == Some(wanted) && proof.uid == seen.uid && proof.version == seen.version
            };
            !seen.is_terminating && seen.proof.as_ref().is_some_and(is_same)
        })
        .unwrap_or(false)
    }

    /// The metadata that tell whose an object is; none when the watch does not tell of it: it may be there all the same.
    pub(super) fn marks_of(&self, object: &ObjectRef) -> Option<LiveObject> {
        let marks = self.with(object, |seen, _| (!seen.is_terminating).then(|| seen.metadata(object)));
        marks.flatten().map(LiveObject::new)
    }

    fn with<T>(&self, object: &ObjectRef, f: impl FnOnce(&Sighting, &OfKind) -> T) -> Option<T> {
        let kinds = self.lock();
        let of_kind = kinds.get(&kind_of(object))?;
        let place = (object.namespace.clone(), object.name.clone());
        of_kind.objects.get(&place).filter(|_| of_kind.is_listed).map(|seen| f(seen, of_kind))
    }

    fn digest(&self, content: &Value) -> u64 {
        self.hasher.hash_one(content.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KindKey, OfKind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfKind {
    /// Keeps a proof until the watch tells of its object; not while nothing is listed, which may be for ever.
    fn keep(&mut self, place: (String, String), proof: Proof) {
        if self.is_listed && self.pending.len() < PENDING {
            self.pending.insert(place, proof);
        } else {
            self.leave(proof);
        }
    }

    /// The watch does not know of this proof: nothing that it tells counts before it has come so far.
    fn leave(&mut self, proof: Proof) {
        let is_told = is_as_new(&self.told, &proof.version);
        let is_known = self.unkept.as_ref().is_some_and(|unkept| is_as_new(unkept, &proof.version));
        if !is_told && !is_known {
            self.unkept = Some(proof.version);
        }
    }

    /// The object is gone, and with it what was proven of it before.
    fn forget_pending(&mut self, place: &(String, String)) {
        let is_told = |proof: &Proof| is_as_new(&self.told, &proof.version);
        if self.pending.get(place).is_some_and(is_told) {
            self.pending.remove(place);
        }
    }

    fn drop_pending(&mut self) {
        std::mem::take(&mut self.pending).into_values().for_each(|proof| self.leave(proof));
    }

    /// The watch has come to this version, unless it is part of a list, in no order.
    fn has_told(&mut self, version: &str) {
        if self.told.is_empty() || is_as_new(version, &self.told) {
            version.clone_into(&mut self.told);
        }
        self.unkept.take_if(|unkept| is_as_new(&self.told, unkept));
    }
}

impl Sighting {
    fn of(metadata: &ObjectMeta) -> Self {
        let annotation = |name: &str| metadata.annotations.as_ref()?.get(name).cloned();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            version: metadata.resource_version.clone().unwrap_or_default(),
            release: (annotation(RELEASE_NAME), annotation(RELEASE_NAMESPACE)),
            policy: annotation(RESOURCE_POLICY),
            is_terminating: metadata.deletion_timestamp.is_some(),
            proof: None,
            judged: Judged::Unseen,
        }
    }

    /// As much of the object as is known. Only what has Helm's label is watched.
    fn metadata(&self, object: &ObjectRef) -> Value {
        let marks = [
            (RELEASE_NAME, &self.release.0),
            (RELEASE_NAMESPACE, &self.release.1),
            (RESOURCE_POLICY, &self.policy),
        ];
        let marks =
            marks.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))));
        let annotations: serde_json::Map<String, Value> = marks.collect();
        json!({
            "apiVersion": object.api_version(),
            "kind": object.kind,
            "metadata": {
                "namespace": object.namespace,
                "name": object.name,
                "uid": self.uid,
                "resourceVersion": self.version,
                "labels": {MANAGED_BY.0: MANAGED_BY.1},
                "annotations": annotations,
            },
        })
    }
}

fn place_of(kind: &Kind) -> KindKey {
    (kind.group.clone(), kind.version.clone(), kind.kind.clone())
}

fn kind_of(object: &ObjectRef) -> KindKey {
    (object.group.clone(), object.version.clone(), object.kind.clone())
}

#[cfg(test)]
mod tests {
    //! Unit: what is known without a read.

    use super::*;
    use crate::release::ReleaseKey;
    use crate::release::ownership::{Ownership, is_kept, ownership};

    fn kind() -> Kind {
        Kind::core("ConfigMap", "configmaps", true)
    }

    fn object(name: &str) -> ObjectRef {
        ObjectRef {
            group: String::new(),
            version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: "ns".into(),
            name: name.into(),
        }
    }

    fn live(name: &str, uid: &str, version: &str) -> Value {
        json!({"data": {"k": "v"}, "metadata": {
            "namespace": "ns", "name": name, "uid": uid, "resourceVersion": version,
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": "ns"},
        }})
    }

    fn see(seen: &SeenObjects, live: &Value, gone: bool) {
        seen.see(&kind(), &serde_json::from_value(live["metadata"].clone()).unwrap(), None, gone);
    }

    fn listed() -> SeenObjects {
        let seen = SeenObjects::default();
        seen.list_begins(&kind());
        seen.list_ends(&kind());
        seen
    }

    #[test]
    fn a_proof_holds_for_one_version_and_one_content() {
        let (a, content) = (object("a"), json!({"data": {"k": "v"}}));
        let seen = listed();
        assert!(!seen.is_proven(&a, &content));
        seen.prove(&a, &live("a", "u", "5"), &content);
        assert!(!seen.is_proven(&a, &content), "the watch has not told of it");
        see(&seen, &live("a", "u", "4"), false);
        assert!(!seen.is_proven(&a, &content), "the watch is behind");
        see(&seen, &live("a", "u", "5"), false);
        assert!(seen.is_proven(&a, &content), "the watch has caught up");
        assert!(!seen.is_proven(&a, &json!({"data": {"k": "w"}})), "other content");
        see(&seen, &live("a", "u", "6"), false);
        assert!(!seen.is_proven(&a, &content), "somebody changed it");
        seen.prove(&a, &live("a", "u", "6"), &content);
        assert!(!seen.is_proven(&a, &json!({})) && seen.is_proven(&a, &content));
        see(&seen, &live("a", "w", "6"), false);
        assert!(!seen.is_proven(&a, &content), "it was replaced");
        let other = json!({"data": {"k": "w"}});
        seen.prove(&a, &live("a", "w", "6"), &other);
        assert!(!seen.is_proven(&a, &other), "a webhook changed what was applied");
    }

    #[test]
    fn nothing_is_known_while_a_kind_is_listed() {
        let (a, b, content) = (object("a"), object("b"), json!({}));
        assert!(!SeenObjects::default().is_blind_to(&a), "its kind is not watched here");
        let unwatched = SeenObjects::default();
        unwatched.prove(&a, &live("a", "u", "1"), &content);
        assert!(!unwatched.is_proven(&a, &content), "its kind is not watched");
        let (newer, one) = (ObjectRef { version: "v2".into(), ..object("a") }, listed());
        see(&one, &live("a", "u", "1"), false);
        assert!(one.marks_of(&a).is_some() && one.marks_of(&newer).is_none(), "in another version");
        let seen = listed();
        seen.prove(&a, &live("a", "u", "1"), &content);
        seen.prove(&b, &live("b", "u", "1"), &content);
        assert!(!seen.is_blind_to(&a));
        seen.list_begins(&kind());
        assert!(seen.is_blind_to(&a), "its watch was refused, and begins anew");
        see(&seen, &live("a", "u", "1"), false);
        assert!(!seen.is_proven(&a, &content) && seen.marks_of(&a).is_none());
        seen.list_ends(&kind());
        assert!(seen.is_proven(&a, &content), "it is as it was");
        assert!(!seen.is_proven(&b, &content) && seen.marks_of(&b).is_none(), "it is gone");
    }

    #[test]
    fn a_proof_makes_no_ghost() {
        let (a, content) = (object("a"), json!({}));
        let seen = listed();
        see(&seen, &live("a", "u", "5"), false);
        see(&seen, &live("a", "u", "6"), true);
        seen.prove(&a, &live("a", "u", "5"), &content);
        assert!(!seen.is_proven(&a, &content) && seen.marks_of(&a).is_none(), "it is gone already");
        seen.list_begins(&kind());
        seen.prove(&a, &live("a", "u", "5"), &content);
        seen.list_ends(&kind());
        assert!(!seen.is_proven(&a, &content) && seen.marks_of(&a).is_none(), "the list does not have it");
        for number in 0..PENDING + 2 {
            let name = format!("n{number}");
            seen.prove(&object(&name), &live(&name, "u", "5"), &content);
        }
        assert_eq!(seen.lock()[&place_of(&kind())].pending.len(), PENDING, "they are bounded");
        seen.list_begins(&kind());
        seen.list_ends(&kind());
        assert!(seen.lock()[&place_of(&kind())].pending.is_empty());
    }

    #[test]
    fn marks_tell_whose_an_object_is() {
        let key = ReleaseKey { name: "r".into(), namespace: "ns".into(), storage_namespace: "ns".into() };
        let seen = listed();
        assert_eq!(seen.marks_of(&object("a")), None, "it may be there without Helm's label");
        see(&seen, &live("a", "u", "5"), false);
        let marks = seen.marks_of(&object("a")).unwrap();
        assert_eq!((ownership(&marks, &key), is_kept(marks.value())), (Ownership::Ours, false));
        assert_eq!(marks.as_read(), LiveObject::new(live("a", "u", "5")).as_read());
        let mut kept = live("a", "u", "6");
        kept["metadata"]["annotations"] =
            json!({"meta.helm.sh/release-name": "other", "helm.sh/resource-policy": "keep"});
        see(&seen, &kept, false);
        let marks = seen.marks_of(&object("a")).unwrap();
        assert!(matches!(ownership(&marks, &key), Ownership::Other { .. }) && is_kept(marks.value()));
        kept["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        see(&seen, &kept, false);
        assert_eq!(seen.marks_of(&object("a")), None, "what holds it is to be read");
        see(&seen, &kept, true);
        assert!(seen.lock()[&place_of(&kind())].objects.is_empty(), "nothing is left over");
    }

    #[test]
    fn whoever_waits_is_told_when_something_turns() {
        let kind =
            Kind { group: "apps".into(), kind: "Deployment".into(), plural: "deployments".into(), ..kind() };
        let reference = ObjectRef { group: "apps".into(), kind: "Deployment".into(), ..object("a") };
        let seen = SeenObjects::default();
        seen.list_begins(&kind);
        seen.list_ends(&kind);
        let deployment = |version: &str, generation: i64, ready: i64| {
            let mut object = live("a", "u", version);
            object["apiVersion"] = json!("apps/v1");
            object["kind"] = json!("Deployment");
            object["metadata"]["generation"] = json!(generation);
            object["spec"] = json!({"replicas": 1});
            object["status"] = json!({
                "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": ready,
                "availableReplicas": ready,
            });
            object
        };
        let see = |object: &Value, gone| {
            let metadata = serde_json::from_value(object["metadata"].clone()).unwrap();
            seen.see(&kind, &metadata, Some(object), gone)
        };
        let ready = || seen.readiness_of(&reference, true).map(|readiness| readiness == Readiness::Current);
        assert_eq!(ready(), None, "nothing was seen");
        assert_eq!(see(&deployment("1", 1, 0), false), Noticed::Progress);
        assert_eq!(ready(), Some(false));
        assert_eq!(see(&deployment("2", 1, 0), false), Noticed::Nothing, "as before");
        assert_eq!(see(&deployment("3", 1, 1), false), Noticed::Turn);
        assert_eq!(ready(), Some(true));
        seen.prove(&reference, &deployment("4", 2, 1), &json!({}));
        assert_eq!(ready(), None, "the watch is behind what was applied");
        assert_eq!(see(&deployment("4", 2, 1), false), Noticed::Progress);
        assert_eq!(ready(), Some(false));
        assert_eq!(see(&deployment("5", 1, 1), false), Noticed::Turn);
        assert_eq!(see(&deployment("5", 1, 1), true), Noticed::Turn, "it is gone");
        assert_eq!(ready(), None);
        seen.list_begins(&kind);
        seen.prove(&reference, &deployment("7", 2, 1), &json!({}));
        see(&deployment("6", 1, 1), false);
        seen.list_ends(&kind);
        assert_eq!(ready(), None, "the list is older than what was applied while it was made");
        let mut other = deployment("8", 1, 1);
        other["metadata"]["name"] = json!("b");
        seen.list_begins(&kind);
        seen.prove(&ObjectRef { name: "c".into(), ..reference.clone() }, &deployment("8", 2, 1), &json!({}));
        see(&deployment("7", 1, 1), false);
        seen.list_ends(&kind);
        assert_eq!(ready(), None, "a proof that was not kept may be of any object");
        see(&other, false);
        assert_eq!(ready(), Some(true), "the watch has come so far");
    }
}
