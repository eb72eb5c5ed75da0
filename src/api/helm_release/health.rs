//! How the objects of a kind tell whether they are ready, where nobody else knows.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// CEL expressions that judge the objects of a kind. Each sees the object's fields as variables: `metadata`, `spec`,
/// `status` and so on. The first one that is true decides: `inProgress`, `failed`, `current`; when none is, or one cannot
/// be evaluated, the object is on its way.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckExpr {
    /// Version of the objects; only its group counts.
    #[schemars(length(min = 1, max = 317))]
    pub api_version: String,
    /// Kind of the objects; when absent, all kinds of the group that no other entry names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
    /// Whether the object is as its spec asks.
    #[schemars(length(min = 1, max = 2048))]
    pub current: String,
    /// Whether the object is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub in_progress: Option<String>,
    /// Whether the object will not get there by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub failed: Option<String>,
}
