//! Manifests: rendered files split into documents, sorted in Helm's install order, hooks apart.
//!
//! A [`Document`] keeps its text as the template wrote it, because that text is what Helm prints and stores; the
//! parsed object is made from it when somebody applies it.

mod digest;
mod hook;
mod order;
mod split;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use pintle_goyaml::Value;
use pintle_sprig::impure::Use;

use crate::Compat;
use crate::chart::Crd;
use crate::decode::Decoder;

use order::install_key;

pub use digest::digest_object;
pub use hook::{DeletePolicy, Hook, HookEvent, OutputLogPolicy, sort_for_execution};
pub use order::{Order, compare_kinds};
pub use split::{split, split_v3};

/// What a chart renders to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// What is applied, in install order.
    pub documents: Vec<Document>,
    /// What runs at events, in install order of the kinds; see [`sort_for_execution`].
    pub hooks: Vec<Hook>,
    /// The text of `NOTES.txt`.
    pub notes: String,
    /// The definitions of `crds/`.
    pub crds: Vec<Crd>,
    /// The uses of functions whose results depend on clock, chance or the cluster: rendering again gives something else,
    /// unless it is given these values.
    pub impure: Vec<Use>,
}

/// One document of a rendered file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The template it comes from: `lab/templates/x.yaml`.
    pub source: String,
    /// The text.
    pub text: String,
    /// What identifies the object.
    pub head: Head,
}

/// The part of a document that Helm reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`; empty means the release's.
    pub namespace: String,
    /// `metadata.annotations`, scalars as text.
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Sorts rendered files (path → text) into documents and hooks.
    ///
    /// `NOTES.txt` must be out already.
    ///
    /// # Errors
    /// A document is no YAML, or no object.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/release/v1/util/manifest_sorter.go:SortManifests`.
    pub fn from_files(files: &BTreeMap<String, String>) -> Result<Self, Error> {
        Self::from_files_as(files, Compat::V4)
    }

    /// As [`Manifest::from_files`], after the Helm that is asked for.
    ///
    /// # Errors
    /// As there.
    pub fn from_files_as(files: &BTreeMap<String, String>, compat: Compat) -> Result<Self, Error> {
        let mut manifest = Self::default();
        for (path, text) in files {
            if path.rsplit('/').next().unwrap_or_default().starts_with('_') || text.trim().is_empty() {
                continue;
            }
            let documents = match compat {
                Compat::V3 => split_v3(text),
                Compat::V4 => split(text),
            };
            for document in documents {
                let head = Head::parse(document.as_bytes()).map_err(|message| {
                    let message = match compat {
                        Compat::V3 => message.replace(" of type util.", " of type releaseutil."),
                        Compat::V4 => message,
                    };
                    Error::ParseDocument { template: path.clone(), message }
                })?;
                let document = Document { source: path.clone(), text: document.to_owned(), head };
                match hook::classify(document) {
                    hook::Class::Document(document) => manifest.documents.push(document),
                    hook::Class::Hook(hook) => manifest.hooks.push(hook),
                    hook::Class::Unknown => {}
                }
            }
        }
        manifest.documents.sort_by_cached_key(|document| install_key(compat, &document.head.kind));
        manifest.hooks.sort_by_cached_key(|hook| install_key(compat, &hook.kind));
        Ok(manifest)
    }

    /// Reads the text of a stored manifest back; hooks and notes are stored apart.
    ///
    /// # Errors
    /// A document is no YAML, or no object.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let mut manifest = Self::default();
        for document in split(text) {
            let (source, text) =
                match document.strip_prefix("# Source: ").and_then(|rest| rest.split_once('\n')) {
                    Some((source, text)) => (source.trim_end().to_owned(), text),
                    None => (String::new(), document),
                };
            let head = Head::parse(text.as_bytes())
                .map_err(|message| Error::ParseDocument { template: source.clone(), message })?;
            // `to_text` ended the document with one newline more than it has.
            let text = text.strip_suffix('\n').unwrap_or(text).to_owned();
            manifest.documents.push(Document { source, text, head });
        }
        Ok(manifest)
    }

    /// The documents as Helm stores them: `---`, `# Source: PATH`, text, newline.
    pub fn to_text(&self) -> String {
        text_of(self.blocks(false).collect())
    }

    /// The definitions of `crds/` before the documents, in the same form, as `--include-crds` prints them.
    pub fn to_text_with_crds(&self) -> String {
        text_of(self.blocks(true).collect())
    }

    /// Where the blocks of the text come from, and what they say; with or without the definitions in front.
    pub(crate) fn blocks(&self, with_crds: bool) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let crds = if with_crds { self.crds.as_slice() } else { &[] };
        let crds = crds.iter().map(|crd| (crd.path.as_str(), lossy(&crd.file.data)));
        let documents = self.documents.iter();
        crds.chain(documents.map(|document| (document.source.as_str(), document.text.as_str().into())))
    }

    /// SHA-256 over every object, in the order of the manifest, independent of layout and comments.
    ///
    /// Hooks are part of it: a changed hook is a changed release.
    ///
    /// # Errors
    /// A document cannot be parsed.
    pub fn digest(&self) -> Result<String, Error> {
        digest::digest_manifest(self)
    }
}

