//! Fields that an apply would take from another manager.
//!
//! The server names them only when an apply is not forced, and then applies nothing. What it would say is therefore read
//! off the live object: a manager's field conflicts when the apply sets it to another value.

use std::fmt;

use serde_json::Value;

use super::diff::includes;
use super::migrate::{divide, follow, is_applied, is_former};

/// Most fields of one object that are looked for.
const FIELDS: usize = 20;

/// A field that another manager owns, and that an apply changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contest {
    /// Where: `spec.replicas`.
    pub path: String,
    /// Whose it is.
    pub manager: String,
}

impl fmt::Display for Contest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.path, self.manager)
    }
}

/// The fields that applying `want` as `manager` takes from others. What the tools before Pintle wrote of `earlier`, the
/// object as the last revision has it, is the release's own.
pub(super) fn contests(live: &Value, want: &Value, earlier: Option<&Value>, manager: &str) -> Vec<Contest> {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    let mut found = Vec::new();
    for entry in entries.into_iter().flatten() {
        // Fields of another version have other paths.
        if is_applied(entry, manager) || entry["apiVersion"] != want["apiVersion"] {
            continue;
        }
        let left;
        let fields = match earlier.filter(|_| is_former(entry, manager)) {
            Some(earlier) => {
                left = divide(&entry["fieldsV1"], earlier).1.unwrap_or_default();
                &left
            }
            None => &entry["fieldsV1"],
        };
        let by = entry["manager"].as_str().unwrap_or_default();
        search(fields, Some(live), want, String::new(), &mut |path| {
            found.push(Contest { path, manager: by.to_owned() });
        });
    }
    found.sort();
    found.dedup();
    found.truncate(FIELDS);
    found
}

/// Calls `hit` with each field of a set that `want` sets to another value than `live` has.
fn search(fields: &Value, live: Option<&Value>, want: &Value, path: String, hit: &mut dyn FnMut(String)) {
    let Some(fields) = fields.as_object() else { return };
    for (key, below) in fields {
        // The mark of a container itself is no field; a status is reset by the server.
        if key == "." || path.is_empty() && key == "f:status" {
            continue;
        }
        let Some(wanted) = follow(key, want).filter(|wanted| !wanted.is_null()) else { continue };
        let there = live.and_then(|live| follow(key, live));
        let path = format!("{path}{}", segment(key, path.is_empty()));
        if below.as_object().is_none_or(serde_json::Map::is_empty) {
            if !includes(there.unwrap_or(&Value::Null), wanted, 0) {
                hit(path);
            }
        } else {
            search(below, there, wanted, path, hit);
        }
    }
}

/// A key of a field set as a part of a path.
fn segment(key: &str, first: bool) -> String {
    let (sort, rest) = key.split_once(':').unwrap_or(("", key));
    match sort {
        "f" if rest.contains(['.', '/', '[']) => format!("[{rest}]"),
        "f" if first => rest.to_owned(),
        "f" => format!(".{rest}"),
        "k" => {
            let keys: serde_json::Map<String, Value> = serde_json::from_str(rest).unwrap_or_default();
            let name = keys.get("name").and_then(Value::as_str);
            format!("[{}]", name.map_or_else(|| rest.to_owned(), str::to_owned))
        }
        _ => format!("[{rest}]"),
    }
}

#[cfg(test)]
mod tests {
    //! Unit: what the server would call a conflict.

    use serde_json::json;

    use super::*;

    #[test]
    fn only_fields_that_change_are_taken_from_their_manager() {
        let container = r#"k:{"name":"main"}"#;
        let spec = json!({"f:spec": {
            "f:replicas": {},
            "f:containers": {container: {".": {}, "f:image": {}, "f:name": {}}},
        }, "f:status": {"f:x": {}}});
        let entry = |manager: &str, operation: &str, version: &str| json!({"manager": manager, "operation": operation, "apiVersion": version, "fieldsV1": spec});
        let object = |replicas: i64, image: &str, entries: Value| {
            json!({
                "apiVersion": "v1", "metadata": {"managedFields": entries}, "status": {"x": 1},
                "spec": {"replicas": replicas, "containers": [{"name": "main", "image": image}]},
            })
        };
        let want = object(1, "i:1", json!([]));
        let both = ["spec.containers[main].image of edit", "spec.replicas of edit"];
        for (name, live, earlier, expected) in [
            ("its own", object(2, "i:2", json!([entry("helm", "Apply", "v1")])), false, &[][..]),
            ("the same values", object(1, "i:1", json!([entry("edit", "Update", "v1")])), false, &[]),
            ("other values", object(2, "i:2", json!([entry("edit", "Update", "v1")])), false, &both),
            ("one other value", object(1, "i:2", json!([entry("edit", "Update", "v1")])), false, &both[..1]),
            ("another version", object(2, "i:2", json!([entry("edit", "Update", "v2")])), false, &[]),
            ("helm 3's of the record", object(2, "i:2", json!([entry("helm", "Update", "v1")])), true, &[]),
            (
                "helm 3's beside any record",
                object(2, "i:1", json!([entry("helm", "Update", "v1")])),
                false,
                &["spec.replicas of helm"],
            ),
        ] {
            let earlier = earlier.then_some(&want);
            let found: Vec<String> =
                contests(&live, &want, earlier, "helm").iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{name}");
        }
    }
}
