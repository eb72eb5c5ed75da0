//! A revision before it is written: the record that Helm reads, and Pintle's facts.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use pintle_helm::chart::{Chart, ChartFile, Crd};
use pintle_helm::manifest::{Manifest, digest_object};
use pintle_helm::record::{self, HookRun, Info, Record, RecordChart, RecordFile, RecordHook, description};
use pintle_helm::render::Use;
use pintle_helm::values::Values;

use super::facts::{self, Action, Attempt, ChartFacts, Facts, Remedy};
use super::{Change, Desired, Error, History, Owner, Plan, Policy, ReleaseKey, Revision, spill};
use crate::api::{PlanStatus, Reason};
use crate::cluster::Retry;

/// What the data of a Secret may be in all.
const SECRET_LIMIT: usize = 1 << 20;
/// Longest summary of a plan that is recorded.
const SUMMARY_LIMIT: usize = 900;
/// Longest description of a failure.
const DESCRIPTION_LIMIT: usize = 1024;
/// Kept free for what the facts grow by while the action goes on.
const RESERVE: usize = 32 << 10;

/// A revision before it is written.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(super) record: Record,
    pub(super) facts: Facts,
    labels: BTreeMap<String, String>,
    /// Whether rendering again would give the same manifest.
    is_fixed: bool,
    /// What the values are made from, as a digest: the same for the same values before any revision has a key for theirs.
    values: String,
}

/// A revision as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Secrets {
    /// The Secret of the revision.
    pub(super) head: Value,
    /// Those that hold its record, when the head is too small for it.
    pub(super) parts: Vec<Value>,
    /// The record as the head alone holds it.
    pub(super) record: Option<Record>,
}

impl Draft {
    /// A revision with newly rendered content: an install or an upgrade. `config` is what the user set.
    ///
    /// # Errors
    /// The manifest cannot be read, or the record of the previous revision cannot.
    #[allow(clippy::too_many_arguments, reason = "each is one part of the record")]
    pub fn forward(
        history: &History,
        key: &ReleaseKey,
        owner: &Owner,
        action: Action,
        chart: &Chart,
        config: Values,
        manifest: &Manifest,
        desired: &Desired,
    ) -> Result<Self, Error> {
        let digest = manifest
            .digest()
            .map_err(|e| Error::new(Reason::InvalidManifest, Retry::OnChange, crate::cluster::chain(&e)))?;
        let facts = Facts {
            chart: ChartFacts {
                name: chart.metadata.name.clone(),
                version: chart.metadata.version.clone(),
                app_version: Some(chart.metadata.app_version.clone()).filter(|v| !v.is_empty()),
            },
            chart_digest: desired.chart_digest.clone(),
            values_digest: desired.values_digest.clone(),
            hmac_key: desired.hmac_key.clone(),
            spec_digest: desired.spec_digest.clone(),
            manifest_digest: digest,
            drawn: manifest.impure.iter().filter(|one| one.value.is_some()).cloned().collect(),
            ..Facts::default()
        };
        let mut stored = RecordChart::of(chart);
        keep_crds(&mut stored, manifest);
        let record = Record {
            chart: stored,
            config,
            manifest: manifest.to_text(),
            hooks: manifest.hooks.iter().map(RecordHook::from).collect(),
            info: Info { notes: manifest.notes.clone(), ..Info::default() },
            ..Record::default()
        };
        let mut draft = Self::new(history, key, owner, action, record, facts);
        draft.is_fixed = is_fixed(manifest, history);
        Ok(draft)
    }