impl Document {
    /// The objects of the document as JSON: none for a comment, the items of a list one by one.
    ///
    /// # Errors
    /// The document is no YAML object, or a list whose items are none.
    pub fn objects(&self) -> Result<Vec<serde_json::Value>, Error> {
        objects(&self.source, &self.text)
    }
}

/// The objects of a document's text.
pub(crate) fn objects(source: &str, text: &str) -> Result<Vec<serde_json::Value>, Error> {
    let error = |message| Error::ParseDocument { template: source.to_owned(), message };
    let value = pintle_goyaml::parse(text.as_bytes()).map_err(|e| error(e.to_string()))?;
    if crate::values::is_too_deep(&value) {
        return Err(error("the document is nested too deep".to_owned()));
    }
    let mut found = Vec::new();
    flatten(value, source, 0, &mut found)?;
    Ok(found)
}

fn flatten(
    mut value: Value,
    source: &str,
    depth: usize,
    found: &mut Vec<serde_json::Value>,
) -> Result<(), Error> {
    let error =
        |message: &str| Error::ParseDocument { template: source.to_owned(), message: message.to_owned() };
    if depth > 8 {
        return Err(error("lists are nested too deep"));
    }
    let Value::Object(object) = &mut value else {
        return if matches!(value, Value::Null) {
            Ok(())
        } else {
            Err(error("a document must be an object"))
        };
    };
    let is_list = matches!(object.get("kind"), Some(Value::String(kind)) if kind.ends_with("List"));
    match object.get_mut("items") {
        Some(Value::Array(items)) if is_list => {
            for item in std::mem::take(items) {
                flatten(item, source, depth + 1, found)?;
            }
        }
        _ => found.push(crate::values::to_json(&value)),
    }
    Ok(())
}

impl Head {
    /// Reads the head of a document; the message is Go's.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        // Go matches the names of fields without regard to case, by Unicode's rules.
        let wanted = |key: &str| {
            !key.is_ascii()
                || ["apiVersion", "kind", "metadata"].iter().any(|name| name.eq_ignore_ascii_case(key))
        };
        let document = pintle_goyaml::parse_some(text, wanted).map_err(|error| error.to_string())?;
        let mut decoder = Decoder::new("SimpleHead");
        let mut head = Self::default();
        match &document {
            Value::Null => {}
            Value::Object(object) => {
                decoder.string(object, "apiVersion", &mut head.api_version);
                decoder.string(object, "kind", &mut head.kind);
                let go_type = r#"struct { Name string "json:\"name\""; Annotations map[string]string "json:\"annotations\"" }"#;
                decoder.nested(object, "metadata", ("", go_type), |decoder, metadata| {
                    decoder.string(metadata, "name", &mut head.name);
                    decoder.string_map(metadata, "annotations", &mut head.annotations);
                });
                // Helm does not read the namespace here, so a wrong type is no error here either.
                if let Some(Value::Object(metadata)) = object.get("metadata")
                    && let Some(Value::String(namespace)) = metadata.get("namespace")
                {
                    head.namespace.clone_from(namespace);
                }
            }
            other => decoder.not_object(other, "util.SimpleHead"),
        }
        decoder.finish()?;
        Ok(head)
    }
}

