//! The release record: one revision of a release, in the format that Helm stores and reads.
//!
//! A [`Record`] is JSON, gzipped, in base64; a Secret carries it with a few labels. helm 4.3 and 3.22 list it, show
//! it, roll back to it and upgrade from it. What only Pintle knows stands beside it, in a second key of the same
//! Secret; see `docs/design/0002-release-record.md`.

mod payload;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::chart::{Chart, ChartFile, Lock, Metadata};
use crate::manifest::{DeletePolicy, Hook, HookEvent, OutputLogPolicy};
use crate::values::Values;

pub use payload::{decode, encode};

/// The type of the Secret.
pub const SECRET_TYPE: &str = "helm.sh/release.v1";

/// The data key of the payload.
pub const DATA_KEY: &str = "release";

/// The label that every query of Helm selects by, and its value.
pub const OWNER_LABEL: (&str, &str) = ("owner", "helm");

/// Labels that users may not set on a release.
pub const RESERVED_LABELS: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];

/// The name of the Secret of a revision.
///
/// # Examples
/// ```
/// assert_eq!(pintle_helm::record::secret_name("web", 3), "sh.helm.release.v1.web.v3");
/// ```
pub fn secret_name(release: &str, revision: u32) -> String {
    format!("sh.helm.release.v1.{release}.v{revision}")
}

/// The release and the revision that a Secret's name says.
pub fn parse_secret_name(name: &str) -> Option<(&str, u32)> {
    let (release, revision) = name.strip_prefix("sh.helm.release.v1.")?.rsplit_once(".v")?;
    Some((release, revision.parse().ok()?))
}

/// One revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The release's name.
    pub name: String,
    /// Times, status, notes.
    pub info: Info,
    /// The chart.
    pub chart: RecordChart,
    /// What the user set.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Values::is_empty")]
    pub config: Values,
    /// The documents, as [`Manifest::to_text`](crate::manifest::Manifest::to_text) writes them.
    pub manifest: String,
    /// The hooks.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<RecordHook>,
    /// The revision; `version` is the wire's word for it.
    #[serde(rename = "version")]
    pub revision: u32,
    /// The namespace that the objects go to.
    pub namespace: String,
    /// `ssa` or `csa`; absent where Helm 3 wrote the record, which means `csa`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apply_method: Option<String>,
}

/// What a record says about its revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// When the release was first deployed, RFC 3339.
    #[serde(deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub first_deployed: Option<String>,
    /// When this revision was made.
    #[serde(deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub last_deployed: Option<String>,
    /// When the release was uninstalled.
    #[serde(deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub deleted: Option<String>,
    /// A sentence; see [`description`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where the revision stands.
    pub status: Status,
    /// The revision that a rollback went back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_revision: Option<u32>,
    /// The rendered notes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

/// Where a revision stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Running.
    Deployed,
    /// Gone, its history kept.
    Uninstalled,
    /// Replaced by a later revision.
    Superseded,
    /// Not deployed completely.
    Failed,
    /// Being uninstalled.
    Uninstalling,
    /// Being installed.
    PendingInstall,
    /// Being upgraded to.
    PendingUpgrade,
    /// Being rolled back to.
    PendingRollback,
    /// Not known, or a word that a newer Helm wrote.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Status {
    /// Helm's word, which is also the value of the label `status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Deployed => "deployed",
            Self::Uninstalled => "uninstalled",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
            Self::Uninstalling => "uninstalling",
            Self::PendingInstall => "pending-install",
            Self::PendingUpgrade => "pending-upgrade",
            Self::PendingRollback => "pending-rollback",
        }
    }

    /// Whether an action on the revision has not concluded.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Helm's sentences for [`Info::description`].
pub mod description {
    /// While a first revision is being installed.
    pub const INSTALLING: &str = "Initial install underway";
    /// After it.
    pub const INSTALLED: &str = "Install complete";
    /// While a later revision is being installed.
    pub const UPGRADING: &str = "Preparing upgrade";
    /// After it.
    pub const UPGRADED: &str = "Upgrade complete";
    /// While the release is being uninstalled.
    pub const UNINSTALLING: &str = "Deletion in progress (or silently failed)";
    /// After it.
    pub const UNINSTALLED: &str = "Uninstallation complete";

    /// During and after a rollback.
    pub fn rolled_back(to: u32) -> String {
        format!("Rollback to {to}")
    }

    /// After a failed install.
    pub fn install_failed(release: &str, error: &str) -> String {
        format!("Release {release:?} failed: {error}")
    }

    /// After a failed upgrade.
    pub fn upgrade_failed(release: &str, error: &str) -> String {
        format!("Upgrade {release:?} failed: {error}")
    }

    /// After a failed rollback.
    pub fn rollback_failed(release: &str, error: &str) -> String {
        format!("Rollback {release:?} failed: {error}")
    }
}