    /// A revision with the content of revision `to`: nothing is rendered, the manifest is the same to the byte.
    ///
    /// # Errors
    /// There is no such revision, or its record cannot be read.
    pub fn rollback(history: &History, key: &ReleaseKey, owner: &Owner, to: u32) -> Result<Self, Error> {
        let Some(target) = history.find(to) else {
            return Err(super::state::revision_not_found(history, to));
        };
        let mut record = Record::clone(&*target.record()?);
        for hook in &mut record.hooks {
            hook.last_run = HookRun::default();
        }
        record.info.rollback_revision = Some(to);
        let mut facts = Facts { rollback_of: Some(to), ..Facts::default() };
        match &target.facts {
            Some(old) => {
                facts.chart = old.chart.clone();
                facts.chart_digest.clone_from(&old.chart_digest);
                facts.values_digest.clone_from(&old.values_digest);
                facts.hmac_key.clone_from(&old.hmac_key);
                facts.spec_digest.clone_from(&old.spec_digest);
                facts.manifest_digest.clone_from(&old.manifest_digest);
                // The manifest has those values again, so the next revision goes on from them.
                facts.drawn.clone_from(&old.drawn);
                facts.secret_values = old.secret_values;
            }
            None => {
                facts.secret_values = true;
                let metadata = &record.chart.metadata;
                facts.chart = ChartFacts {
                    name: metadata.name.clone(),
                    version: metadata.version.clone(),
                    app_version: Some(metadata.app_version.clone()).filter(|v| !v.is_empty()),
                };
                facts.hmac_key = facts::fresh_key();
                facts.manifest_digest = target.manifest()?.digest().unwrap_or_default();
            }
        }
        Ok(Self::new(history, key, owner, Action::Rollback, record, facts))
    }

    fn new(
        history: &History,
        key: &ReleaseKey,
        owner: &Owner,
        action: Action,
        mut record: Record,
        mut facts: Facts,
    ) -> Self {
        let now = Timestamp::now();
        let latest = history.latest();
        // A record that cannot be read costs the date of the first deployment, not the release.
        let first = latest.and_then(|r| r.head().ok()?.info.first_deployed.clone());
        record.name.clone_from(&key.name);
        record.namespace.clone_from(&key.namespace);
        record.revision = history.next_number();
        record.apply_method = Some("ssa".to_owned());
        record.info.status = action.pending();
        record.info.first_deployed = Some(first.unwrap_or_else(|| now.to_string()));
        record.info.last_deployed = Some(now.to_string());
        record.info.deleted = None;
        record.info.description = match (action, facts.rollback_of) {
            (Action::Rollback, Some(to)) => description::rolled_back(to),
            (Action::Install, _) => description::INSTALLING.to_owned(),
            _ => description::UPGRADING.to_owned(),
        };
        if action != Action::Rollback {
            record.info.rollback_revision = None;
        }
        facts.action = action;
        facts.holder.clone_from(&owner.holder);
        facts.owner.clone_from(&owner.uid);
        facts.owner_name.clone_from(&owner.name);
        facts.started_at = Some(now);
        let labels = latest.map(|r| r.labels.clone()).unwrap_or_default();
        let values = facts.values_digest.clone();
        Self { record, facts, labels, is_fixed: true, values }
    }

    /// The facts by which a revision of helm's becomes Pintle's, when it is what this draft would make: the same
    /// chart, the same user values, the same objects and hooks.
    ///
    /// # Errors
    /// The record of the revision cannot be read.
    pub fn adopting(mut self, revision: &Revision) -> Result<Option<Facts>, Error> {
        let record = revision.record()?;
        let (ours, theirs) = (&self.record.chart.metadata, &record.chart.metadata);
        if (&ours.name, &ours.version) != (&theirs.name, &theirs.version) {
            return Ok(None);
        }
        let values = |record: &Record| digest_object(&record.config.to_json());
        if values(&self.record) != values(&record)
            || content(self.manifest()?) != content(revision.manifest()?)
        {
            return Ok(None);
        }
        let made = record.info.last_deployed.as_ref().and_then(|at| at.parse().ok()).or(revision.created_at);
        self.facts.action = Action::of(revision.status, revision.number);
        self.facts.started_at = made;
        self.facts.completed_at = made;
        "adopted as helm made it".clone_into(&mut self.facts.message);
        Ok(Some(self.facts))
    }

