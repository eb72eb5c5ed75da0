//! Objects that do not fit their type: nothing is done for them, their status says so, and the others of their kind
//! go on.
//!
//! The schema keeps them out, unless the CRD is older or newer than the operator.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tracing::{error, warn};

use super::publish::OwnKind;
use super::store::Key;
use super::{Operator, Requeue};
use crate::api::Reason;
use crate::api::condition::{self, READY, STALLED, Status};
use crate::cluster::chain;

/// Says what is wrong with an object, once.
pub async fn refuse(
    operator: &Operator,
    own: OwnKind,
    key: &Key,
    object: &DynamicObject,
    problem: &str,
) -> Requeue {
    let message = format!("the object does not fit its schema: {problem}; mend it, or update the CRDs");
    let (old, new) = statuses(object, &message, Timestamp::now());
    if old == new {
        return Requeue::OnChange;
    }
    error!(kind = own.kind, object = %key, problem, "the object does not fit its schema; is the CRD current?");
    let regarding = ObjectReference {
        api_version: Some(format!("{}/v1alpha1", crate::api::GROUP)),
        kind: Some(own.kind.to_owned()),
        namespace: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
        uid: object.metadata.uid.clone(),
        ..ObjectReference::default()
    };
    operator.publisher.event(&regarding, false, Reason::InvalidSpec, "Reconcile", &message).await;
    if let Err(error) = operator.publisher.status(own, key, Some(&old), &new).await {
        warn!(kind = own.kind, object = %key, error = chain(&error), "the status could not be written");
    }
    Requeue::OnChange
}

/// The parts of the status that say it, as they are and as they should be. All else of the status stays.
fn statuses(object: &DynamicObject, message: &str, now: Timestamp) -> (Value, Value) {
    let generation = object.metadata.generation;
    let status = &object.data["status"];
    let conditions: Vec<Condition> = serde_json::from_value(status["conditions"].clone()).unwrap_or_default();
    let old = json!({"observedGeneration": status["observedGeneration"], "conditions": conditions});
    let mut conditions = conditions;
    for (type_, value) in [(READY, Status::False), (STALLED, Status::True)] {
        condition::set(&mut conditions, type_, value, Reason::InvalidSpec, message, generation, now);
    }
    condition::remove(&mut conditions, condition::RECONCILING);
    (old, json!({"observedGeneration": generation, "conditions": conditions}))
}

#[cfg(test)]
mod tests {
    //! Unit: what is said, and that it is said once.

    use super::*;

    #[test]
    fn it_is_said_once() {
        let mut object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "pintle.dev/v1alpha1", "kind": "HelmRelease",
            "metadata": {"namespace": "apps", "name": "bad", "generation": 2}, "spec": {"interval": 7},
            "status": {"inventory": [], "conditions": [
                {"type": "Released", "status": "True", "reason": "InstallSucceeded", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ]},
        }))
        .unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let (old, new) = statuses(&object, "no", at(1));
        assert_ne!(old, new);
        let types: Vec<_> = new["conditions"].as_array().unwrap().iter().map(|c| &c["type"]).collect();
        assert_eq!(types, ["Released", "Ready", "Stalled"], "what was known of it stays");
        object.data["status"] = new;
        let (old, new) = statuses(&object, "no", at(2));
        assert_eq!(old, new, "an hour later there is nothing to write");
    }
}
