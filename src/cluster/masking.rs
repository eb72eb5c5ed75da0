//! Secret data, kept from every output.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// What is shown in place of a secret value.
pub const MASK: &str = "***";

/// The annotation in which kubectl keeps a copy of what was applied, Secret data and all.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Data of a Secret. It has no way to be printed or serialised; whoever needs it says so with [`expose`](Self::expose).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Masked<T>(T);

impl<T> Masked<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Never for a status, an event, a log or an error.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// Takes the value out; the same care applies.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Masked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Replaces what an object must not show: the data of a Secret, and kubectl's copy of it.
pub fn mask_object(object: &mut Value) {
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    if !is_secret(object) {
        return;
    }
    for key in ["data", "stringData"] {
        if let Some(data) = object.get_mut(key).and_then(Value::as_object_mut) {
            for value in data.values_mut() {
                *value = Value::String(MASK.to_owned());
            }
        }
    }
}

/// Whether it is a Secret, whose data nobody may be shown.
pub fn is_secret(object: &Value) -> bool {
    object["kind"] == "Secret" && object["apiVersion"] == "v1"
}

/// Secret texts that must not appear in a message; collected from the Secrets that a release reads and makes.
#[derive(Clone, Default)]
pub struct Redactions {
    texts: BTreeSet<String>,
    /// Whether some are missing.
    unknown: bool,
}

impl Redactions {
    /// Shorter texts are words that appear everywhere; replacing them would spoil every message.
    const SHORTEST: usize = 6;

    /// Those of Secrets that could not be read: with them nothing may be quoted that can hold one.
    pub fn unknown() -> Self {
        Self { unknown: true, ..Self::default() }
    }

    /// Whether they are all known.
    pub fn are_known(&self) -> bool {
        !self.unknown
    }

    /// Adds the data of an object, when it is a Secret.
    pub fn add_object(&mut self, object: &Value) {
        if !is_secret(object) {
            return;
        }
        for data in super::secret_data(object).into_values() {
            self.add(data.expose());
        }
        let plain = object["stringData"].as_object();
        for text in plain.into_iter().flat_map(|entries| entries.values()).filter_map(Value::as_str) {
            self.add(text.as_bytes());
        }
    }

    /// Adds the data of a Secret: the whole of it, its lines, and every scalar when it is YAML.
    pub fn add(&mut self, data: &[u8]) {
        let text = String::from_utf8_lossy(data);
        self.add_text(text.trim());
        if text.lines().nth(1).is_some() {
            text.lines().for_each(|line| self.add_text(line.trim()));
        }
        if let Ok(value) = pintle_goyaml::parse(data) {
            self.add_scalars(&value);
        }
    }

    fn add_scalars(&mut self, value: &pintle_goyaml::Value) {
        use pintle_goyaml::Value;
        let mut left = vec![value];
        while let Some(value) = left.pop() {
            match value {
                Value::String(text) => {
                    self.add_text(text.trim());
                    text.lines().for_each(|line| self.add_text(line.trim()));
                }
                Value::Int(number) => self.add_text(&number.to_string()),
                Value::Uint(number) => self.add_text(&number.to_string()),
                Value::Array(items) => left.extend(items),
                Value::Object(entries) => left.extend(entries.values()),
                Value::Null | Value::Bool(_) | Value::Float(_) => {}
            }
        }
    }

    /// Adds a text, and the forms in which charts and error messages show it.
    fn add_text(&mut self, text: &str) {
        use base64::Engine;
        if text.len() < Self::SHORTEST {
            return;
        }
        self.texts.insert(text.to_owned());
        self.texts.insert(base64::engine::general_purpose::STANDARD.encode(text));
        let escaped = format!("{text:?}");
        let escaped = escaped.trim_matches('"');
        if escaped != text {
            self.texts.insert(escaped.to_owned());
        }
    }

    /// The text without the secrets.
    pub fn apply(&self, text: &str) -> String {
        let mut secrets: Vec<&String> = self.texts.iter().filter(|s| text.contains(s.as_str())).collect();
        let mut text = text.to_owned();
        // Longest first: a secret can be a part of another one.
        secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
        for secret in secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), MASK);
            }
        }
        text
    }
}

impl fmt::Debug for Redactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} redactions", self.texts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_keys_only() {
        let mut object = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "s", "annotations": {LAST_APPLIED: "{\"data\":\"aHVudGVyMg==\"}"}},
            "data": {"a": "aHVudGVyMg=="}, "stringData": {"b": "hunter2"},
        });
        mask_object(&mut object);
        let text = object.to_string();
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
        assert_eq!(object["data"]["a"], MASK);
        assert_eq!(format!("{:?}", Masked::new("hunter2")), MASK);
    }

    #[test]
    fn the_data_of_a_secret_is_redacted_wherever_it_stands() {
        let mut redactions = Redactions::default();
        let secret = |kind: &str| serde_json::json!({"apiVersion": "v1", "kind": kind, "data": {"a": "aHVudGVyMg=="}, "stringData": {"b": "hunter3"}});
        redactions.add_object(&secret("ConfigMap"));
        assert_eq!(redactions.apply("hunter2 hunter3"), "hunter2 hunter3");
        redactions.add_object(&secret("Secret"));
        assert_eq!(redactions.apply("hunter2 hunter3 aHVudGVyMg=="), "*** *** ***");
    }

    #[test]
    fn messages_lose_the_secrets() {
        let mut redactions = Redactions::default();
        redactions.add(b"password: hunter2hunter\nport: 80\n");
        assert_eq!(redactions.apply("bad value hunter2hunter at port 80"), "bad value *** at port 80");
        let mut redactions = Redactions::default();
        redactions
            .add(b"users: [{name: bob, token: s3cr3t-t0ken}]\nkey: |\n  line-one-of-it\n  line-two-of-it\n");
        for shown in ["s3cr3t-t0ken", "czNjcjN0LXQwa2Vu", "line-one-of-it\\nline-two-of-it", "line-two-of-it"]
        {
            assert!(redactions.apply(shown).contains(MASK), "{shown}");
            assert!(!redactions.apply(shown).contains("line-"), "{shown}");
        }
    }

    #[test]
    fn what_a_manifest_makes_secret_is_redacted() {
        let mut redactions = Redactions::default();
        redactions.add_object(&serde_json::json!({
            "apiVersion": "v1", "kind": "Secret",
            "data": {"a": "aHVudGVyMmh1bnRlcg=="}, "stringData": {"b": "s3cr3t-t0ken"},
        }));
        redactions.add_object(
            &serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "greeting"}}),
        );
        let shown = redactions.apply("greeting hunter2hunter aHVudGVyMmh1bnRlcg== s3cr3t-t0ken");
        assert_eq!(shown, "greeting *** *** ***");
        assert!(redactions.are_known() && !Redactions::unknown().are_known());
    }
}
