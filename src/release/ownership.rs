//! To which release a live object belongs.
//!
//! A field manager never conflicts with itself, and every release is applied by the same one. What keeps two
//! releases apart is Helm's label and annotations, looked at before every write.

use serde_json::{Value, json};

use super::{Action, Error, LiveObject, ReleaseKey};
use crate::api::Reason;
use crate::cluster::{ObjectRef, Retry};

/// Helm's label of owned objects, and its value.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "Helm");
/// Helm's annotation with the release's name.
pub(super) const RELEASE_NAME: &str = "meta.helm.sh/release-name";
/// Helm's annotation with the release's namespace.
pub(super) const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";
/// Pintle's annotation of hook objects, which Helm leaves without an owner: `namespace/name` of the release.
pub const HOOK_OWNER: &str = "pintle.dev/release";
/// Helm's annotation that keeps an object from being deleted.
pub(super) const RESOURCE_POLICY: &str = "helm.sh/resource-policy";

/// To whom a live object belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    /// To this release.
    Ours,
    /// To nobody that Helm knows, as far as its marks say.
    Nobody,
    /// To another release.
    Other {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
}

/// Reads Helm's marks.
pub(super) fn ownership(live: &LiveObject, key: &ReleaseKey) -> Ownership {
    let name = live.annotation(RELEASE_NAME);
    let namespace = live.annotation(RELEASE_NAMESPACE);
    let managed = live.label(MANAGED_BY.0) == Some(MANAGED_BY.1);
    let same = |found: Option<&str>, want: &str| found.is_none_or(|f| f == want);
    if managed && name == Some(key.name.as_str()) && namespace == Some(key.namespace.as_str()) {
        Ownership::Ours
    } else if same(name, &key.name) && same(namespace, &key.namespace) {
        Ownership::Nobody
    } else {
        Ownership::Other {
            name: name.unwrap_or_default().to_owned(),
            namespace: namespace.unwrap_or_default().to_owned(),
        }
    }
}

/// Checks that a live object may be written. `recorded` says that a stored revision lists it: then lost marks are
/// put back, but another release's are respected.
///
/// # Errors
/// [`Reason::OwnershipConflict`], in Helm's words, with what to do.
pub(super) fn check(
    live: &LiveObject,
    object: &ObjectRef,
    key: &ReleaseKey,
    action: Action,
    recorded: bool,
) -> Result<(), Error> {
    let owner = ownership(live, key);
    match &owner {
        Ownership::Ours => return Ok(()),
        Ownership::Nobody if recorded => return Ok(()),
        _ => {}
    }
    let advice = match &owner {
        Ownership::Other { name, namespace } => format!(
            "it belongs to release {namespace}/{name}: take it out of one of the two, or give it another name"
        ),
        _ => format!(
            "to hand it over, label it {}={} and annotate it {RELEASE_NAME}={} {RELEASE_NAMESPACE}={}",
            MANAGED_BY.0, MANAGED_BY.1, key.name, key.namespace
        ),
    };
    let message = format!(
        "unable to continue with {}: {} exists and cannot be imported into the current release: \
         invalid ownership metadata; {}; {advice}",
        if action == Action::Install { "install" } else { "update" },
        helms_name(object),
        complaints(live, key).join("; "),
    );
    Err(Error::new(Reason::OwnershipConflict, Retry::OnChange, message).about(object))
}

/// `ConfigMap "x" in namespace "ns"`, as Helm writes it.
fn helms_name(object: &ObjectRef) -> String {
    format!("{} {:?} in namespace {:?}", object.kind, object.name, object.namespace)
}

/// What is wrong with the marks, in Helm's words (`pkg/action/validate.go:checkOwnership`).
fn complaints(live: &LiveObject, key: &ReleaseKey) -> Vec<String> {
    let rows = [
        ("label", MANAGED_BY.0, MANAGED_BY.1, live.label(MANAGED_BY.0)),
        ("annotation", RELEASE_NAME, key.name.as_str(), live.annotation(RELEASE_NAME)),
        ("annotation", RELEASE_NAMESPACE, key.namespace.as_str(), live.annotation(RELEASE_NAMESPACE)),
    ];
    rows.into_iter()
        .filter(|(_, _, want, found)| *found != Some(*want))
        .map(|(what, mark, want, found)| match found {
            None => format!("{what} validation error: missing key {mark:?}: must be set to {want:?}"),
            Some(found) => {
                format!(
                    "{what} validation error: key {mark:?} must equal {want:?}: current value is {found:?}"
                )
            }
        })
        .collect()
}

