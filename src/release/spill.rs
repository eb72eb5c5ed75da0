//! Records that do not fit into one Secret.
//!
//! The payload is cut into parts, each in a Secret of its own; the revision's Secret, the head, says how many there are
//! and what they add up to. helm could not put them together, so it sees neither: the label by which it finds its
//! records has another value.
//!
//! Parts never change. They are written before their head and deleted after it, so that a head always has its parts,
//! and parts without a head are leftovers of a process that ended: the next action deletes them. Their names hold the
//! digest of the whole, so that two writers never write the same part with another content.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use pintle_helm::record::{self, OWNER_LABEL, Record, RecordChart, RecordHook};

use super::facts::Parts;
use super::{Error, History, Release, ReleaseKey, bounded, bounded_until_refused};
use crate::api::DeletionPropagation;
use crate::cluster::{Class, Kind, ObjectRef, TenantClient};

/// The value of helm's label `owner` that hides a Secret from helm.
pub(super) const OWNER: &str = "pintle";
/// The field manager of the storage.
const MANAGER: &str = "helm";
/// The type of a part's Secret.
const PART_TYPE: &str = "pintle.dev/release-part";
/// The data key of a part.
const PART_KEY: &str = "part";
/// The label with the release that a part belongs to.
pub const RELEASE_LABEL: &str = "pintle.dev/release";
/// The label with its revision.
const REVISION_LABEL: &str = "pintle.dev/revision";
/// The label with the UID of the HelmRelease that made it.
const MADE_BY_LABEL: &str = "pintle.dev/made-by";
/// Bytes of one part: below the 1 MiB that the data of a Secret may be.
const PART_BYTES: usize = 1_000_000;
/// Most parts of one record.
pub(super) const MAX_PARTS: usize = 8;
/// Parts of another HelmRelease are leftovers only when they are older than this: their head may be on its way.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// Whether a payload can be cut into parts.
pub(super) fn fits(payload: &[u8]) -> bool {
    payload.len() <= PART_BYTES * MAX_PARTS
}

/// What the head holds of a record: all but manifest, values, notes and files.
pub(super) fn head(record: &Record) -> Record {
    let without_text = |hook: &RecordHook| RecordHook { manifest: String::new(), ..hook.clone() };
    let mut info = record.info.clone();
    info.notes.clear();
    Record {
        name: record.name.clone(),
        info,
        chart: RecordChart { metadata: record.chart.metadata.clone(), ..RecordChart::default() },
        hooks: record.hooks.iter().map(without_text).collect(),
        revision: record.revision,
        namespace: record.namespace.clone(),
        apply_method: record.apply_method.clone(),
        ..Record::default()
    }
}

/// Cuts a payload into the Secrets that hold it.
pub(super) fn cut(key: &ReleaseKey, number: u32, made_by: &str, payload: &[u8]) -> (Parts, Vec<Value>) {
    let chunks: Vec<&[u8]> = payload.chunks(PART_BYTES).collect();
    let parts = Parts { count: chunks.len(), digest: digest(payload) };
    let names = names(&key.name, number, &parts);
    let secrets = names.into_iter().zip(chunks).map(|(name, chunk)| {
        let labels = json!({
            OWNER_LABEL.0: OWNER,
            RELEASE_LABEL: key.name,
            REVISION_LABEL: number.to_string(),
            MADE_BY_LABEL: made_by,
        });
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": key.storage_namespace, "labels": labels},
            "type": PART_TYPE,
            "immutable": true,
            "data": {PART_KEY: STANDARD.encode(chunk)},
        })
    });
    let secrets = secrets.collect();
    (parts, secrets)
}

/// Writes parts. One that is there already is the same to the byte.
///
/// # Errors
/// The server's refusal.
pub(super) async fn write(cx: &Release<'_>, parts: &[Value]) -> Result<(), Error> {
    let writes = parts.iter().map(|part| create(cx, part)).collect();
    bounded_until_refused(writes).await.map(|_: Vec<()>| ())
}

