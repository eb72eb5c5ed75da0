//! Deletes an object whose fields cannot be changed, so that it is made anew.
//!
//! `spec.upgrade.force` and `spec.rollback.force` ask for it. What would go with the object decides how it is deleted,
//! and whether: a claim's data, a namespace's or a definition's objects are worth more than an upgrade, so these are
//! refused. The pods of a StatefulSet stay and are taken over by the new one where its selector finds them.
//!
//! The delete is a write of its own. When the process ends after it, the object is absent, and the next plan creates it.

use serde_json::Value;

use super::live::read;
use super::ownership;
use super::{Action, Error, LiveObject, Planned, Release};
use crate::api::{DeletionPropagation, Reason};
use crate::cluster::{self, Deletion, ObjectRef, Retry};
use crate::telemetry::failpoint::Failpoint;

/// Kinds that are never re-created, and what would go with them.
const NEVER: [(&str, &str, &str); 4] = [
    ("", "PersistentVolumeClaim", "its data"),
    ("", "PersistentVolume", "its data"),
    ("", "Namespace", "everything in it"),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "all objects of its kind"),
];

/// How an object may be deleted to be made anew.
///
/// # Errors
/// Why it may not, and what to do.
pub(super) fn propagation(
    object: &ObjectRef,
    live: &Value,
    want: &Value,
) -> Result<DeletionPropagation, String> {
    let never = NEVER.iter().find(|(group, kind, _)| object.group == *group && object.kind == *kind);
    if let Some((_, kind, lost)) = never {
        return Err(format!(
            "a {kind} is never deleted to be made anew, because {lost} would go with it; undo the change, or give the \
             object another name"
        ));
    }
    if ownership::is_kept(live) || ownership::is_kept(want) {
        return Err(
            "its resource policy keeps it from being deleted; undo the change, or remove the annotation \
                    helm.sh/resource-policy"
                .to_owned(),
        );
    }
    if object.group != "apps" || object.kind != "StatefulSet" {
        return Ok(DeletionPropagation::Background);
    }
    if keeps_its_pods(live, want) {
        return Ok(DeletionPropagation::Orphan);
    }
    let claims = live.pointer("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted");
    if claims.and_then(Value::as_str) == Some("Delete") {
        return Err("its claims would be deleted with it (persistentVolumeClaimRetentionPolicy.whenDeleted), because \
                    the new selector does not find the pods that run; set that to Retain first, or undo the change"
            .to_owned());
    }
    Ok(DeletionPropagation::Background)
}

/// Whether the new StatefulSet finds the pods of the old one, and so takes them over.
fn keeps_its_pods(live: &Value, want: &Value) -> bool {
    let selector = |object: &Value| object.pointer("/spec/selector").cloned().unwrap_or_default();
    let wanted = selector(want);
    if wanted["matchExpressions"].as_array().is_some_and(|all| !all.is_empty()) {
        return wanted == selector(live);
    }
    let labels = live.pointer("/spec/template/metadata/labels");
    wanted["matchLabels"]
        .as_object()
        .is_some_and(|all| all.iter().all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value)))
}

/// Deletes the object that a plan re-creates, when it is still the one that was judged. What is left of it: none when it
/// is gone, and can be created.
///
/// # Errors
/// That it may not be re-created, belongs to somebody else by now, or the server's refusal.
pub(super) async fn delete(
    cx: &Release<'_>,
    action: Action,
    planned: &Planned,
    live: &LiveObject,
) -> Result<Option<LiveObject>, Error> {
    if !live.is_terminating() {
        let propagation = propagation(&planned.object, live.value(), &planned.content)
            .map_err(|why| refusal(planned, &why))?;
        let (kind, object) = (&planned.kind, &planned.object);
        let deletion = cx.tenant.delete(kind, object, live.uid(), propagation).await;
        match deletion.map_err(|e| Error::from_template(e, &planned.source))? {
            Deletion::Gone => {
                Failpoint::Recreating.reach();
                return Ok(None);
            }
            Deletion::Accepted => Failpoint::Recreating.reach(),
            Deletion::Absent | Deletion::OtherObject => {}
        }
    }
    let left = read(cx, &planned.kind, &planned.object).await?;
    if let Some(left) = &left {
        ownership::check(left, &planned.object, cx.key, action, planned.recorded)?;
    }
    Ok(left)
}

