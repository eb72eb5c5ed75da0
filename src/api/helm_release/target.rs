//! Name and namespaces of a release.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::HelmRelease;

/// Name and namespaces of a release.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Name of the release.
    pub release_name: String,
    /// Namespace of the objects.
    pub target_namespace: String,
    /// Namespace of the record.
    pub storage_namespace: String,
}

impl HelmRelease {
    /// Name and namespaces of the release that the spec asks for.
    ///
    /// A name over 53 characters is cut as Flux does: 40 characters, `-`, 12 hex digits of its SHA-256.
    pub fn target(&self) -> Target {
        let namespace = self.metadata.namespace.clone().unwrap_or_default();
        let name = self.metadata.name.clone().unwrap_or_default();
        let full = match (&self.spec.release_name, &self.spec.target_namespace) {
            (Some(name), _) => name.clone(),
            (None, Some(target)) if *target != namespace => format!("{target}-{name}"),
            (None, _) => name,
        };
        Target {
            release_name: shorten(&full),
            target_namespace: self.spec.target_namespace.clone().unwrap_or_else(|| namespace.clone()),
            storage_namespace: self.spec.storage_namespace.clone().unwrap_or(namespace),
        }
    }
}

/// Flux's rule for release names over 53 characters (helm-controller `internal/release/name.go`).
fn shorten(name: &str) -> String {
    use sha2::{Digest, Sha256};
    use std::fmt::Write;
    if name.len() <= 53 {
        return name.to_owned();
    }
    let digest = Sha256::digest(name.as_bytes());
    let mut short = name.get(..40).unwrap_or(name).to_owned();
    short.push('-');
    for byte in digest.iter().take(6) {
        let _ = write!(short, "{byte:02x}");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(spec: serde_json::Value) -> HelmRelease {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "pintle.dev/v1alpha1",
            "kind": "HelmRelease",
            "metadata": {"name": "web", "namespace": "apps"},
            "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn the_target_follows_flux_rules() {
        for (spec, name, target, storage) in [
            (serde_json::json!({"chart": {}}), "web", "apps", "apps"),
            (serde_json::json!({"chart": {}, "targetNamespace": "prod"}), "prod-web", "prod", "apps"),
            (serde_json::json!({"chart": {}, "targetNamespace": "apps"}), "web", "apps", "apps"),
            (serde_json::json!({"chart": {}, "releaseName": "w", "storageNamespace": "s"}), "w", "apps", "s"),
        ] {
            let got = release(spec.clone()).target();
            let want = Target {
                release_name: name.into(),
                target_namespace: target.into(),
                storage_namespace: storage.into(),
            };
            assert_eq!(got, want, "{spec}");
        }
    }

    #[test]
    fn long_names_are_cut_with_a_digest() {
        let name = "a".repeat(54);
        let short = shorten(&name);
        assert_eq!(short.len(), 53);
        assert!(short.starts_with(&"a".repeat(40)));
        assert_eq!(shorten(&"b".repeat(53)), "b".repeat(53));
    }
}
