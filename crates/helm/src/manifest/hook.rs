//! Hooks: documents that run at an event instead of being applied.

use std::fmt;
use std::str::FromStr;

use super::Document;

const EVENTS: &str = "helm.sh/hook";
const WEIGHT: &str = "helm.sh/hook-weight";
const DELETE_POLICY: &str = "helm.sh/hook-delete-policy";
const OUTPUT_LOG_POLICY: &str = "helm.sh/hook-output-log-policy";

/// A document that runs at events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// `metadata.name`.
    pub name: String,
    /// `kind`.
    pub kind: String,
    /// The template it comes from.
    pub path: String,
    /// Its text.
    pub text: String,
    /// When it runs.
    pub events: Vec<HookEvent>,
    /// Lower runs first.
    pub weight: i64,
    /// When it is deleted; empty means [`DeletePolicy::BeforeHookCreation`].
    pub delete_policies: Vec<DeletePolicy>,
    /// When its logs are shown.
    pub output_log_policies: Vec<OutputLogPolicy>,
}

impl Hook {
    /// The objects of the hook as JSON.
    ///
    /// # Errors
    /// The text cannot be parsed.
    pub fn objects(&self) -> Result<Vec<serde_json::Value>, super::Error> {
        super::objects(&self.path, &self.text)
    }

    /// Whether it runs at `event`.
    pub fn runs_at(&self, event: HookEvent) -> bool {
        self.events.contains(&event)
    }

    /// The policies that count: Helm's default when none is given.
    pub fn effective_delete_policies(&self) -> &[DeletePolicy] {
        if self.delete_policies.is_empty() {
            &[DeletePolicy::BeforeHookCreation]
        } else {
            &self.delete_policies
        }
    }
}

/// Sorts hooks as they run: by weight, then by name, else as they were.
///
/// # Compatibility
/// As Helm v4 `pkg/action/hooks.go:hookByWeight`.
pub fn sort_for_execution(hooks: &mut [Hook]) {
    hooks.sort_by(|a, b| a.weight.cmp(&b.weight).then_with(|| a.name.cmp(&b.name)));
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal $(| $alias:literal)*),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Helm's word for it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word $(| $alias)* => Ok(Self::$variant),)+
                    _ => Err(UnknownWord),
                }
            }
        }
    };
}

/// A word that Helm does not know in this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown word")]
pub struct UnknownWord;

words! {
    /// When a hook runs.
    HookEvent {
        /// Before the objects of a first revision are created.
        PreInstall = "pre-install",
        /// After they are ready.
        PostInstall = "post-install",
        /// Before the release is uninstalled.
        PreDelete = "pre-delete",
        /// After it is.
        PostDelete = "post-delete",
        /// Before the objects of a later revision are changed.
        PreUpgrade = "pre-upgrade",
        /// After they are ready.
        PostUpgrade = "post-upgrade",
        /// Before a rollback.
        PreRollback = "pre-rollback",
        /// After a rollback.
        PostRollback = "post-rollback",
        /// When the release is tested.
        Test = "test" | "test-success",
    }
}

words! {
    /// When a hook's objects are deleted.
    DeletePolicy {
        /// After it succeeded.
        HookSucceeded = "hook-succeeded",
        /// After it failed.
        HookFailed = "hook-failed",
        /// Before it runs again.
        BeforeHookCreation = "before-hook-creation",
    }
}

words! {
    /// When a hook's logs are shown.
    OutputLogPolicy {
        /// After it succeeded.
        HookSucceeded = "hook-succeeded",
        /// After it failed.
        HookFailed = "hook-failed",
    }
}

/// What a document turns out to be.
pub(super) enum Class {
    /// To be applied.
    Document(Document),
    /// To be run.
    Hook(Hook),
    /// A hook of an event that does not exist: neither applied nor run.
    Unknown,
}