    /// Says that Secrets are among its values.
    #[must_use]
    pub fn with_secret_values(mut self, secret_values: bool) -> Self {
        self.facts.secret_values |= secret_values;
        self
    }

    /// Says what its values are made from, as a digest of what everybody may know.
    #[must_use]
    pub fn of_values(mut self, digest: String) -> Self {
        self.values = digest;
        self
    }

    /// Adds what the plan found out, in numbers and in words, and the deadline of the action.
    ///
    /// With Secrets among the values, now or in a revision that it is compared with, no value is shown: a chart may copy
    /// them anywhere. What values a revision of helm's was made with is not known.
    #[must_use]
    pub fn with_plan(mut self, history: &History, plan: &Plan, policy: &Policy) -> Self {
        let number = self.record.revision;
        let earlier = history.base_of(number);
        let shows = |r: &&Revision| r.facts.as_ref().is_some_and(|facts| !facts.secret_values);
        let values = !self.facts.secret_values && earlier.iter().all(shows);
        let summary = if values { plan.summary() } else { plan.outline() };
        let base = earlier.iter().rev().find(|r| r.was_good()).map(|r| r.number);
        self.facts.changes = plan.changes;
        self.facts.summary = crate::api::condition::truncate(&summary, SUMMARY_LIMIT);
        self.facts.plan = Some(PlanStatus {
            digest: super::approval::digest(&self.facts, &self.values, base, policy, self.is_fixed),
            action: plan.action.as_str().to_owned(),
            revision: i64::from(number),
            base: base.map(i64::from),
            changes: plan.changes,
            objects: plan.first_objects(values),
            hooks: plan.first_hooks(),
        });
        self.facts.deadline = Some(after(policy.timeout));
        if policy.cleanup_on_fail {
            let created = plan.objects().filter(|p| p.change == Change::Create);
            self.facts.created = created.map(|p| p.object.clone()).collect();
        }
        self
    }

    /// Keeps secrets out of what the plan says.
    #[must_use]
    pub fn redacted(mut self, redact: &dyn Fn(&str) -> String) -> Self {
        self.facts.summary = redact(&self.facts.summary);
        for object in self.facts.plan.iter_mut().flat_map(|plan| plan.objects.iter_mut()) {
            object.paths.iter_mut().chain(&mut object.why).for_each(|text| *text = redact(text));
        }
        self
    }

    /// Adds the value of the annotation that asks for a new revision; once the revision has ended, it was heeded.
    #[must_use]
    pub fn forced_at(mut self, asked: Option<&str>) -> Self {
        self.facts.forced_at = asked.map(str::to_owned);
        self
    }

    /// Adds which attempt it is.
    #[must_use]
    pub fn of_attempt(mut self, attempt: Attempt) -> Self {
        self.facts.attempt = attempt;
        self
    }

    /// Adds what it puts right.
    #[must_use]
    pub fn to_remedy(mut self, remedy: Option<Remedy>) -> Self {
        self.facts.remedy = remedy;
        self
    }

    /// The number that the revision gets.
    pub fn number(&self) -> u32 {
        self.record.revision
    }

    /// What Pintle records of it.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its manifest, hooks and definitions included, as a later reader would see it.
    ///
    /// # Errors
    /// The text cannot be read back.
    pub fn manifest(&self) -> Result<Manifest, Error> {
        let number = self.record.revision;
        let mut manifest =
            Manifest::from_text(&self.record.manifest).map_err(|e| Error::record(number, &e))?;
        manifest.hooks = self.record.hooks.iter().map(Into::into).collect();
        manifest.crds = recorded_crds(&self.record.chart);
        Ok(manifest)
    }

