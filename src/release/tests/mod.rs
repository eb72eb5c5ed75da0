//! Unit: the pure steps of the release engine, on histories built from Secrets.

mod adopt;
mod decide;
mod history;
mod plan;
mod state;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use pintle_helm::record::{self, Record, RecordChart, RecordHook, Status};

use super::*;

fn key() -> ReleaseKey {
    ReleaseKey { name: "web".into(), namespace: "apps".into(), storage_namespace: "apps".into() }
}

fn owner() -> Owner {
    Owner { uid: "u1".into(), name: "apps/web".into(), holder: "pod-1".into() }
}

fn policy() -> Policy {
    Policy {
        timeout: Duration::from_secs(60),
        max_history: 10,
        conflicts: Conflicts::Force,
        preflight: Preflight::Upgrade,
        force: false,
        crds: CrdPolicy::Create,
        disable_hooks: false,
        disable_wait: false,
        wait_for_jobs: false,
        create_namespace: false,
        deletion_propagation: DeletionPropagation::Background,
        keep_history: false,
    }
}

/// A revision of the release `web`, as its Secret says it.
struct Built {
    number: u32,
    status: Status,
    facts: Option<Facts>,
    manifest: String,
    hooks: Vec<RecordHook>,
}

fn revision(number: u32, status: Status) -> Built {
    let facts = Facts {
        owner: "u1".into(),
        owner_name: "apps/web".into(),
        holder: "pod-1".into(),
        chart: ChartFacts { name: "web".into(), version: "1.0.0".into(), app_version: None },
        chart_digest: "chart".into(),
        values_digest: "values".into(),
        spec_digest: "spec".into(),
        ..Facts::default()
    };
    Built { number, status, facts: Some(facts), manifest: String::new(), hooks: Vec::new() }
}

impl Built {
    fn by_helm(mut self) -> Self {
        self.facts = None;
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        self.facts.as_mut().map(change).unwrap();
        self
    }

    fn failed(self, reason: &str, retry: RetryFact) -> Self {
        let failure = Failure { reason: reason.into(), retry };
        self.with(|f| {
            f.failure = Some(failure);
            f.completed_at = Some(at(1000));
            f.message = "it broke".into();
        })
    }

    fn manifest(mut self, text: &str) -> Self {
        self.manifest = text.into();
        self
    }

    fn secret(&self) -> Value {
        let record = Record {
            name: "web".into(),
            namespace: "apps".into(),
            revision: self.number,
            manifest: self.manifest.clone(),
            hooks: self.hooks.clone(),
            chart: RecordChart::default(),
            info: record::Info { status: self.status, ..record::Info::default() },
            ..Record::default()
        };
        let mut data = json!({"release": STANDARD.encode(record::encode(&record).unwrap())});
        if let Some(facts) = &self.facts {
            data["pintle"] = json!(STANDARD.encode(serde_json::to_vec(facts).unwrap()));
        }
        json!({
            "metadata": {
                "name": record::secret_name("web", self.number),
                "uid": format!("uid-{}", self.number),
                "resourceVersion": "7",
                "creationTimestamp": "1970-01-01T00:10:00Z",
                "labels": {"owner": "helm", "name": "web", "status": self.status.as_str(), "version": self.number.to_string()},
            },
            "type": "helm.sh/release.v1",
            "data": data,
        })
    }
}

fn history(revisions: &[Built]) -> History {
    History::from_secrets(&revisions.iter().map(Built::secret).collect::<Vec<_>>())
}

fn desired() -> Desired {
    Desired {
        chart_digest: "chart".into(),
        values_digest: "values".into(),
        spec_digest: "spec".into(),
        owner: "u1".into(),
        owner_name: "apps/web".into(),
        ..Desired::default()
    }
}

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).unwrap()
}