/// The refusal of a change of a field that cannot be changed.
pub(super) fn immutable(error: &cluster::Error, planned: &Planned, action: Action, force: bool) -> Error {
    let field = field(error);
    let live = planned.live.as_ref().map_or(&Value::Null, LiveObject::value);
    let option = if action == Action::Rollback { "spec.rollback.force" } else { "spec.upgrade.force" };
    let advice = match propagation(&planned.object, live, &planned.content) {
        Err(why) => why,
        Ok(_) if force => "undo the change of the field".to_owned(),
        Ok(_) => {
            format!("undo the change, or set {option}: true to have the object deleted and made anew")
        }
    };
    let message = format!("{}: {field} cannot be changed{}; {advice}", row(planned), words(error));
    Error::new(Reason::ImmutableField, Retry::OnChange, message).about(&planned.object)
}

fn refusal(planned: &Planned, why: &str) -> Error {
    let message = format!("{} cannot be changed as the manifest asks: {why}", row(planned));
    Error::new(Reason::ImmutableField, Retry::OnChange, message).about(&planned.object)
}

/// The fields that cannot be changed, as far as the server names them.
pub(super) fn field(error: &cluster::Error) -> String {
    if error.fields.is_empty() { "a field".to_owned() } else { error.fields.join(", ") }
}

/// The server's words.
fn words(error: &cluster::Error) -> String {
    if error.text.is_empty() { String::new() } else { format!(" ({})", error.text) }
}

/// An object and its template.
pub(super) fn row(planned: &Planned) -> String {
    match planned.source.as_str() {
        "" => planned.object.to_string(),
        source => format!("{} (from {source})", planned.object),
    }
}

#[cfg(test)]
mod tests {
    //! Unit: what may be deleted to be made anew, and how.

    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_go_with_an_object_decides() {
        let object = |group: &str, kind: &str| ObjectRef {
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
            namespace: "ns".into(),
            name: "x".into(),
        };
        let (plain, set) = (json!({}), |selector: &str, template: &str, claims: &str| {
            json!({"spec": {
                "selector": {"matchLabels": {"app": selector}},
                "template": {"metadata": {"labels": {"app": template, "more": "y"}}},
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": claims},
            }})
        });
        let kept = json!({"metadata": {"annotations": {"helm.sh/resource-policy": "keep"}}});
        let expressions =
            json!({"spec": {"selector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}});
        let stateful = ("apps", "StatefulSet");
        let (background, orphan) = (DeletionPropagation::Background, DeletionPropagation::Orphan);
        for (name, (group, kind), live, want, expected) in [
            ("a Deployment", ("apps", "Deployment"), plain.clone(), plain.clone(), Ok(background)),
            (
                "a claim",
                ("", "PersistentVolumeClaim"),
                plain.clone(),
                plain.clone(),
                Err("its data would go"),
            ),
            ("a namespace", ("", "Namespace"), plain.clone(), plain.clone(), Err("everything in it")),
            ("what is kept", ("batch", "Job"), kept.clone(), plain.clone(), Err("resource policy")),
            ("what is to be kept", ("batch", "Job"), plain, kept, Err("resource policy")),
            ("the pods stay", stateful, set("a", "a", "Delete"), set("a", "a", ""), Ok(orphan)),
            ("the pods are not found", stateful, set("a", "a", ""), set("b", "b", ""), Ok(background)),
            ("the claims would go", stateful, set("a", "a", "Delete"), set("b", "b", ""), Err("whenDeleted")),
            ("the same expressions", stateful, expressions.clone(), expressions.clone(), Ok(orphan)),
            ("other expressions", stateful, set("a", "a", ""), expressions, Ok(background)),
        ] {
            let found = propagation(&object(group, kind), &live, &want);
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name}"),
                (Err(text), Err(part)) => assert!(text.contains(part), "{name}: {text}"),
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
    }
}
