//! The history of a release: its revisions, as Helm's Secrets hold them.
//!
//! One list request reads all of them. What a no-op needs stands in labels and in Pintle's own facts, so that
//! the record of a revision is decoded only when something must be done. Each write is one request with the
//! `resourceVersion` that was read: a revision that somebody else changed is never overwritten blindly.
//!
//! A record that does not fit into its Secret stands in further ones, which [`History::complete`] reads; see
//! [`spill`].

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use pintle_helm::record::{self, Record, Status};
use pintle_helm::render::Use;

use super::draft::Draft;
use super::facts::{self, Facts, Remedy};
use super::revision::Edit;
use super::{Error, Owner, Release, ReleaseKey, Revision, spill};
use crate::api::{DeletionPropagation, Reason};
use crate::cluster::{Class, Deletion, Kind, ObjectRef, Retry, TenantClient, is_as_new};

/// Larger histories are read again instead of being remembered.
const REMEMBERED_BYTES: usize = 64 << 10;
/// The field manager of the storage: Helm's own.
const MANAGER: &str = "helm";

/// All revisions of a release, oldest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    revisions: Vec<Revision>,
}

impl History {
    /// What the templates of the newest revision drew from clock and chance. A revision that helm made last has not told.
    pub fn drawn(&self) -> Arc<[Use]> {
        self.revisions
            .iter()
            .rev()
            .find_map(|r| r.facts.as_ref())
            .map_or_else(Arc::default, |f| f.drawn[..].into())
    }

