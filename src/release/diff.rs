//! What differs between two objects, for people.
//!
//! The data of Secrets is masked on both sides: which keys changed is shown, never a value, a length or a digest. Where
//! a chart copies such data elsewhere it is masked too, and so are checksums, which charts make of their Secrets.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::cluster::masking::{MASK, Redactions, is_secret};

/// Fields of one object whose values are kept: no more are ever shown.
const VALUES: usize = 10;
/// Longest value that is shown.
const VALUE_LIMIT: usize = 80;
/// Keys whose values are never shown: kubectl's copy of an object, and checksums of what may be a Secret.
const HIDDEN: [&str; 2] = ["last-applied-configuration", "checksum"];
/// Deeper differences are shown as one.
const MAX_DEPTH: usize = 64;

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathChange {
    /// Where: `spec.template.spec.containers[web].image`.
    pub path: String,
    /// The old value, shortened; none when the field is new.
    pub old: Option<String>,
    /// The new value, shortened; none when the field goes.
    pub new: Option<String>,
}

impl fmt::Display for PathChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) if old == MASK && new == MASK => write!(f, "{} changed", self.path),
            (Some(old), Some(new)) => write!(f, "{} {old} -> {new}", self.path),
            (None, Some(new)) => write!(f, "{} added {new}", self.path),
            (Some(_), None) => write!(f, "{} removed", self.path),
            (None, None) => f.write_str(&self.path),
        }
    }
}

/// The fields that differ between two versions of one object; `redactions` are kept out of their values.
pub fn diff_objects(old: &Value, new: &Value, redactions: &Redactions) -> Vec<PathChange> {
    walk(old, new, redactions, false)
}

/// The fields of `want` that a live object does not have, or has otherwise.
pub(super) fn diff_live(live: &Value, want: &Value, redactions: &Redactions) -> Vec<PathChange> {
    walk(live, want, redactions, true)
}

fn walk(old: &Value, new: &Value, redactions: &Redactions, wanted_only: bool) -> Vec<PathChange> {
    let secret = is_secret(old) || is_secret(new);
    let mut walk = Walk { secret, wanted_only, redactions, path: Vec::new(), found: Vec::new() };
    walk.compare(old, new);
    walk.found
}

struct Walk<'a> {
    secret: bool,
    /// Whether only what the new version has is compared: the server adds to the old one.
    wanted_only: bool,
    redactions: &'a Redactions,
    path: Vec<String>,
    found: Vec<PathChange>,
}

impl Walk<'_> {
    fn compare(&mut self, old: &Value, new: &Value) {
        if old == new {
            return;
        }
        match (old, new) {
            (Value::Object(old), Value::Object(new)) if self.path.len() < MAX_DEPTH => {
                let old_keys = old.keys().filter(|key| !self.wanted_only || new.contains_key(*key));
                let mut keys: Vec<&String> = old_keys.chain(new.keys()).collect();
                keys.sort();
                keys.dedup();
                for key in keys {
                    self.path.push(segment(key));
                    self.pair(old.get(key), new.get(key));
                    self.path.pop();
                }
            }
            (Value::Array(old), Value::Array(new)) if self.path.len() < MAX_DEPTH => self.lists(old, new),
            (old, new) => self.push(Some(old), Some(new)),
        }
    }

    fn pair(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (Some(old), Some(new)) => self.compare(old, new),
            // A null is as good as an absent field, to the server and to people.
            (None | Some(Value::Null), None | Some(Value::Null)) => {}
            (old, new) => self.push(old, new),
        }
    }

    /// Items with names are matched by them, as the server merges them; others by their place.
    fn lists(&mut self, old: &[Value], new: &[Value]) {
        let name = |item: &Value| item.get("name").and_then(Value::as_str).map(str::to_owned);
        let names = |items: &[Value]| items.iter().map(name).collect::<Option<Vec<_>>>();
        let (Some(old_names), Some(new_names)) = (names(old), names(new)) else {
            for i in 0..old.len().max(new.len()) {
                self.item(&i.to_string(), old.get(i), new.get(i));
            }
            return;
        };
        let find = |items: &'_ [Value], names: &[String], name: &str| {
            names.iter().position(|n| n == name).and_then(|i| items.get(i)).cloned()
        };
        let added = new_names.iter().filter(|n| !old_names.contains(n));
        for name in old_names.iter().chain(added) {
            let (old, new) = (find(old, &old_names, name), find(new, &new_names, name));
            self.item(name, old.as_ref(), new.as_ref());
        }
    }

    fn item(&mut self, place: &str, old: Option<&Value>, new: Option<&Value>) {
        self.path.push(format!("[{place}]"));
        self.pair(old, new);
        self.path.pop();
    }

    fn push(&mut self, old: Option<&Value>, new: Option<&Value>) {
        let top = self.path.first().map(String::as_str);
        let masked = (self.secret && matches!(top, None | Some("data" | "stringData")))
            || self.path.last().is_some_and(|p| HIDDEN.iter().any(|part| p.contains(part)));
        // Redacted before it is shortened: half a secret is one too.
        let show = |value: &Value| match masked {
            true => MASK.to_owned(),
            false => shorten(&self.redactions.apply(&text(&hidden(value)))),
        };
        // Whole maps of a Secret come and go key by key, so that no value slips out inside one.
        if masked && let Some(Value::Object(entries)) = old.or(new) {
            for key in entries.keys() {
                let path = format!("{}.{}", self.text(), segment(key));
                let (old, new) = (old.map(|_| MASK.to_owned()), new.map(|_| MASK.to_owned()));
                self.found.push(PathChange { path, old, new });
            }
            return;
        }
        let shown = self.found.len() < VALUES;
        let (old, new) = (old.filter(|_| shown).map(show), new.filter(|_| shown).map(show));
        self.found.push(PathChange { path: self.text(), old, new });
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.path {
            if !text.is_empty() && !part.starts_with('[') {
                text.push('.');
            }
            text.push_str(part);
        }
        text
    }
}

