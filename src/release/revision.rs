//! One revision, as its Secret says it, and what a change of it comes to.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use pintle_helm::manifest::{Hook, Manifest};
use pintle_helm::record::{self, Record, Status};

use super::Error;
use super::draft::encode_within;
use super::facts::{self, Facts};

/// A change of a revision, given as what happens to its record and its facts.
pub(super) type Edit<'a> = &'a (dyn Fn(&mut Record, Option<&mut Facts>) + Sync);

/// One revision.
#[derive(Clone, Debug, Default)]
pub struct Revision {
    /// Its number; Helm's wire format calls it `version`.
    pub number: u32,
    /// Where it stands.
    pub status: Status,
    /// The labels of its Secret.
    pub labels: BTreeMap<String, String>,
    /// When its Secret was created.
    pub created_at: Option<Timestamp>,
    /// What Pintle knows of it; none when helm wrote it last.
    pub facts: Option<Facts>,
    /// That everything is applied is known here and not written yet: a wait that is over at once needs no record.
    pub(super) is_unwritten: bool,
    pub(super) uid: String,
    pub(super) resource_version: String,
    payload: String,
    head: OnceLock<Decoded>,
    /// The record, when it stands in further Secrets, as soon as those are read.
    pub(super) whole: OnceLock<Decoded>,
}

/// A record, or why the payload is none.
pub(super) type Decoded = Result<Arc<Record>, String>;

impl Revision {
    /// Reads a Secret; `None` when it is none of Helm's.
    pub(super) fn from_secret(secret: &Value) -> Option<Self> {
        let name = secret.pointer("/metadata/name")?.as_str()?;
        let (_, number) = record::parse_secret_name(name)?;
        let metadata = &secret["metadata"];
        let labels: BTreeMap<String, String> =
            serde_json::from_value(metadata["labels"].clone()).unwrap_or_default();
        let status = labels.get("status").cloned().unwrap_or_default();
        let text =
            |pointer: &str| secret.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self {
            number,
            status: serde_json::from_value(Value::String(status)).unwrap_or_default(),
            labels,
            created_at: text("/metadata/creationTimestamp").parse().ok(),
            facts: secret
                .pointer("/data")
                .and_then(|data| data.get(facts::DATA_KEY)?.as_str())
                .and_then(Facts::decode),
            is_unwritten: false,
            uid: text("/metadata/uid"),
            resource_version: text("/metadata/resourceVersion"),
            payload: text("/data/release"),
            head: OnceLock::new(),
            whole: OnceLock::new(),
        })
    }

    /// The version of its Secret when it was read or written last.
    pub fn version(&self) -> &str {
        &self.resource_version
    }

    /// The record. One that stands in further Secrets says in its info what held when the revision was begun; see
    /// [`head`](Self::head) for the present.
    ///
    /// # Errors
    /// The payload is no record, or it stands in further Secrets that were not read or are broken.
    pub fn record(&self) -> Result<Arc<Record>, Error> {
        if self.parts().is_none() {
            return self.head();
        }
        let not_read = || Err("its further Secrets were not read".to_owned());
        let decoded = self.whole.get().cloned().unwrap_or_else(not_read);
        decoded.map_err(|text| Error::record(self.number, &std::io::Error::other(text)))
    }

    /// What the revision's own Secret says, decoded at the first call: the record, or, when it stands in further
    /// Secrets, the record without manifest, values, notes and files.
    ///
    /// # Errors
    /// The payload is no record.
    pub fn head(&self) -> Result<Arc<Record>, Error> {
        let decoded = self.head.get_or_init(|| {
            let payload = STANDARD.decode(&self.payload).map_err(|e| e.to_string())?;
            record::decode(&payload).map(Arc::new).map_err(|e| crate::cluster::chain(&e))
        });
        decoded.clone().map_err(|text| Error::record(self.number, &std::io::Error::other(text)))
    }

    /// Bytes of its payload.
    pub(super) fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    /// The same, whose payload is known to be this record.
    pub(super) fn decoded(self, record: Record) -> Self {
        Self { head: OnceLock::from(Ok(Arc::new(record))), ..self }
    }

    /// The same without what was decoded.
    pub(super) fn undecoded(self) -> Self {
        Self { head: OnceLock::new(), whole: OnceLock::new(), ..self }
    }

    /// The further Secrets that hold its record.
    pub(super) fn parts(&self) -> Option<&facts::Parts> {
        self.facts.as_ref()?.parts.as_ref()
    }

    /// The manifest as it was recorded, hooks and the definitions of `crds/` included.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn manifest(&self) -> Result<Manifest, Error> {
        let record = self.record()?;
        let mut manifest =
            Manifest::from_text(&record.manifest).map_err(|e| Error::record(self.number, &e))?;
        manifest.hooks = record.hooks.iter().map(Hook::from).collect();
        manifest.notes.clone_from(&record.info.notes);
        manifest.crds = super::draft::recorded_crds(&record.chart);
        Ok(manifest)
    }

    /// Whether helm made it, or changed it last.
    pub fn is_external(&self) -> bool {
        self.facts.is_none() && self.status != Status::Uninstalled
    }

    /// Whether it was deployed once: only such a revision can be rolled back to.
    pub fn was_good(&self) -> bool {
        matches!(self.status, Status::Deployed | Status::Superseded)
    }

    /// Whether it was made, or uninstalled, to put a failure right.
    pub fn is_remedy(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.remedy.is_some())
    }

    /// Whether a re-read revision is still the same piece of work, so that writing on is no theft.
    pub(super) fn is_same_work(&self, read: &Self) -> bool {
        let holder = |r: &Self| r.facts.as_ref().map(|f| (f.owner.clone(), f.action, f.started_at));
        self.uid == read.uid && (holder(self) == holder(read) || self.status == read.status)
    }

    /// The merge patch that an edit comes to.
    pub(super) fn patch(&self, edit: Edit<'_>, whole: bool) -> Result<Value, Error> {
        let mut facts = self.facts.clone();
        let mut data = serde_json::Map::new();
        let mut labels = serde_json::Map::new();
        if whole {
            let mut record = Record::clone(&*self.head()?);
            edit(&mut record, facts.as_mut());
            let payload = encode_within(&mut record, facts.as_ref())?;
            data.insert(record::DATA_KEY.to_owned(), json!(STANDARD.encode(payload)));
            labels.insert("status".to_owned(), json!(record.info.status.as_str()));
            labels.insert("modifiedAt".to_owned(), json!(Timestamp::now().as_second().to_string()));
        } else {
            edit(&mut Record::default(), facts.as_mut());
        }
        if let Some(facts) = &facts {
            let text = serde_json::to_vec(facts).map_err(|e| Error::record(self.number, &e))?;
            data.insert(facts::DATA_KEY.to_owned(), json!(STANDARD.encode(text)));
        }
        let mut metadata = json!({"resourceVersion": self.resource_version});
        if !labels.is_empty() {
            metadata["labels"] = Value::Object(labels);
        }
        Ok(json!({"metadata": metadata, "data": data}))
    }
}