async fn create(cx: &Release<'_>, part: &Value) -> Result<(), Error> {
    let name = part.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let object = secret(&cx.key.storage_namespace, name);
    match cx.tenant.create(&Kind::secret(), &object, part, MANAGER).await {
        Ok(_) => Ok(()),
        Err(error) if error.class == Class::AlreadyExists => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reads a record from its parts; the inner error says what is wrong with them.
///
/// # Errors
/// The server's refusal.
pub(super) async fn read(
    tenant: &TenantClient,
    key: &ReleaseKey,
    number: u32,
    parts: &Parts,
) -> Result<Result<Record, String>, Error> {
    if parts.count > MAX_PARTS {
        return Ok(Err(format!("it claims to have {} parts, more than {MAX_PARTS}", parts.count)));
    }
    let names = names(&key.name, number, parts);
    let objects: Vec<ObjectRef> = names.iter().map(|name| secret(&key.storage_namespace, name)).collect();
    let kind = Kind::secret();
    let reads = objects.iter().map(|object| async { Ok(tenant.get(&kind, object).await?) }).collect();
    let found = bounded_until_refused(reads).await?;
    Ok(join(parts, &names, &found))
}

/// Puts parts together.
fn join(parts: &Parts, names: &[String], found: &[Option<Value>]) -> Result<Record, String> {
    let mut payload = Vec::new();
    for (name, part) in names.iter().zip(found) {
        let Some(part) = part else { return Err(format!("its part, Secret {name}, is gone")) };
        let data = part.pointer("/data").and_then(|data| data.get(PART_KEY)?.as_str());
        let bytes = data.and_then(|data| STANDARD.decode(data).ok());
        payload.extend(bytes.ok_or_else(|| format!("its part, Secret {name}, is broken"))?);
    }
    if digest(&payload) != parts.digest {
        return Err("the digest of its parts is not the recorded one".to_owned());
    }
    record::decode(&payload).map_err(|e| crate::cluster::chain(&e))
}

/// Deletes the parts of a revision whose head is gone.
///
/// # Errors
/// The first refusal; all were tried.
pub(super) async fn remove(cx: &Release<'_>, number: u32, parts: &Parts) -> Result<(), Error> {
    let names = names(&cx.key.name, number, parts);
    let deletions = names.iter().map(|name| delete(cx, name, None)).collect();
    bounded(deletions).await.into_iter().collect()
}

/// Deletes what earlier processes left over. Makes no request when nothing can be.
///
/// # Errors
/// The server's refusal.
pub(super) async fn sweep(cx: &Release<'_>, history: &History) -> Result<(), Error> {
    if !cx.may_have_parts && history.revisions().iter().all(|revision| revision.parts().is_none()) {
        return Ok(());
    }
    let selector = format!("{RELEASE_LABEL}={},{}={OWNER}", cx.key.name, OWNER_LABEL.0);
    let found = cx.tenant.list_metadata(&Kind::secret(), &cx.key.storage_namespace, &selector).await?;
    let leftovers = leftovers(&found, cx.key, history, &cx.owner.uid, Timestamp::now());
    let deletions = leftovers.iter().map(|(name, uid)| delete(cx, name, Some(uid))).collect();
    bounded(deletions).await.into_iter().collect()
}

/// Names and UIDs of the parts that no revision has.
fn leftovers(
    found: &[Value],
    key: &ReleaseKey,
    history: &History,
    owner: &str,
    now: Timestamp,
) -> Vec<(String, String)> {
    let needed: BTreeSet<String> = history
        .revisions()
        .iter()
        .filter_map(|r| Some(names(&key.name, r.number, r.parts()?)))
        .flatten()
        .collect();
    let text = |part: &Value, pointer: &str| {
        part.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let is_over = |part: &Value| {
        let made: Option<Timestamp> = text(part, "/metadata/creationTimestamp").parse().ok();
        let by = part.pointer("/metadata/labels").and_then(|labels| labels.get(MADE_BY_LABEL)?.as_str());
        by == Some(owner) || made.is_none_or(|made| now.duration_since(made) > PATIENCE)
    };
    found
        .iter()
        .filter(|part| !needed.contains(&text(part, "/metadata/name")) && is_over(part))
        .map(|part| (text(part, "/metadata/name"), text(part, "/metadata/uid")))
        .collect()
}

async fn delete(cx: &Release<'_>, name: &str, uid: Option<&str>) -> Result<(), Error> {
    let object = secret(&cx.key.storage_namespace, name);
    cx.tenant.delete(&Kind::secret(), &object, uid, DeletionPropagation::Background).await?;
    Ok(())
}

/// The names of the parts of a revision, in order.
fn names(release: &str, number: u32, parts: &Parts) -> Vec<String> {
    let short: String = parts.digest.chars().filter(char::is_ascii_hexdigit).take(10).collect();
    let short = short.to_lowercase();
    (1..=parts.count.min(MAX_PARTS))
        .map(|part| format!("pintle.release.v1.{release}.v{number}.{short}.{part}"))
        .collect()
}

fn digest(payload: &[u8]) -> String {
    Sha256::digest(payload).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn secret(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    //! Unit: cutting, joining, and what is left over.

    use super::*;

    fn key() -> ReleaseKey {
        ReleaseKey { name: "web".into(), namespace: "apps".into(), storage_namespace: "store".into() }
    }

    /// A record whose payload is larger than one part.
    fn large() -> (Record, Vec<u8>) {
        let mut seed = 1_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b' ' + ((seed >> 57) % 95) as u8)
        };
        let manifest = (0..2_000_000).map(|_| next()).collect();
        let hook = RecordHook { name: "h".into(), manifest: "kind: Job".into(), ..RecordHook::default() };
        let record =
            Record { name: "web".into(), revision: 3, manifest, hooks: vec![hook], ..Record::default() };
        let payload = record::encode(&record).unwrap();
        (record, payload)
    }

    #[test]
    fn what_was_cut_is_joined_and_checked() {
        let (record, payload) = large();
        let (parts, secrets) = cut(&key(), 3, "uid-1", &payload);
        assert_eq!((parts.count, secrets.len()), (payload.len().div_ceil(PART_BYTES), parts.count));
        assert!(parts.count > 1);
        let names = names("web", 3, &parts);
        let metadata = &secrets[0]["metadata"];
        assert_eq!(
            (metadata["name"].as_str(), metadata["namespace"].as_str()),
            (Some(&*names[0]), Some("store"))
        );
        assert_eq!(metadata["labels"]["owner"], "pintle", "helm must not see it");
        assert_eq!(record::parse_secret_name(&names[0]), None, "it must not be taken for a revision");

        let found: Vec<Option<Value>> = secrets.into_iter().map(Some).collect();
        assert_eq!(join(&parts, &names, &found).unwrap(), record);
        let without = |change: &dyn Fn(&mut Vec<Option<Value>>)| {
            let mut found = found.clone();
            change(&mut found);
            join(&parts, &names, &found).unwrap_err()
        };
        assert_eq!(without(&|f| f[1] = None), format!("its part, Secret {}, is gone", names[1]));
        let broken = without(&|f| f[0] = Some(json!({"data": {"part": "%"}})));
        assert_eq!(broken, format!("its part, Secret {}, is broken", names[0]));
        assert_eq!(without(&|f| f.swap(0, 1)), "the digest of its parts is not the recorded one");
    }

    #[test]
    fn the_head_is_small_and_says_what_status_and_hooks_need() {
        let (mut record, payload) = large();
        record.info.notes = "notes".into();
        let head = head(&record);
        assert!(record::encode(&head).unwrap().len() < 1_000 && fits(&payload));
        assert_eq!((head.hooks[0].name.as_str(), head.hooks[0].manifest.as_str()), ("h", ""));
        assert_eq!((head.revision, head.manifest.as_str(), head.info.notes.as_str()), (3, "", ""));
        assert!(!fits(&vec![0; PART_BYTES * MAX_PARTS + 1]));
    }

    #[test]
    fn leftovers_are_parts_without_a_head() {
        let parts = Parts { count: 1, digest: "ab".repeat(32) };
        let head = json!({
            "metadata": {"name": "sh.helm.release.v1.web.v3", "labels": {"status": "deployed"}},
            "data": {"pintle": STANDARD.encode(json!({"parts": {"count": 1, "digest": parts.digest}}).to_string())},
        });
        let history = History::from_secrets(&[head]);
        let part = |name: &str, by: &str, second: i64| {
            let made = Timestamp::from_second(second).unwrap().to_string();
            json!({"metadata": {"name": name, "uid": "u", "creationTimestamp": made, "labels": {MADE_BY_LABEL: by}}})
        };
        let needed = names("web", 3, &parts).remove(0);
        for (name, part, want) in [
            ("of a revision", part(&needed, "uid-1", 0), false),
            ("of no revision", part("pintle.release.v1.web.v4.cd.1", "uid-1", 9_990), true),
            ("somebody is writing it", part("pintle.release.v1.web.v4.cd.1", "uid-2", 9_990), false),
            ("nobody is writing it any more", part("pintle.release.v1.web.v4.cd.1", "uid-2", 9_000), true),
        ] {
            let now = Timestamp::from_second(10_000).unwrap();
            let found = leftovers(&[part], &key(), &history, "uid-1", now);
            assert_eq!(!found.is_empty(), want, "{name}");
        }
    }
}