/// A key in a path; one with dots in it is quoted by brackets.
fn segment(key: &str) -> String {
    if key.contains(['.', '/', '[']) { format!("[{key}]") } else { key.to_owned() }
}

/// A value without what is hidden inside it.
fn hidden(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let hides = |key: &str| HIDDEN.iter().any(|part| key.contains(part));
            let entries = entries.iter().map(|(key, value)| {
                (key.clone(), if hides(key) { Value::from(MASK) } else { hidden(value) })
            });
            Value::Object(entries.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(hidden).collect()),
        other => other.clone(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text)
            if !text.is_empty() && !text.contains(char::is_control) && !text.contains(' ') =>
        {
            text.clone()
        }
        other => other.to_string(),
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(VALUE_LIMIT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Whether a live object has every field of `want` with its value.
///
/// Lists must have the same length: who added an item may have meant to, but then the server has to judge.
pub(super) fn covers(live: &Value, want: &Value) -> bool {
    if is_secret(want) {
        return covers_secret(live, want);
    }
    includes(live, want, 0)
}

pub(super) fn includes(live: &Value, want: &Value, depth: usize) -> bool {
    match (live, want) {
        _ if depth > MAX_DEPTH => false,
        // `creationTimestamp: null` and its like ask for nothing.
        (_, Value::Null) => true,
        // Go leaves empty lists and maps out, or writes null for them.
        (Value::Null, Value::Array(want)) => want.is_empty(),
        (Value::Null, Value::Object(want)) => want.is_empty(),
        (Value::Object(live), Value::Object(want)) => {
            want.iter().all(|(key, want)| includes(live.get(key).unwrap_or(&Value::Null), want, depth + 1))
        }
        (Value::Array(live), Value::Array(want)) => {
            live.len() == want.len() && live.iter().zip(want).all(|(l, w)| includes(l, w, depth + 1))
        }
        (live, want) => live == want,
    }
}

/// `stringData` is written only: the server moves it into `data`.
fn covers_secret(live: &Value, want: &Value) -> bool {
    let texts = want["stringData"].as_object();
    let moved = texts.into_iter().flatten().all(|(key, text)| {
        let encoded = text.as_str().map(|t| STANDARD.encode(t));
        encoded.is_some()
            && live.pointer("/data").and_then(|d| d.get(key)).and_then(Value::as_str) == encoded.as_deref()
    });
    let mut rest = want.clone();
    if let Some(rest) = rest.as_object_mut() {
        rest.remove("stringData");
    }
    moved && includes(live, &rest, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines(old: &Value, new: &Value) -> Vec<String> {
        diff_objects(old, new, &Redactions::default()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fields_are_named_with_both_values() {
        for (name, old, new, want) in [
            ("nothing", json!({"a": 1}), json!({"a": 1}), vec![]),
            (
                "a number",
                json!({"spec": {"replicas": 1}}),
                json!({"spec": {"replicas": 2}}),
                vec!["spec.replicas 1 -> 2"],
            ),
            ("a new field", json!({}), json!({"a": {"b": "x y"}}), vec![r#"a added {"b":"x y"}"#]),
            ("a lost field", json!({"a": 1, "b": null}), json!({}), vec!["a removed"]),
            (
                "a named item",
                json!({"c": [{"name": "a", "image": "i:1"}, {"name": "b"}]}),
                json!({"c": [{"name": "b"}, {"name": "a", "image": "i:2"}]}),
                vec!["c[a].image i:1 -> i:2"],
            ),
            (
                "a list by place",
                json!({"c": [1, 2]}),
                json!({"c": [1, 3, 4]}),
                vec!["c[1] 2 -> 3", "c[2] added 4"],
            ),
            (
                "a dotted key",
                json!({"l": {"a.b/c": "x"}}),
                json!({"l": {"a.b/c": "y"}}),
                vec!["l[a.b/c] x -> y"],
            ),
        ] {
            assert_eq!(lines(&old, &new), want, "{name}");
        }
    }

    #[test]
    fn secret_values_are_never_shown() {
        let secret = |data: Value| json!({"apiVersion": "v1", "kind": "Secret", "data": data, "stringData": {"s": "hunter2"}});
        let old = secret(json!({"a": "aHVudGVyMg==", "b": "x"}));
        let new = json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "b3RoZXI=", "c": "x"}});
        assert_eq!(
            lines(&old, &new),
            ["data.a changed", "data.b removed", "data.c added ***", "stringData.s removed"]
        );
        let text = format!("{:?}", diff_objects(&json!({"kind": "ConfigMap"}), &new, &Redactions::default()));
        assert!(!text.contains("b3RoZXI"), "{text}");
    }

    #[test]
    fn what_a_chart_copies_out_of_a_secret_is_masked() {
        let mut redactions = Redactions::default();
        let long = "s3cr3t".repeat(20);
        redactions.add_object(&json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"p": &long}}));
        let sum = |sum: &str| json!({"annotations": {"checksum/secret": sum}, "env": [{"name": "P", "value": "a"}]});
        let added = diff_objects(&json!({}), &sum("aa"), &redactions);
        assert_eq!(added[0].to_string(), r#"annotations added {"checksum/secret":"***"}"#);
        let mut new = sum("bb");
        new["env"][0]["value"] = json!(format!("user:{long}@db"));
        let found: Vec<String> =
            diff_objects(&sum("aa"), &new, &redactions).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["annotations[checksum/secret] changed", "env[P].value a -> user:***@db"]);
    }

    #[test]
    fn of_a_live_object_only_what_is_wanted_is_compared() {
        let live =
            json!({"a": 1, "status": {"x": 1}, "l": [{"name": "m", "image": "i:1", "policy": "Always"}]});
        let want = json!({"a": 2, "l": [{"name": "m", "image": "i:1"}], "b": true});
        let found = diff_live(&live, &want, &Redactions::default());
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["a 1 -> 2", "b added true"]);
    }

    #[test]
    fn an_object_is_covered_when_the_server_only_added() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "x"}});
        for (name, live, want, covered) in [
            ("defaults", json!({"a": 1, "b": 2}), json!({"a": 1}), true),
            ("another value", json!({"a": 2}), json!({"a": 1}), false),
            ("a null", json!({"b": "now"}), json!({"a": null, "b": null}), true),
            ("an empty list", json!({"rules": null}), json!({"rules": [], "labels": {}}), true),
            ("a missing list", json!({}), json!({"rules": [1]}), false),
            ("a missing field", json!({}), json!({"a": 1}), false),
            ("a default in an item", json!({"p": [{"n": 1, "q": "TCP"}]}), json!({"p": [{"n": 1}]}), true),
            ("an item more", json!({"p": [1, 2]}), json!({"p": [1]}), false),
            (
                "moved stringData",
                json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "eA=="}}),
                secret.clone(),
                true,
            ),
            (
                "other stringData",
                json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "eQ=="}}),
                secret,
                false,
            ),
        ] {
            assert_eq!(covers(&live, &want), covered, "{name}");
        }
    }
}