/// `String::from_utf8_lossy`, which takes bytes one by one even where all of them are good.
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The text of blocks. Some are megabytes long: it is never moved to a larger place.
fn text_of(blocks: Vec<(&str, Cow<'_, str>)>) -> String {
    let mut text =
        String::with_capacity(blocks.iter().map(|(source, text)| source.len() + text.len() + 32).sum());
    for (source, block) in &blocks {
        write_block(&mut text, source, block);
    }
    text
}

/// One block of a manifest's text.
pub(crate) struct Block<'m> {
    /// Where it comes from.
    pub(crate) source: &'m str,
    /// What it says.
    pub(crate) text: &'m str,
}

impl fmt::Display for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "---\n# Source: {}\n{}", self.source, self.text)
    }
}

/// Writes one block of a manifest's text.
pub(crate) fn write_block(out: &mut String, source: &str, text: &str) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{}", Block { source, text });
}

/// Why rendered text is no manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A document is no YAML, or no object.
    #[error("YAML parse error on {template}: {message}")]
    ParseDocument {
        /// The template.
        template: String,
        /// What the parser says, in Go's words.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Result<Manifest, Error> {
        Manifest::from_files(&BTreeMap::from([("lab/templates/case.yaml".to_owned(), text.to_owned())]))
    }

    /// Outputs printed by helm v4.3.1 for the conformance cases of these names.
    #[test]
    fn manifests_are_put_together_as_in_helm() {
        for (name, text, expected) in [
            (
                "manifest.split.17",
                "kind: A\n\n---\n\n\n# c\nkind: B\n# end\n",
                "---\n# Source: lab/templates/case.yaml\nkind: A\n\n\n---\n# Source: lab/templates/case.yaml\n# c\nkind: B\n# end\n",
            ),
            (
                "manifest.split.11",
                "# just comment\n",
                "---\n# Source: lab/templates/case.yaml\n# just comment\n",
            ),
            ("manifest.split.09", "kind: A\n---\n", "---\n# Source: lab/templates/case.yaml\nkind: A\n"),
            ("manifest.parse.08", "kind: 5\n", "---\n# Source: lab/templates/case.yaml\nkind: 5\n"),
        ] {
            assert_eq!(manifest(text).unwrap().to_text().trim(), expected.trim(), "{name}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_in_helms_words() {
        for (name, text, message) in [
            (
                "manifest.parse.01",
                "- a\n- b\n",
                "YAML parse error on lab/templates/case.yaml: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type util.SimpleHead",
            ),
            (
                "manifest.parse.03",
                "a: b: c\n",
                "YAML parse error on lab/templates/case.yaml: error converting YAML to JSON: yaml: mapping values are not allowed in this context",
            ),
            (
                "manifest.parse.05",
                "kind: [A]\n",
                "YAML parse error on lab/templates/case.yaml: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go struct field SimpleHead.kind of type string",
            ),
        ] {
            assert_eq!(manifest(text).unwrap_err().to_string(), message, "{name}");
        }
    }

    #[test]
    fn a_stored_text_reads_back() {
        let text =
            "kind: Service\nmetadata: {name: s, namespace: n}\n---\nkind: Secret\nmetadata: {name: x}\n";
        let first = manifest(text).unwrap();
        let kinds: Vec<_> = first.documents.iter().map(|d| d.head.kind.as_str()).collect();
        assert_eq!(kinds, ["Secret", "Service"]);
        let again = Manifest::from_text(&first.to_text()).unwrap();
        assert_eq!(again.documents, first.documents);
        assert_eq!(again.digest().unwrap(), first.digest().unwrap());
    }

    #[test]
    fn lists_are_flattened_and_comments_are_nothing() {
        let text =
            "kind: List\nitems:\n- {kind: A, i: 1}\n- {kind: BList, items: [{kind: B}]}\n---\n# none\n";
        let manifest = manifest(text).unwrap();
        let objects: Vec<_> = manifest.documents.iter().flat_map(|d| d.objects().unwrap()).collect();
        let deep = format!("kind: A\na: {}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(super::objects("x", &deep).is_err());
        assert_eq!(serde_json::json!(objects), serde_json::json!([{"kind": "A", "i": 1}, {"kind": "B"}]));
    }
}
