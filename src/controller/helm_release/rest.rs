//! A release that is known to be as its spec asks, without a request: by its own status, by what the watch tells of its
//! record, and by the chart that its source offers.
//!
//! This decides only that there is nothing to do. Whatever is not plain is looked at the long way.

use super::Work;
use super::inputs::Inputs;
use crate::api::condition::{self, HELD, READY, RECONCILING, RELEASED, STALLED};
use crate::api::{HelmReleaseStatus, Target};
use crate::controller::records::Stored;

/// What is asked for, as far as the status can tell of it.
struct Wanted<'a> {
    generation: Option<i64>,
    target: &'a Target,
    chart_digest: &'a str,
    max_history: usize,
}

impl Work<'_> {
    /// Whether there is nothing to do, as far as that can be known without a request.
    pub(super) fn is_at_rest(&self, inputs: &Inputs) -> bool {
        let spec = &self.object.spec;
        // The values in other objects have no digest that could be told without the record's key.
        if !spec.values_from.is_empty() || spec.rollback_to.is_some() || self.force_at().is_some() {
            return false;
        }
        let Target { storage_namespace, release_name, .. } = &self.target;
        let Some(stored) = self.operator.records.of(storage_namespace, release_name) else { return false };
        let wanted = Wanted {
            generation: self.object.metadata.generation,
            target: &self.target,
            chart_digest: &inputs.chart.digest,
            max_history: usize::try_from(spec.max_history).unwrap_or_default(),
        };
        self.last_status().is_some_and(|status| says_so(&status, &wanted, &stored))
            && !self.operator.parking.has(self.key)
            && self.rival_elsewhere().is_none()
    }
}

/// Whether a status says that what is wanted is what runs: pure.
fn says_so(status: &HelmReleaseStatus, wanted: &Wanted<'_>, stored: &Stored) -> bool {
    let conditions = &status.conditions;
    let now = |type_| {
        condition::find(conditions, type_)
            .filter(|found| found.status == "True" && found.observed_generation == wanted.generation)
    };
    let (Some(ready), Some(released)) = (now(READY), now(RELEASED)) else { return false };
    let other = [RECONCILING, STALLED, HELD].iter().any(|type_| condition::find(conditions, type_).is_some());
    let Some(revision) = status.last_applied_revision.and_then(|r| u32::try_from(r).ok()) else {
        return false;
    };
    let newest = status.history.first();
    wanted.generation.is_some()
        && status.observed_generation == wanted.generation
        // They differ when there is something to say of the source.
        && ready.message == released.message
        && !other
        && status.failures == 0
        && status.target.as_ref() == Some(wanted.target)
        && !status.inventory.is_empty()
        && status.last_attempted_chart_digest.as_deref() == Some(wanted.chart_digest)
        && newest.is_some_and(|newest| newest.revision == i64::from(revision) && newest.status == "deployed")
        && stored.is_settled_at(revision, wanted.max_history)
}

#[cfg(test)]
mod tests {
    //! Unit: which releases need no look.

    use kube_runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::records::Records;

    type Change = fn(&mut Value);

    fn status(change: impl Fn(&mut Value)) -> HelmReleaseStatus {
        let condition = |type_: &str| {
            json!({
                "type": type_, "status": "True", "reason": "InstallSucceeded", "message": "revision 1, web-1",
                "observedGeneration": 2, "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        };
        let mut status = json!({
            "observedGeneration": 2,
            "conditions": [condition("Ready"), condition("Released")],
            "history": [{
                "revision": 1, "action": "install", "status": "deployed", "chart": "web", "chartVersion": "1",
                "startedAt": "2026-01-01T00:00:00Z",
            }],
            "inventory": [{"id": "apps_web__ConfigMap", "v": "v1"}],
            "lastAppliedRevision": 1,
            "lastAttemptedChartDigest": "sha256:a",
            "target": {"releaseName": "web", "targetNamespace": "apps", "storageNamespace": "apps"},
        });
        change(&mut status);
        serde_json::from_value(status).unwrap()
    }

    fn stored() -> Stored {
        let records = Records::default();
        records.take(&Event::InitDone);
        let secret = json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {
                "namespace": "apps", "name": "sh.helm.release.v1.web.v1",
                "labels": {"name": "web", "owner": "helm", "status": "deployed"},
            },
        });
        records.take(&Event::Apply(serde_json::from_value(secret).unwrap()));
        records.of("apps", "web").unwrap()
    }

    #[test]
    fn only_what_is_plain_needs_no_look() {
        let names = |storage: &str| Target {
            release_name: "web".into(),
            target_namespace: "apps".into(),
            storage_namespace: storage.into(),
        };
        let (target, other) = (names("apps"), names("store"));
        let wanted = |target, generation, chart_digest| Wanted {
            generation: Some(generation),
            target,
            chart_digest,
            max_history: 10,
        };
        let plain = || wanted(&target, 2, "sha256:a");
        assert!(says_so(&status(|_| ()), &plain(), &stored()));
        assert!(!says_so(&status(|_| ()), &plain(), &Stored::default()), "nothing is stored");
        assert!(!says_so(&status(|_| ()), &wanted(&target, 3, "sha256:a"), &stored()), "a new generation");
        assert!(!says_so(&status(|_| ()), &wanted(&target, 2, "sha256:b"), &stored()), "another chart");
        assert!(!says_so(&status(|_| ()), &wanted(&other, 2, "sha256:a"), &stored()), "another target");
        let changes: [(&str, Change); 9] = [
            ("an older generation observed", |s| s["observedGeneration"] = 1.into()),
            ("not ready", |s| s["conditions"][0]["status"] = "False".into()),
            ("released for an older generation", |s| s["conditions"][1]["observedGeneration"] = 1.into()),
            ("something to say of the source", |s| s["conditions"][0]["message"] = "revision 1, but".into()),
            ("something going on", |s| {
                let mut more = s["conditions"][0].clone();
                more["type"] = "Reconciling".into();
                s["conditions"].as_array_mut().unwrap().push(more);
            }),
            ("failures", |s| s["failures"] = 1.into()),
            ("no inventory", |s| s["inventory"] = json!([])),
            ("another revision", |s| s["lastAppliedRevision"] = 2.into()),
            ("the history says otherwise", |s| s["history"][0]["status"] = "superseded".into()),
        ];
        for (name, change) in changes {
            assert!(!says_so(&status(change), &plain(), &stored()), "{name}");
        }
    }
}
