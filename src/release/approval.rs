//! Whether a plan may be carried out, under `spec.approval: Manual`.
//!
//! A plan is known by its digest: what decides what will be done. The live objects do not: drift of an object between
//! the approval and the action is what the plan would have corrected anyway.

use serde_json::json;

use pintle_helm::manifest::digest_object;

use super::{Facts, History, Policy};

/// What the approval that is given means for a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The plan is approved.
    Approved,
    /// No plan is, or one that was carried out.
    Awaiting,
    /// Another plan is, which is void.
    Outdated,
}

/// Compares the approved digest with that of the plan: pure.
pub fn standing(history: &History, plan: &str, approved: Option<&str>) -> Standing {
    let Some(approved) = approved.map(str::trim).filter(|approved| !approved.is_empty()) else {
        return Standing::Awaiting;
    };
    if approved == plan {
        return Standing::Approved;
    }
    let plans = history.revisions().iter().filter_map(|r| r.facts.as_ref()?.plan.as_ref());
    // What was approved for an earlier revision stays in the annotation.
    if plans.into_iter().any(|plan| plan.digest == approved) {
        Standing::Awaiting
    } else {
        Standing::Outdated
    }
}

/// The digest of a plan for a revision with these facts, that begins at the deployed revision `base`.
///
/// A chart that draws from clock and chance renders something else each time: its manifest counts by what it is made
/// from, unless the draws are frozen. `is_fixed` says that it would be the same. `values` is a digest of what they are made
/// from.
pub(super) fn digest(
    facts: &Facts,
    values: &str,
    base: Option<u32>,
    policy: &Policy,
    is_fixed: bool,
) -> String {
    digest_object(&json!({
        "action": facts.action.as_str(),
        "base": base,
        "rollbackOf": facts.rollback_of,
        "chart": facts.chart_digest,
        "values": values,
        "spec": facts.spec_digest,
        "manifest": if is_fixed { facts.manifest_digest.as_str() } else { "" },
        "force": policy.force,
        "conflicts": policy.conflicts,
        "crds": policy.crds,
        "disableHooks": policy.disable_hooks,
        "createNamespace": policy.create_namespace,
    }))
}
