//! Digests of objects: the same for the same content, whatever the layout, the comments or the order of keys.

use sha2::{Digest, Sha256};

use super::{Error, Manifest};

/// SHA-256 of an object's canonical JSON: keys sorted, no blanks; as `sha256:` and hex.
///
/// # Examples
/// ```
/// use pintle_helm::manifest::digest_object;
/// use serde_json::json;
/// assert_eq!(digest_object(&json!({"a": 1, "b": 2})), digest_object(&json!({"b": 2, "a": 1})));
/// ```
pub fn digest_object(object: &serde_json::Value) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, object);
    finish(hasher)
}

/// The digest of a whole manifest, hooks and definitions included.
pub(super) fn digest_manifest(manifest: &Manifest) -> Result<String, Error> {
    let mut hasher = Sha256::new();
    for crd in &manifest.crds {
        hasher.update(b"crd\0");
        hasher.update(Sha256::digest(&crd.file.data));
    }
    for document in &manifest.documents {
        for object in document.objects()? {
            hasher.update(b"object\0");
            feed(&mut hasher, &object);
        }
    }
    for hook in &manifest.hooks {
        for object in hook.objects()? {
            hasher.update(b"hook\0");
            feed(&mut hasher, &object);
        }
    }
    Ok(finish(hasher))
}

/// Feeds canonical JSON. Keys are sorted here, because a map of `serde_json` may keep its own order.
fn feed(hasher: &mut Sha256, value: &serde_json::Value) {
    match value {
        serde_json::Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                feed(hasher, item);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        serde_json::Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            hasher.update(b"{");
            for (key, item) in entries {
                hasher.update(serde_json::Value::from(key.as_str()).to_string());
                hasher.update(b":");
                feed(hasher, item);
                hasher.update(b",");
            }
            hasher.update(b"}");
        }
        scalar => hasher.update(scalar.to_string()),
    }
}

fn finish(hasher: Sha256) -> String {
    hasher.finalize().iter().fold("sha256:".to_owned(), |mut hex, byte| {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        hex
    })
}