    /// Reads the history: one list request. Revisions that helm does not see are read like all others.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn load(tenant: &TenantClient, key: &ReleaseKey) -> Result<Self, Error> {
        let (label, helm) = record::OWNER_LABEL;
        let selector = format!("{label} in ({helm},{}),name={}", spill::OWNER, key.name);
        let secrets = tenant.list(&Kind::secret(), &key.storage_namespace, &selector).await?;
        Ok(Self::from_secrets(&secrets))
    }

    /// Puts the Secrets in order; what is none of Helm's is left out.
    pub fn from_secrets(secrets: &[Value]) -> Self {
        let mut revisions: Vec<Revision> = secrets.iter().filter_map(Revision::from_secret).collect();
        revisions.sort_by_key(|r| r.number);
        Self { revisions }
    }

    /// The history as it can be remembered through a wait, unless it is large.
    #[must_use]
    pub fn to_remember(&self) -> Option<Self> {
        let bytes: usize = self.revisions.iter().map(Revision::payload_bytes).sum();
        let revisions = || self.revisions.iter().cloned().map(Revision::undecoded).collect();
        (bytes <= REMEMBERED_BYTES).then(|| Self { revisions: revisions() })
    }

    /// Whether these revisions, with their versions, are the ones that there are. One that is told of in an older
    /// version than the own one was written here since.
    pub fn is_as_told(&self, told: &BTreeMap<u32, String>) -> bool {
        told.len() == self.revisions.len()
            && self.revisions.iter().all(|own| {
                told.get(&own.number).is_some_and(|version| is_as_new(&own.resource_version, version))
            })
    }

    /// Takes down that everything of `number` is applied, without a write.
    pub(super) fn presume_applied(&mut self, number: u32) {
        if let Some(revision) = self.revisions.iter_mut().find(|r| r.number == number)
            && let Some(facts) = &mut revision.facts
        {
            facts.applied = true;
            revision.is_unwritten = true;
        }
    }

    /// Reads what of the records of these revisions stands in further Secrets; no request when nothing does. A record
    /// that is broken is an error of that revision alone, told when it is asked for.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn complete(
        &self,
        tenant: &TenantClient,
        key: &ReleaseKey,
        numbers: &[u32],
    ) -> Result<(), Error> {
        for revision in numbers.iter().filter_map(|number| self.find(*number)) {
            if let Some(parts) = revision.parts()
                && revision.whole.get().is_none()
            {
                let decoded = spill::read(tenant, key, revision.number, parts).await?;
                // Somebody else may have read it meanwhile, to the same end.
                let _ = revision.whole.set(decoded.map(Arc::new));
            }
        }
        Ok(())
    }

    /// The revisions, oldest first.
    pub fn revisions(&self) -> &[Revision] {
        &self.revisions
    }

    /// The newest revision.
    pub fn latest(&self) -> Option<&Revision> {
        self.revisions.last()
    }

    /// The newest deployed revision. A crash can leave two: the older one is outdated.
    pub fn deployed(&self) -> Option<&Revision> {
        self.revisions.iter().rev().find(|r| r.status == Status::Deployed)
    }

    /// The revision `number`.
    pub fn find(&self, number: u32) -> Option<&Revision> {
        self.revisions.iter().find(|r| r.number == number)
    }

    /// The newest revision that was deployed once, and not uninstalled since.
    pub fn last_good(&self) -> Option<&Revision> {
        let mut since = self.revisions.iter().rev().take_while(|r| r.status != Status::Uninstalled);
        self.deployed().or_else(|| since.find(|r| r.was_good()))
    }

    /// The number that the next revision gets.
    pub fn next_number(&self) -> u32 {
        self.latest().map_or(1, |r| r.number.saturating_add(1))
    }

    /// The revisions whose objects may exist: everything since the last deployed one, that one included, but
    /// `number` itself and what is newer.
    pub fn base_of(&self, number: u32) -> Vec<&Revision> {
        let older = self.revisions.iter().filter(|r| r.number < number);
        let deployed = older.clone().rev().find(|r| r.status == Status::Deployed).map_or(0, |r| r.number);
        // An uninstalled revision has left nothing behind.
        let gone = older.clone().rev().find(|r| r.status == Status::Uninstalled).map_or(0, |r| r.number + 1);
        let from = deployed.max(gone);
        older.filter(|r| r.number >= from).collect()
    }

    /// Whether the record of any revision but `but` lists this hook.
    pub fn records_hook(&self, kind: &str, name: &str, but: u32) -> bool {
        self.revisions.iter().filter(|r| r.number != but).any(|r| {
            r.head().is_ok_and(|record| record.hooks.iter().any(|h| h.kind == kind && h.name == name))
        })
    }

    /// Numbers of deployed revisions that a newer deployed one has replaced.
    pub fn outdated(&self) -> Vec<u32> {
        let Some(newest) = self.deployed().map(|r| r.number) else { return Vec::new() };
        let older = self.revisions.iter().filter(|r| r.status == Status::Deployed && r.number < newest);
        older.map(|r| r.number).collect()
    }

    /// Numbers of the revisions that go, oldest first, so that `max` remain (0: all stay).
    ///
    /// The deployed one, the last good one, the newest one and the one that is held always stay.
    pub fn prunable(&self, max: u32, held: Option<u32>) -> Vec<u32> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        if max == 0 || self.revisions.len() <= max {
            return Vec::new();
        }
        let stays = [self.deployed(), self.last_good(), self.latest()].map(|r| r.map(|r| r.number));
        let rolled_back_to = self.latest().and_then(|r| r.facts.as_ref()?.rollback_of);
        self.revisions
            .iter()
            .map(|r| r.number)
            .filter(|n| !stays.contains(&Some(*n)) && held != Some(*n) && rolled_back_to != Some(*n))
            .take(self.revisions.len() - max)
            .collect()
    }

    /// Numbers of failed revisions that a newer failed one repeats, oldest first, so that `max` remain (0: all stay).
    ///
    /// Their manifest is that of the newest one, so that no object is forgotten with them.
    pub fn repeated_failures(&self, max: u32) -> Vec<u32> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let Some(latest) = self.latest().filter(|r| r.status == Status::Failed) else { return Vec::new() };
        let Some(digest) = latest.facts.as_ref().map(|f| &f.manifest_digest).filter(|d| !d.is_empty()) else {
            return Vec::new();
        };
        if max == 0 || self.revisions.len() <= max {
            return Vec::new();
        }
        let repeated = self.revisions.iter().filter(|r| {
            r.number != latest.number
                && r.status == Status::Failed
                && r.facts.as_ref().is_some_and(|f| f.manifest_digest == *digest)
        });
        repeated.map(|r| r.number).take(self.revisions.len() - max).collect()
    }

    /// Writes the intent: a new revision, pending, with its whole record. The first write of every action. What does not
    /// fit into the revision's Secret is written before it, so that a revision is never without its record.
    ///
    /// # Errors
    /// [`Reason::ReleaseClaimed`] when somebody else made a revision of that number, or the server's refusal.
    pub async fn begin(&mut self, cx: &Release<'_>, draft: Draft) -> Result<u32, Error> {
        let number = draft.record.revision;
        let object = secret_ref(cx.key, number);
        let secrets = draft.secrets(cx.key)?;
        spill::sweep(cx, self).await?;
        spill::write(cx, &secrets.parts).await?;
        let stored = match cx.tenant.create(&Kind::secret(), &object, &secrets.head, MANAGER).await {
            Ok(applied) => applied.object,
            // Its answer may have been lost: what is there tells whose it is.
            Err(error) if matches!(error.class, Class::AlreadyExists | Class::Transient) => {
                let existing = cx.tenant.get(&Kind::secret(), &object).await?;
                let Some(existing) = existing else { return Err(storage_error(error)) };
                claim(&existing, &draft.facts, cx.owner, &object)?;
                existing
            }
            Err(error) => return Err(storage_error(error)),
        };
        let mut revision = Revision::from_secret(&stored).ok_or_else(|| unreadable(&object))?;
        if let Some(record) = secrets.record {
            revision = revision.decoded(record);
        }
        self.put(revision);
        Ok(number)
    }

    /// Marks `number` as deployed.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn deploy(&mut self, cx: &Release<'_>, number: u32, message: &str) -> Result<(), Error> {
        let now = Timestamp::now();
        let edit = |record: &mut Record, facts: Option<&mut Facts>| {
            record.info.status = Status::Deployed;
            message.clone_into(&mut record.info.description);
            if let Some(facts) = facts {
                finish(facts, message, now);
                facts.created.clear();
                super::draft::note_hooks(record, facts);
            }
        };
        self.update(cx, number, &edit).await
    }

    /// Marks an older deployed revision as superseded; only ever after the new one is deployed.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn supersede(&mut self, cx: &Release<'_>, number: u32) -> Result<(), Error> {
        self.update(cx, number, &|record, _| record.info.status = Status::Superseded).await
    }

    /// Marks `number` as failed.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn fail(&mut self, cx: &Release<'_>, number: u32, error: &Error) -> Result<(), Error> {
        let now = Timestamp::now();
        let edit = |record: &mut Record, facts: Option<&mut Facts>| {
            record.info.status = Status::Failed;
            record.info.description = super::draft::failure_text(record, facts.as_deref(), &error.message);
            if let Some(facts) = facts {
                finish(facts, &error.message, now);
                facts.failure = Some(facts::Failure {
                    reason: error.reason.as_str().to_owned(),
                    retry: error.retry.into(),
                });
                // What follows right away needs it.
                if matches!(error.reason, Reason::Interrupted | Reason::Superseded) {
                    facts.created.clear();
                }
                super::draft::note_hooks(record, facts);
            }
        };
        self.update(cx, number, &edit).await
    }

    /// Writes down how the tests of the deployed revision `number` ended; its status stays.
    ///
    /// # Errors
    /// The server's refusal.
    pub(super) async fn note_tests(
        &mut self,
        cx: &Release<'_>,
        number: u32,
        tested: &facts::Tested,
    ) -> Result<(), Error> {
        let edit = |record: &mut Record, facts: Option<&mut Facts>| {
            if let Some(facts) = facts {
                facts.running = None;
                facts.tested = Some(tested.clone());
                super::draft::note_hooks(record, facts);
            }
        };
        self.update(cx, number, &edit).await
    }

    /// Marks `number` as being uninstalled until `deadline`, to put a failure right when there is a remedy; a revision
    /// of helm's becomes Pintle's by that.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn mark_uninstalling(
        &mut self,
        cx: &Release<'_>,
        number: u32,
        deadline: Timestamp,
        remedy: Option<&Remedy>,
    ) -> Result<(), Error> {
        let now = Timestamp::now();
        if let Some(revision) = self.revisions.iter_mut().find(|r| r.number == number) {
            revision.facts.get_or_insert_default();
        }
        let edit = |record: &mut Record, facts: Option<&mut Facts>| {
            record.info.status = Status::Uninstalling;
            record::description::UNINSTALLING.clone_into(&mut record.info.description);
            record.info.deleted = Some(now.to_string());
            if let Some(facts) = facts {
                facts.action = super::Action::Uninstall;
                facts.holder.clone_from(&cx.owner.holder);
                facts.owner.clone_from(&cx.owner.uid);
                facts.owner_name.clone_from(&cx.owner.name);
                facts.started_at = Some(now);
                facts.deadline = Some(deadline);
                facts.failure = None;
                facts.applied = false;
                facts.remedy = remedy.cloned();
            }
        };
        self.update(cx, number, &edit).await
    }

    /// Marks `number` as uninstalled, for a record that is kept.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn mark_uninstalled(&mut self, cx: &Release<'_>, number: u32) -> Result<(), Error> {
        let now = Timestamp::now();
        let edit = |record: &mut Record, facts: Option<&mut Facts>| {
            record.info.status = Status::Uninstalled;
            record::description::UNINSTALLED.clone_into(&mut record.info.description);
            if let Some(facts) = facts {
                finish(facts, record::description::UNINSTALLED, now);
                super::draft::note_hooks(record, facts);
            }
        };
        self.update(cx, number, &edit).await
    }

    /// Makes a revision of helm's Pintle's, by its facts alone: what helm reads stays as it is.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn adopt(&mut self, cx: &Release<'_>, number: u32, facts: &Facts) -> Result<(), Error> {
        if let Some(revision) = self.revisions.iter_mut().find(|r| r.number == number) {
            revision.facts.get_or_insert_default();
        }
        self.note(cx, number, &|edited| edited.clone_from(facts)).await
    }

    /// Changes the facts of `number` only: the progress of an action.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn note(
        &mut self,
        cx: &Release<'_>,
        number: u32,
        edit: &(dyn Fn(&mut Facts) + Sync),
    ) -> Result<(), Error> {
        self.write(cx, number, &|_, facts| facts.map_or((), edit), false).await
    }

    /// Deletes the Secret of a revision, and then those that hold its record.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn remove(&mut self, cx: &Release<'_>, number: u32) -> Result<(), Error> {
        let Some(revision) = self.find(number) else { return Ok(()) };
        let object = secret_ref(cx.key, number);
        let uid = Some(revision.uid.as_str()).filter(|uid| !uid.is_empty());
        let deletion =
            cx.tenant.delete(&Kind::secret(), &object, uid, DeletionPropagation::Background).await?;
        if deletion == Deletion::OtherObject {
            return Err(changed(&object));
        }
        if let Some(parts) = revision.parts() {
            spill::remove(cx, number, parts).await?;
        }
        self.revisions.retain(|r| r.number != number);
        Ok(())
    }

    async fn update(&mut self, cx: &Release<'_>, number: u32, edit: Edit<'_>) -> Result<(), Error> {
        self.write(cx, number, edit, true).await
    }

    /// Writes a changed revision; when it changed since it was read, it is read again once.
    async fn write(
        &mut self,
        cx: &Release<'_>,
        number: u32,
        edit: Edit<'_>,
        whole: bool,
    ) -> Result<(), Error> {
        let object = secret_ref(cx.key, number);
        let Some(mut revision) = self.find(number).cloned() else { return Err(changed(&object)) };
        for first in [true, false] {
            let patch = revision.patch(edit, whole)?;
            match cx.tenant.merge(&Kind::secret(), &object, &patch, MANAGER).await {
                Ok(applied) => {
                    let mut stored =
                        Revision::from_secret(&applied.object).ok_or_else(|| unreadable(&object))?;
                    if stored.parts() == revision.parts() {
                        stored.whole = revision.whole;
                    }
                    self.put(stored);
                    return Ok(());
                }
                Err(error) if error.class == Class::Stale && first => {
                    let current = cx.tenant.get(&Kind::secret(), &object).await?;
                    let current = current.as_ref().and_then(Revision::from_secret);
                    let Some(mut current) = current.filter(|c| c.is_same_work(&revision)) else {
                        return Err(changed(&object));
                    };
                    if current.facts.is_none() {
                        current.facts.clone_from(&revision.facts);
                    }
                    revision = current;
                }
                Err(error) => return Err(storage_error(error)),
            }
        }
        Err(changed(&object))
    }

    fn put(&mut self, revision: Revision) {
        match self.revisions.iter_mut().find(|r| r.number == revision.number) {
            Some(old) => *old = revision,
            None => {
                self.revisions.push(revision);
                self.revisions.sort_by_key(|r| r.number);
            }
        }
    }
}

