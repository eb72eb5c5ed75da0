//! Makes fields that the tools before Pintle wrote known as applied by it.
//!
//! Field managers are keyed by name and operation: what helm 3 or kubectl wrote by Update is, to server-side apply,
//! another manager's, and so is what Flux applied. Such a field would survive its removal from the chart. So before
//! an object's first apply the entries of those tools become part of the entry that Pintle applies under, for the
//! fields of the recorded manifest only: what a person set beside the chart stays theirs.
//!
//! # Compatibility
//! As client-go's `csaupgrade`, which Helm 4 uses, but for the restriction to the recorded manifest.

use serde_json::{Map, Value, json};

/// Tools whose Update entries are the release's own writes.
const CLIENT_SIDE: [&str; 3] = ["helm", "kubectl-client-side-apply", "helm-controller"];

/// Tools whose Apply entries are the release's own writes: helm 4, and Flux since it uses that.
const SERVER_SIDE: [&str; 2] = ["helm", "helm-controller"];

/// The managed fields that an object should have before it is applied, when they differ from those that it has.
/// `recorded` is the object as the last revision's manifest has it, with the release's marks; `manager` is the one that
/// applies from now on.
pub(super) fn migrated_fields(live: &Value, recorded: &Value, manager: &str) -> Option<Vec<Value>> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let mut applied = Value::Object(Map::new());
    let mut rest = Vec::with_capacity(entries.len());
    let mut api_version = None;
    for entry in entries {
        if !is_former(entry, manager) {
            rest.push(entry.clone());
            continue;
        }
        let (moved, left) = divide(&entry["fieldsV1"], recorded);
        if let Some(moved) = moved {
            merge(&mut applied, &moved);
            api_version = Some(entry["apiVersion"].clone());
        }
        if let Some(left) = left {
            let mut entry = entry.clone();
            entry["fieldsV1"] = left;
            rest.push(entry);
        }
    }
    let api_version = api_version?;
    match rest.iter_mut().find(|entry| is_applied(entry, manager)) {
        Some(entry) => merge(&mut entry["fieldsV1"], &applied),
        None => rest.push(json!({
            "manager": manager, "operation": "Apply", "apiVersion": api_version,
            "fieldsType": "FieldsV1", "fieldsV1": applied,
        })),
    }
    Some(rest)
}

/// Whether an entry is that of a tool that had the release before, or of another way to write.
pub(super) fn is_former(entry: &Value, manager: &str) -> bool {
    let by = entry["manager"].as_str().unwrap_or_default();
    let wrote = match entry["operation"].as_str() {
        Some("Update") => CLIENT_SIDE.contains(&by),
        Some("Apply") => SERVER_SIDE.contains(&by) && by != manager,
        _ => false,
    };
    wrote && is_main(entry)
}

pub(super) fn is_applied(entry: &Value, manager: &str) -> bool {
    entry["operation"] == "Apply" && is_main(entry) && entry["manager"] == manager
}

fn is_main(entry: &Value) -> bool {
    entry["subresource"].as_str().unwrap_or_default().is_empty()
}

/// Divides a set of fields into those that `value` has and the others; a part that is empty is none.
pub(super) fn divide(fields: &Value, value: &Value) -> (Option<Value>, Option<Value>) {
    let Some(fields) = fields.as_object() else { return (None, None) };
    let (mut moved, mut left) = (Map::new(), Map::new());
    for (key, below) in fields {
        let Some(found) = follow(key, value) else {
            left.insert(key.clone(), below.clone());
            continue;
        };
        if below.as_object().is_none_or(Map::is_empty) {
            moved.insert(key.clone(), below.clone());
            continue;
        }
        let (inner, outer) = divide(below, found);
        moved.extend(inner.map(|inner| (key.clone(), inner)));
        left.extend(outer.map(|outer| (key.clone(), outer)));
    }
    // The mark of the container itself is nobody's field.
    if left.len() == 1 && left.contains_key(".") {
        left.clear();
    }
    let part = |fields: Map<String, Value>| (!fields.is_empty()).then_some(Value::Object(fields));
    (part(moved), part(left))
}

