//! The history and the inventory, as the HelmRelease's status shows them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::targets::Targets;
use super::{Action, Error, Facts, History, Plan, Release, Revision};
use crate::api::{InventoryEntry, RevisionStatus};
use crate::cluster::ObjectRef;

/// Revisions in the status.
const SHOWN: usize = 10;

/// The last revisions, newest first.
///
/// A revision of helm's is decoded for the name of its chart; one of Pintle's says everything by its facts.
pub fn history_status(history: &History) -> Vec<RevisionStatus> {
    history.revisions().iter().rev().take(SHOWN).map(revision_status).collect()
}

fn revision_status(revision: &Revision) -> RevisionStatus {
    let created = Time(revision.created_at.unwrap_or(Timestamp::UNIX_EPOCH));
    let Some(facts) = &revision.facts else { return foreign_status(revision, created) };
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    RevisionStatus {
        revision: i64::from(revision.number),
        action: facts.action.as_str().to_owned(),
        rollback_of: facts.rollback_of.map(i64::from),
        status: revision.status.as_str().to_owned(),
        chart: facts.chart.name.clone(),
        chart_version: facts.chart.version.clone(),
        app_version: facts.chart.app_version.clone(),
        chart_digest: some(&facts.chart_digest),
        values_digest: some(&facts.values_digest),
        manifest_digest: some(&facts.manifest_digest),
        changes: Some(facts.changes),
        objects: facts.plan.as_ref().map(|plan| plan.objects.clone()).unwrap_or_default(),
        started_at: facts.started_at.map_or(created, Time),
        completed_at: facts.completed_at.map(Time),
        message: some(&facts.message),
    }
}

/// A revision that helm made.
fn foreign_status(revision: &Revision, created: Time) -> RevisionStatus {
    let record = revision.head().ok();
    let metadata = record.as_ref().map(|r| &r.chart.metadata);
    let of = |text: Option<&String>| text.filter(|t| !t.is_empty()).cloned();
    RevisionStatus {
        revision: i64::from(revision.number),
        action: Action::of(revision.status, revision.number).as_str().to_owned(),
        rollback_of: record.as_ref().and_then(|r| r.info.rollback_revision).map(i64::from),
        status: revision.status.as_str().to_owned(),
        chart: of(metadata.map(|m| &m.name)).unwrap_or_default(),
        chart_version: of(metadata.map(|m| &m.version)).unwrap_or_default(),
        app_version: of(metadata.map(|m| &m.app_version)),
        chart_digest: None,
        values_digest: None,
        manifest_digest: None,
        changes: None,
        objects: Vec::new(),
        started_at: created,
        completed_at: None,
        message: of(record.as_ref().map(|r| &r.info.description)),
    }
}

/// The entries of the objects that the release owns once a plan is carried out.
pub fn inventory(plan: &Plan) -> Vec<InventoryEntry> {
    entries(plan.inventory().into_iter().map(|(_, object)| object))
}

/// The entries of a revision's objects, from its record: for a status that does not know them.
///
/// # Errors
/// The record cannot be read, or one of its kinds is not served any more.
pub async fn recorded_inventory(cx: &Release<'_>, revision: &Revision) -> Result<Vec<InventoryEntry>, Error> {
    let targets = Targets::known(cx, &revision.manifest()?, &[]).await?;
    Ok(entries(targets.objects.into_iter().map(|target| target.object)))
}

fn entries(objects: impl Iterator<Item = ObjectRef>) -> Vec<InventoryEntry> {
    let mut entries: Vec<InventoryEntry> =
        objects.map(|object| InventoryEntry { id: object.id(), v: object.version }).collect();
    entries.sort();
    entries
}

/// Whether a revision that `asked` made necessary has come to an end, good or bad.
pub fn is_heeded(history: &History, asked: &str) -> bool {
    history.revisions().iter().any(|revision| {
        !revision.status.is_pending()
            && revision.facts.as_ref().is_some_and(|facts| facts.forced_at.as_deref() == Some(asked))
    })
}

/// The facts of the newest revision that Pintle made, for `lastAttempted*` and the like.
pub fn last_attempt(history: &History) -> Option<&Facts> {
    history.revisions().iter().rev().find_map(|r| r.facts.as_ref())
}