/// The end of an action, in its facts.
fn finish(facts: &mut Facts, message: &str, now: Timestamp) {
    facts.completed_at = Some(now);
    facts.deadline = None;
    facts.applied = false;
    facts.failure = None;
    facts.message = crate::api::condition::truncate(message, 2048);
}

/// The Secret of a revision.
pub(super) fn secret_ref(key: &ReleaseKey, number: u32) -> ObjectRef {
    ObjectRef {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        namespace: key.storage_namespace.clone(),
        name: record::secret_name(&key.name, number),
    }
}

/// Whether a revision that exists already is the one that was about to be written.
fn claim(existing: &Value, ours: &Facts, owner: &Owner, object: &ObjectRef) -> Result<(), Error> {
    let theirs = Revision::from_secret(existing).and_then(|r| r.facts);
    match theirs {
        Some(theirs)
            if theirs.holder == ours.holder
                && theirs.owner == ours.owner
                && theirs.started_at == ours.started_at
                && theirs.manifest_digest == ours.manifest_digest =>
        {
            Ok(())
        }
        Some(theirs) if theirs.owner != owner.uid && theirs.owner_name != owner.name => {
            Err(claimed(&theirs.owner_name, &theirs.holder).about(object))
        }
        Some(_) => Err(changed(object)),
        None => Err(Error::new(
            Reason::ReleaseClaimed,
            Retry::Soon,
            format!("{object} was just written by helm; its action has to end first"),
        )
        .about(object)),
    }
}

/// The release belongs to another HelmRelease.
pub(super) fn claimed(owner: &str, holder: &str) -> Error {
    Error::new(
        Reason::ReleaseClaimed,
        Retry::OnChange,
        format!(
            "the release belongs to HelmRelease {owner} (held by {holder}); give this one another spec.releaseName, \
             or delete that one with deletionPolicy Orphan"
        ),
    )
}

fn changed(object: &ObjectRef) -> Error {
    let message =
        format!("{object} was changed or deleted by somebody else meanwhile; the history is read again");
    let mut error = Error::new(Reason::ProgressingWithRetry, Retry::Soon, message).about(object);
    error.transient = true;
    error
}

fn unreadable(object: &ObjectRef) -> Error {
    Error::new(Reason::InternalError, Retry::Soon, format!("the server's answer about {object} is no Secret"))
}

fn storage_error(error: crate::cluster::Error) -> Error {
    let too_large = error.class == Class::TooLarge;
    let mut error = Error::from(error);
    if too_large {
        error.reason = Reason::ReleaseTooLarge;
        error.message.push_str("; take large files out of the chart, or split it");
    }
    error
}