/// Puts Helm's marks on an object.
pub(super) fn mark(object: &mut Value, key: &ReleaseKey) {
    set(object, "labels", MANAGED_BY.0, MANAGED_BY.1);
    set(object, "annotations", RELEASE_NAME, &key.name);
    set(object, "annotations", RELEASE_NAMESPACE, &key.namespace);
}

/// Sets a label or annotation; a map that is null, or no map at all, is replaced.
pub(super) fn set(object: &mut Value, map: &str, name: &str, value: &str) {
    let Some(object) = object.as_object_mut() else { return };
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else { return };
    let entries = metadata.entry(map).or_insert_with(|| json!({}));
    if !entries.is_object() {
        *entries = json!({});
    }
    entries[name] = json!(value);
}

/// Whether Helm's resource policy keeps an object from being deleted.
pub(super) fn is_kept(object: &Value) -> bool {
    let policy = object.pointer("/metadata/annotations").and_then(|a| a.get(RESOURCE_POLICY));
    policy.and_then(Value::as_str).is_some_and(|policy| policy.trim().eq_ignore_ascii_case("keep"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ReleaseKey {
        ReleaseKey { name: "r".into(), namespace: "ns".into(), storage_namespace: "ns".into() }
    }

    fn object() -> ObjectRef {
        ObjectRef {
            group: String::new(),
            version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: "ns".into(),
            name: "x".into(),
        }
    }

    fn marked(managed: Option<&str>, name: Option<&str>, namespace: Option<&str>) -> LiveObject {
        let mut object = json!({"kind": "ConfigMap", "metadata": {"labels": null}});
        if let Some(value) = managed {
            set(&mut object, "labels", MANAGED_BY.0, value);
        }
        if let Some(value) = name {
            set(&mut object, "annotations", RELEASE_NAME, value);
        }
        if let Some(value) = namespace {
            set(&mut object, "annotations", RELEASE_NAMESPACE, value);
        }
        LiveObject::new(object)
    }

    #[test]
    fn objects_are_ours_only_with_all_marks() {
        let other = Ownership::Other { name: "s".into(), namespace: "ns".into() };
        for (name, live, want, recorded_may, may) in [
            ("all marks", marked(Some("Helm"), Some("r"), Some("ns")), Ownership::Ours, true, true),
            ("no marks", marked(None, None, None), Ownership::Nobody, true, false),
            (
                "another tool's label",
                marked(Some("me"), Some("r"), Some("ns")),
                Ownership::Nobody,
                true,
                false,
            ),
            ("another release", marked(Some("Helm"), Some("s"), Some("ns")), other, false, false),
        ] {
            assert_eq!(ownership(&live, &key()), want, "{name}");
            assert_eq!(
                check(&live, &object(), &key(), Action::Upgrade, true).is_ok(),
                recorded_may,
                "{name}"
            );
            assert_eq!(check(&live, &object(), &key(), Action::Upgrade, false).is_ok(), may, "{name}");
        }
    }

    #[test]
    fn a_refusal_has_helms_words_and_what_to_do() {
        let error =
            check(&marked(None, Some("s"), None), &object(), &key(), Action::Install, false).unwrap_err();
        assert_eq!(
            error.message,
            "unable to continue with install: ConfigMap \"x\" in namespace \"ns\" exists and cannot be imported into \
             the current release: invalid ownership metadata; label validation error: missing key \
             \"app.kubernetes.io/managed-by\": must be set to \"Helm\"; annotation validation error: key \
             \"meta.helm.sh/release-name\" must equal \"r\": current value is \"s\"; annotation validation error: \
             missing key \"meta.helm.sh/release-namespace\": must be set to \"ns\"; it belongs to release /s: take it \
             out of one of the two, or give it another name"
        );
        assert_eq!((error.reason, error.retry), (Reason::OwnershipConflict, Retry::OnChange));
    }

    #[test]
    fn the_keep_policy_is_read_as_helm_reads_it() {
        for (policy, kept) in [(" Keep ", true), ("keep", true), ("no", false)] {
            let object = json!({"metadata": {"annotations": {RESOURCE_POLICY: policy}}});
            assert_eq!(is_kept(&object), kept, "{policy}");
        }
        assert!(!is_kept(&json!({})));
    }
}