    /// The Secrets, ready to be created.
    ///
    /// # Errors
    /// [`Reason::ReleaseTooLarge`].
    pub(super) fn secrets(&self, key: &ReleaseKey) -> Result<Secrets, Error> {
        let (mut record, mut facts) = (self.record.clone(), self.facts.clone());
        let number = record.revision;
        let limit = room_beside(Some(&facts)).saturating_sub(RESERVE);
        let mut payload = fit(&mut record, limit)?;
        let created = facts.started_at.unwrap_or_default().as_second();
        let mut labels = record.labels(&self.labels, created, true);
        let mut parts = Vec::new();
        if payload.len() > limit {
            if !spill::fits(&payload) {
                return Err(too_large(&record, payload.len()));
            }
            let (known, secrets) = spill::cut(key, number, &facts.owner, &payload);
            facts.parts = Some(known);
            parts = secrets;
            payload = record::encode(&spill::head(&record)).map_err(|e| Error::record(number, &e))?;
            labels.insert(record::OWNER_LABEL.0.to_owned(), spill::OWNER.to_owned());
        }
        let facts = serde_json::to_vec(&facts).map_err(|e| Error::record(number, &e))?;
        let head = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": record::secret_name(&key.name, number),
                "namespace": key.storage_namespace,
                "labels": labels,
            },
            "type": record::SECRET_TYPE,
            "data": {
                record::DATA_KEY: STANDARD.encode(payload),
                facts::DATA_KEY: STANDARD.encode(facts),
            },
        });
        let record = parts.is_empty().then_some(record);
        Ok(Secrets { head, parts, record })
    }
}

/// Whether all that a manifest drew from clock and chance was drawn for an earlier revision, and would be given again.
fn is_fixed(manifest: &Manifest, history: &History) -> bool {
    let earlier = history.drawn();
    let is_same = |one: &Use, other: &Use| {
        (&one.function, &one.file, &one.template, &one.arguments, one.occurrence)
            == (&other.function, &other.file, &other.template, &other.arguments, other.occurrence)
            && one.value == other.value
    };
    let drawn = manifest.impure.iter().filter(|one| !one.is_asking());
    drawn.into_iter().all(|one| one.value.is_some() && earlier.iter().any(|other| is_same(one, other)))
}

/// What a manifest says, whatever its layout. Helm does not store the definitions of charts below.
fn content(mut manifest: Manifest) -> Option<String> {
    manifest.crds.clear();
    manifest.digest().ok()
}

/// The moment that is `duration` from now.
pub(super) fn after(duration: std::time::Duration) -> Timestamp {
    let span = SignedDuration::try_from(duration).unwrap_or(SignedDuration::from_hours(24));
    Timestamp::now().checked_add(span).unwrap_or(Timestamp::MAX)
}

/// Encodes the changed record of a revision that is stored already.
///
/// # Errors
/// [`Reason::ReleaseTooLarge`], which what was kept free at the beginning prevents.
pub(super) fn encode_within(record: &mut Record, facts: Option<&Facts>) -> Result<Vec<u8>, Error> {
    let limit = room_beside(facts);
    let payload = fit(record, limit)?;
    if payload.len() > limit { Err(too_large(record, payload.len())) } else { Ok(payload) }
}

/// Bytes that a Secret has beside the facts.
fn room_beside(facts: Option<&Facts>) -> usize {
    let facts = facts.map_or(0, |f| serde_json::to_vec(f).map_or(0, |text| text.len()));
    SECRET_LIMIT.saturating_sub(facts)
}

/// Encodes a record into at most `limit` bytes, as far as that can be had by leaving out what helm does not need: the
/// bodies of templates first, then files. The definitions of `crds/` stay, because an action that is resumed after a
/// crash needs them.
///
/// # Errors
/// The record cannot be encoded.
pub(super) fn fit(record: &mut Record, limit: usize) -> Result<Vec<u8>, Error> {
    let encode = |record: &Record| record::encode(record).map_err(|e| Error::record(record.revision, &e));
    let mut payload = encode(record)?;
    let thin: [fn(&mut RecordChart); 2] = [
        |chart| chart.templates.iter_mut().for_each(|file| file.data.clear()),
        |chart| chart.files.retain(|file| is_crd(&file.name)),
    ];
    for cut in thin {
        if payload.len() <= limit {
            return Ok(payload);
        }
        cut(&mut record.chart);
        payload = encode(record)?;
    }
    Ok(payload)
}

