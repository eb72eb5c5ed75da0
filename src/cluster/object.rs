//! Identities of Kubernetes objects.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The identity of an object: what stays the same while its content and its API version change.
///
/// Equality and order ignore the version, as Helm's do: an object that moves from `extensions/v1beta1` to
/// `apps/v1` has another group and is another object; from `v1beta1` to `v1` it is the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectRef {
    /// API group; empty for the core group.
    pub group: String,
    /// API version, by which the object is addressed.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectRef {
    fn key(&self) -> (&str, &str, &str, &str) {
        (&self.namespace, &self.name, &self.group, &self.kind)
    }

    /// `group/version`, or `version` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether it is a core Secret, whose content must never be shown.
    pub fn is_secret(&self) -> bool {
        self.group.is_empty() && self.kind == "Secret"
    }

    /// The inventory's form: `namespace_name_group_kind`.
    pub fn id(&self) -> String {
        format!("{}_{}_{}_{}", self.namespace, self.name, self.group, self.kind)
    }

    /// Reads an id of the inventory; names cannot contain `_`, except those of RBAC objects, so that the
    /// outer parts are taken first.
    pub fn from_id(id: &str, version: &str) -> Option<Self> {
        let (namespace, rest) = id.split_once('_')?;
        let (rest, kind) = rest.rsplit_once('_')?;
        let (name, group) = rest.rsplit_once('_')?;
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl PartialEq for ObjectRef {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ObjectRef {}

impl PartialOrd for ObjectRef {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ObjectRef {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl std::hash::Hash for ObjectRef {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// `Deployment logging/kib1`, `ClusterRole admin`.
impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// Whether an object is seen at a version that is not older than the other one: versions of objects of one kind are
/// numbers that grow (Kubernetes 1.35, KEP-5504); others tell nothing but that they are equal.
pub fn is_as_new(seen: &str, written: &str) -> bool {
    match (seen.parse::<u128>(), written.parse::<u128>()) {
        (Ok(seen), Ok(written)) => seen >= written,
        _ => seen == written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back() {
        for (namespace, name, group, kind) in [
            ("logging", "els1", "apps", "StatefulSet"),
            ("", "system:a_b", "rbac.authorization.k8s.io", "ClusterRole"),
            ("logging", "cfg", "", "ConfigMap"),
        ] {
            let object = ObjectRef {
                group: group.into(),
                version: "v1".into(),
                kind: kind.into(),
                namespace: namespace.into(),
                name: name.into(),
            };
            assert_eq!(ObjectRef::from_id(&object.id(), "v1"), Some(object));
        }
        assert_eq!(ObjectRef::from_id("nothing", "v1"), None);
    }
}
