//! Whom a change of a release's objects wakes.

use kube::ResourceExt;
use kube::core::{DynamicObject, ObjectMeta};

use super::watches::{self, identity};
use super::{Operator, PROGRESS_EVERY, SETTLE};
use crate::cluster::Kind;
use crate::release::{HOOK_OWNER, Noticed};

impl Operator {
    /// A list of a kind is in: what went before it, or between it and the one before, was not told.
    pub(super) fn listed(&self, kind: &Kind, first: bool) {
        if first {
            self.parking.waiting_for_kind(kind).into_iter().for_each(|key| self.release_queue.add(key));
        } else {
            self.wake_parked();
        }
    }

    /// Looks again at all that waits: that an object is gone is what a removal waits for, and no list tells it.
    pub(super) fn wake_parked(&self) {
        self.parking.keys().into_iter().for_each(|key| self.release_queue.add(key));
    }

    /// A hook's object changed: when it has ended, or is gone, the release that waits for it is woken.
    pub(super) fn hook_touched(&self, kind: &Kind, object: &DynamicObject, gone: bool) {
        let Ok(mut value) = serde_json::to_value(object) else { return };
        // What a list holds does not say what it is.
        value["apiVersion"] = kind.api_version().into();
        value["kind"] = kind.kind.as_str().into();
        let has_ended = self.hooks.see(&value) || gone;
        let release = object.annotations().get(HOOK_OWNER).and_then(|release| release.split_once('/'));
        if let Some((namespace, name)) = release.filter(|_| has_ended)
            && let Some(key) = self.parking.waiting_for(namespace, name)
        {
            self.release_queue.add(key);
        }
    }

    /// An object that Helm manages changed: the release that waits for it is woken, soon when it need not wait any
    /// longer, and else now and then, to say how far it is.
    pub(super) fn object_touched(&self, kind: &Kind, metadata: &ObjectMeta, noticed: Noticed) {
        let annotation = |name: &str| metadata.annotations.as_ref()?.get(name);
        let release =
            annotation("meta.helm.sh/release-name").zip(annotation("meta.helm.sh/release-namespace"));
        let object = identity(kind, metadata);
        let is_judged =
            release.is_some_and(|(name, namespace)| self.parking.judges(namespace, name, &object));
        let pause = match noticed {
            // What was noticed is the verdict of the kind's own rule, not that of the release's expression.
            _ if is_judged => SETTLE,
            Noticed::Nothing => return,
            Noticed::Progress => PROGRESS_EVERY,
            Noticed::Turn => SETTLE,
        };
        if let Some((name, namespace)) = release
            && let Some(key) = self.parking.touch(namespace, name, object.clone())
        {
            self.release_queue.add_after(key, pause);
        }
        if watches::is_definition(&kind.group, &kind.kind) {
            let waiting = self.parking.touch_anywhere(&object);
            waiting.into_iter().for_each(|key| self.release_queue.add_after(key, SETTLE));
        }
    }
}