/// What of a value a key of a field set means.
pub(super) fn follow<'a>(key: &str, value: &'a Value) -> Option<&'a Value> {
    let (sort, rest) = key.split_once(':').unwrap_or((key, ""));
    match sort {
        "." => Some(value),
        "f" => value.get(rest),
        "k" => {
            let wanted: Map<String, Value> = serde_json::from_str(rest).ok()?;
            // A key that the manifest leaves out has its default, such as `protocol: TCP`.
            let fits = |item: &&Value| wanted.iter().all(|(k, v)| item.get(k).is_none_or(|found| found == v));
            value.as_array()?.iter().find(fits)
        }
        "v" => {
            let wanted: Value = serde_json::from_str(rest).ok()?;
            value.as_array()?.iter().find(|item| **item == wanted)
        }
        "i" => value.get(rest.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Adds a set of fields to another.
fn merge(into: &mut Value, from: &Value) {
    match (into.as_object_mut(), from.as_object()) {
        (Some(into), Some(from)) => {
            for (key, below) in from {
                merge(into.entry(key.clone()).or_insert_with(|| json!({})), below);
            }
        }
        (None, _) => into.clone_from(from),
        (Some(_), None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn migrate(entries: &[Value], recorded: &Value) -> Option<Vec<Value>> {
        migrated_fields(&json!({"metadata": {"managedFields": entries}}), recorded, "helm")
    }

    #[test]
    fn fields_of_the_manifest_change_hands() {
        let recorded = json!({"data": {"a": "1"}, "ports": [{"port": 80}], "fins": ["x"]});
        let ports = json!({r#"k:{"port":80,"protocol":"TCP"}"#: {".": {}, "f:port": {}}});
        let fields = json!({"f:data": {".": {}, "f:a": {}}, "f:ports": ports, "f:fins": {r#"v:"x""#: {}}});
        for (name, entries, want) in [
            (
                "helm 3's writes become applied",
                vec![entry("helm", "Update", fields.clone())],
                Some(vec![entry("helm", "Apply", fields.clone())]),
            ),
            (
                "what is beside the manifest stays",
                vec![entry(
                    "kubectl-client-side-apply",
                    "Update",
                    json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}}),
                )],
                Some(vec![
                    entry("kubectl-client-side-apply", "Update", json!({"f:data": {"f:b": {}}})),
                    entry("helm", "Apply", json!({"f:data": {".": {}, "f:a": {}}})),
                ]),
            ),
            (
                "an existing entry is added to",
                vec![
                    entry("helm", "Apply", json!({"f:fins": {}})),
                    entry("helm", "Update", json!({"f:data": {"f:a": {}}})),
                ],
                Some(vec![entry("helm", "Apply", json!({"f:fins": {}, "f:data": {"f:a": {}}}))]),
            ),
            ("people keep their edits", vec![entry("kubectl-edit", "Update", fields.clone())], None),
            ("what is applied is left alone", vec![entry("helm", "Apply", fields)], None),
            ("nothing of the manifest", vec![entry("helm", "Update", json!({"f:other": {}}))], None),
        ] {
            assert_eq!(migrate(&entries, &recorded), want, "{name}");
        }
    }

    #[test]
    fn a_status_is_never_moved() {
        let mut status = entry("helm", "Update", json!({"f:data": {"f:a": {}}}));
        status["subresource"] = json!("status");
        assert_eq!(migrate(&[status], &json!({"data": {"a": "1"}})), None);
        assert_eq!(migrated_fields(&json!({}), &json!({}), "helm"), None);
    }

    #[test]
    fn what_flux_or_helm_applied_is_taken_over_by_whoever_applies_now() {
        let recorded = json!({"data": {"a": "1"}});
        let (ours, more) = (json!({"f:data": {"f:a": {}}}), json!({"f:data": {"f:a": {}, "f:b": {}}}));
        for (name, manager, entries, want) in [
            (
                "Flux with helm 4",
                "helm",
                vec![entry("helm-controller", "Apply", more.clone())],
                Some(vec![
                    entry("helm-controller", "Apply", json!({"f:data": {"f:b": {}}})),
                    entry("helm", "Apply", ours.clone()),
                ]),
            ),
            (
                "another field manager of the operator",
                "pintle",
                vec![entry("helm", "Apply", ours.clone()), entry("kubectl", "Apply", more.clone())],
                Some(vec![entry("kubectl", "Apply", more.clone()), entry("pintle", "Apply", ours.clone())]),
            ),
            ("its own", "pintle", vec![entry("pintle", "Apply", more.clone())], None),
        ] {
            let live = json!({"metadata": {"managedFields": entries}});
            assert_eq!(migrated_fields(&live, &recorded, manager), want, "{name}");
        }
    }
}