/// A chart as a record holds it: without the charts it depends on, which only their output remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordChart {
    /// `Chart.yaml`.
    pub metadata: Metadata,
    /// `Chart.lock`.
    pub lock: Option<Lock>,
    /// The templates.
    #[serde(deserialize_with = "null_default")]
    pub templates: Vec<RecordFile>,
    /// The defaults, with what children exported.
    #[serde(deserialize_with = "null_default")]
    pub values: Values,
    /// `values.schema.json`.
    #[serde(with = "payload::optional_bytes")]
    pub schema: Option<Vec<u8>>,
    /// The other files.
    #[serde(deserialize_with = "null_default")]
    pub files: Vec<RecordFile>,
}

/// A file as a record holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordFile {
    /// Path inside the chart.
    pub name: String,
    /// Content; null in Go where it is empty.
    #[serde(with = "payload::bytes")]
    pub data: Vec<u8>,
}

/// A hook as a record holds it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordHook {
    /// `metadata.name`.
    pub name: String,
    /// `kind`.
    pub kind: String,
    /// The template.
    pub path: String,
    /// The text.
    pub manifest: String,
    /// Events, in Helm's words.
    #[serde(deserialize_with = "null_default")]
    pub events: Vec<String>,
    /// How it ended the last time.
    pub last_run: HookRun,
    /// Lower runs first.
    #[serde(skip_serializing_if = "is_zero")]
    pub weight: i64,
    /// Delete policies, in Helm's words.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub delete_policies: Vec<String>,
    /// Output log policies, in Helm's words.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub output_log_policies: Vec<String>,
}

/// The last run of a hook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookRun {
    /// When it began, RFC 3339.
    #[serde(deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Empty (never run), `Unknown`, `Running`, `Succeeded` or `Failed`.
    pub phase: String,
}

impl RecordChart {
    /// The part of a chart that a record holds.
    pub fn of(chart: &Chart) -> Self {
        let files = |files: &[ChartFile]| {
            files
                .iter()
                .map(|file| RecordFile { name: file.name.to_string(), data: file.data.to_vec() })
                .collect()
        };
        Self {
            metadata: chart.metadata.clone(),
            lock: chart.lock.clone(),
            templates: files(&chart.templates),
            values: Values::clone(&chart.values),
            schema: chart.schema.as_ref().map(|schema| schema.to_vec()),
            files: files(&chart.files),
        }
    }
}

impl From<&Hook> for RecordHook {
    fn from(hook: &Hook) -> Self {
        Self {
            name: hook.name.clone(),
            kind: hook.kind.clone(),
            path: hook.path.clone(),
            manifest: hook.text.clone(),
            events: hook.events.iter().map(ToString::to_string).collect(),
            last_run: HookRun::default(),
            weight: hook.weight,
            delete_policies: hook.delete_policies.iter().map(ToString::to_string).collect(),
            output_log_policies: hook.output_log_policies.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&RecordHook> for Hook {
    /// Words that Pintle does not know are left out: Helm does nothing at them either.
    fn from(hook: &RecordHook) -> Self {
        fn words<T: std::str::FromStr>(words: &[String]) -> Vec<T> {
            words.iter().filter_map(|word| word.parse().ok()).collect()
        }
        Self {
            name: hook.name.clone(),
            kind: hook.kind.clone(),
            path: hook.path.clone(),
            text: hook.manifest.clone(),
            events: words::<HookEvent>(&hook.events),
            weight: hook.weight,
            delete_policies: words::<DeletePolicy>(&hook.delete_policies),
            output_log_policies: words::<OutputLogPolicy>(&hook.output_log_policies),
        }
    }
}

impl Record {
    /// The labels of the Secret; `user_labels` are the release's own, and `changed_at` is in unix seconds.
    ///
    /// `created` says whether the Secret is being created or updated: Helm stamps the two differently.
    pub fn labels(
        &self,
        user_labels: &BTreeMap<String, String>,
        changed_at: i64,
        created: bool,
    ) -> BTreeMap<String, String> {
        let mut labels: BTreeMap<String, String> = user_labels
            .iter()
            .filter(|(key, _)| !RESERVED_LABELS.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        labels.insert("name".to_owned(), self.name.clone());
        labels.insert(OWNER_LABEL.0.to_owned(), OWNER_LABEL.1.to_owned());
        labels.insert("status".to_owned(), self.info.status.to_string());
        labels.insert("version".to_owned(), self.revision.to_string());
        labels.insert(if created { "createdAt" } else { "modifiedAt" }.to_owned(), changed_at.to_string());
        labels
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Go writes nil slices and maps as `null`.
fn null_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Helm 3 writes a time that was never set as the empty text, Go as the year 1.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty() && !text.starts_with("0001-01-01T00:00:00")))
}

/// Why a payload is no record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no base64.
    #[error("the release record is no base64")]
    Base64 {
        /// Where it breaks.
        source: base64::DecodeError,
    },
    /// The bytes are no gzip.
    #[error("failed to decompress the release record")]
    Gzip {
        /// Why.
        source: std::io::Error,
    },
    /// The payload is larger than any Secret could mean.
    #[error("the release record is larger than {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: u64,
    },
    /// The JSON is no object.
    #[error("the release record is no JSON object")]
    NotObject,
    /// The JSON is no record.
    #[error("failed to parse the release record")]
    Json {
        /// Where it breaks.
        source: serde_json::Error,
    },
}

#[cfg(test)]
mod tests;