/// Tells hooks from documents.
pub(super) fn classify(document: Document) -> Class {
    let annotations = &document.head.annotations;
    let Some(events) = annotations.get(EVENTS) else { return Class::Document(document) };
    let words =
        |text: &str| -> Vec<String> { text.split(',').map(|word| word.trim().to_lowercase()).collect() };
    let Ok(events) = words(events).iter().map(|word| word.parse()).collect::<Result<Vec<HookEvent>, _>>()
    else {
        return Class::Unknown;
    };
    // Helm keeps policies that it does not know, and never acts on them.
    let delete_policies = annotations.get(DELETE_POLICY).map(|text| words(text)).unwrap_or_default();
    let output_log_policies = annotations.get(OUTPUT_LOG_POLICY).map(|text| words(text)).unwrap_or_default();
    Class::Hook(Hook {
        weight: annotations.get(WEIGHT).and_then(|text| text.parse().ok()).unwrap_or(0),
        delete_policies: delete_policies.iter().filter_map(|word| word.parse().ok()).collect(),
        output_log_policies: output_log_policies.iter().filter_map(|word| word.parse().ok()).collect(),
        name: document.head.name,
        kind: document.head.kind,
        path: document.source,
        text: document.text,
        events,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::manifest::Manifest;

    fn sorted(annotations: &str) -> Manifest {
        let text = format!("kind: Job\nmetadata:\n  name: h\n  annotations: {annotations}\n");
        Manifest::from_files(&BTreeMap::from([("t.yaml".to_owned(), text)])).unwrap()
    }

    /// What helm v4.3.1 does with the conformance cases `manifest.hook.*`.
    #[test]
    fn annotations_decide_as_in_helm() {
        use HookEvent::{PostUpgrade, PreInstall, Test};
        for (annotations, hooks, documents) in [
            (r#"{"helm.sh/hook": nonsense}"#, vec![], 0),
            (
                r#"{"helm.sh/hook": " Pre-Install , POST-upgrade"}"#,
                vec![(vec![PreInstall, PostUpgrade], 0)],
                0,
            ),
            (r#"{"helm.sh/hook": test-success, "helm.sh/hook-weight": "-5"}"#, vec![(vec![Test], -5)], 0),
            (r#"{"helm.sh/hook": crd-install}"#, vec![], 0),
            (r#"{"helm.sh/hook": ""}"#, vec![], 0),
            (r#"{"helm.sh/hook": "pre-install,"}"#, vec![], 0),
            (r#"{"helm.sh/hook": null}"#, vec![], 0),
            (r#"{"helm.sh/hook": pre-install, "helm.sh/hook-weight": abc}"#, vec![(vec![PreInstall], 0)], 0),
            (r#"{"helm.sh/hook-weight": "1"}"#, vec![], 1),
            ("null", vec![], 1),
        ] {
            let manifest = sorted(annotations);
            let found: Vec<_> = manifest.hooks.iter().map(|h| (h.events.clone(), h.weight)).collect();
            assert_eq!((found, manifest.documents.len()), (hooks, documents), "{annotations}");
        }
        let hook =
            &sorted(r#"{"helm.sh/hook": test, "helm.sh/hook-delete-policy": "hook-failed, x"}"#).hooks[0];
        assert_eq!(hook.effective_delete_policies(), [DeletePolicy::HookFailed]);
    }

    #[test]
    fn hooks_run_by_weight_and_then_by_name() {
        let hook = |name: &str, weight| Hook {
            name: name.to_owned(),
            kind: String::new(),
            path: String::new(),
            text: String::new(),
            events: vec![],
            weight,
            delete_policies: vec![],
            output_log_policies: vec![],
        };
        let mut hooks = [hook("b", 0), hook("a", 1), hook("a", 0), hook("z", -1)];
        sort_for_execution(&mut hooks);
        let names: Vec<_> = hooks.iter().map(|h| (h.weight, h.name.as_str())).collect();
        assert_eq!(names, [(-1, "z"), (0, "a"), (0, "b"), (1, "a")]);
    }
}