/// The refusal of a record that no number of Secrets holds, with the sizes of its parts.
fn too_large(record: &Record, bytes: usize) -> Error {
    let json = |value: serde_json::Value| value.to_string().len();
    let files: usize = record.chart.files.iter().map(|file| file.data.len()).sum();
    let hooks: usize = record.hooks.iter().map(|hook| hook.manifest.len()).sum();
    let message = format!(
        "the record of revision {} has {bytes} bytes without the chart's templates, and {} Secrets do not hold it; before \
         compression its manifest has {}, its hooks {hooks}, the user's values {}, the chart's values {}, the chart's \
         definitions {files}; split the chart, or take large data out of it",
        record.revision,
        spill::MAX_PARTS,
        record.manifest.len(),
        json(record.config.to_json()),
        json(record.chart.values.to_json()),
    );
    Error::new(Reason::ReleaseTooLarge, Retry::OnChange, message)
}

/// Writes into the record how its hooks ended, where helm shows it.
pub(super) fn note_hooks(record: &mut Record, facts: &Facts) {
    for run in &facts.hooks {
        let hooks = record.hooks.iter_mut().filter(|h| h.kind == run.kind && h.name == run.name);
        for hook in hooks {
            hook.last_run = HookRun {
                started_at: Some(run.started_at.to_string()),
                completed_at: Some(run.completed_at.to_string()),
                phase: if run.succeeded { "Succeeded" } else { "Failed" }.to_owned(),
            };
        }
    }
}

/// Helm's sentence for a failed action.
pub(super) fn failure_text(record: &Record, facts: Option<&Facts>, message: &str) -> String {
    // helm prints it in the cell of a table; the whole message stands in the facts.
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    let message = crate::api::condition::truncate(&lines.join("; "), DESCRIPTION_LIMIT);
    match facts.map(|f| f.action) {
        Some(Action::Install) => description::install_failed(&record.name, &message),
        Some(Action::Rollback) => description::rollback_failed(&record.name, &message),
        Some(Action::Uninstall) => message,
        _ => description::upgrade_failed(&record.name, &message),
    }
}

/// The sentence for an action that succeeded.
pub(super) fn success_text(action: Action, rollback_of: Option<u32>) -> String {
    match (action, rollback_of) {
        (Action::Install, _) => description::INSTALLED.to_owned(),
        (Action::Rollback, Some(to)) => description::rolled_back(to),
        (Action::Uninstall, _) => description::UNINSTALLED.to_owned(),
        _ => description::UPGRADED.to_owned(),
    }
}

/// Whether a file of a chart, or of a chart below it, is one of `crds/`.
fn is_crd(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let manifest = ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known));
    let mut rest = name;
    while let Some((_, below)) = rest.strip_prefix("charts/").and_then(|r| r.split_once('/')) {
        rest = below;
    }
    manifest && rest.starts_with("crds/")
}

/// Adds the definitions of the charts below to the record: Helm stores those of the top chart only, and an action
/// that is resumed after a crash needs them all.
fn keep_crds(chart: &mut RecordChart, manifest: &Manifest) {
    for crd in &manifest.crds {
        let Some((_, name)) = crd.path.split_once('/') else { continue };
        if chart.files.iter().all(|file| file.name != name) {
            chart.files.push(RecordFile { name: name.to_owned(), data: crd.file.data.to_vec() });
        }
    }
}

/// The definitions of `crds/` that a record holds.
pub(super) fn recorded_crds(chart: &RecordChart) -> Vec<Crd> {
    let files = chart.files.iter().filter(|file| is_crd(&file.name));
    files
        .map(|file| Crd {
            path: format!("{}/{}", chart.metadata.name, file.name),
            file: ChartFile { name: file.name.as_str().into(), data: file.data.as_slice().into() },
        })
        .collect()
}
