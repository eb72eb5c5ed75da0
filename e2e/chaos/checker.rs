//! Judges a release at rest, once the fault is over: what must hold whatever went wrong.
//!
//! The names are those of the invariants in docs/faults.md. All that is broken is told, not only the first.

use std::collections::BTreeSet;

use anyhow::{Context as _, anyhow};
use hyper::Method;
use serde_json::Value;

use super::faultproxy::Seen;
use super::scenario::{Action, CANARY, FOREIGN, HOOK, Life, NAME, TEST};
use crate::cluster::{Kind, text};

/// The revision that fails and is put right.
const FAILED: i64 = 3;

/// What is not as it should be.
#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }
}

/// Checks what an action left behind. `seen` are its requests, the first `calm` of them before the release said that
/// it was ready.
pub async fn check(life: &Life, action: Action, seen: &[Seen], calm: usize) -> anyhow::Result<()> {
    let mut found = Violations::default();
    hooks(&mut found, action, seen);
    rest(&mut found, seen.get(calm..).unwrap_or_default());
    secrecy(&mut found, life).await?;
    let objects = life.cx.objects();
    let foreign = objects.find(Kind::SECRET, &life.namespace, FOREIGN).await?;
    let foreign = foreign.map(|object| text(&object, "/metadata/uid"));
    found.unless(foreign.as_ref() == Some(&life.foreign), || format!("I4: {FOREIGN} is {foreign:?}"));
    let secrets = objects.list(Kind::SECRET, &life.namespace, &format!("owner=helm,name={NAME}")).await?;
    let owned = owned(life).await?;
    match action {
        Action::Install => present(&mut found, life, &secrets, &owned, 1).await?,
        Action::Upgrade => present(&mut found, life, &secrets, &owned, 2).await?,
        Action::Remedy => present(&mut found, life, &secrets, &owned, 4).await?,
        Action::Rollback => present(&mut found, life, &secrets, &owned, 5).await?,
        Action::Uninstall => {
            found.unless(secrets.is_empty(), || format!("I3: records are left: {:?}", stored(&secrets)));
            found.unless(owned.is_empty(), || format!("I4: objects are left: {owned:?}"));
            let list = life.cx.cluster().helm(&["list", "-n", &life.namespace, "-o", "json"]).await?;
            found.unless(list.trim() == "[]", || format!("I6: helm list still has {list}"));
        }
    }
    if found.0.is_empty() { Ok(()) } else { Err(anyhow!(found.0.join("; "))) }
}

/// I9: the Jobs of hook and test are made once; the hook's twice where there are two revisions, of which neither is
/// tested.
fn hooks(found: &mut Violations, action: Action, seen: &[Seen]) {
    let (hooks, tests) = match action {
        Action::Install | Action::Upgrade | Action::Rollback => (1, 1),
        Action::Remedy => (2, 0),
        Action::Uninstall => (1, 0),
    };
    for (name, wanted) in [(HOOK, hooks), (TEST, tests)] {
        let path = format!("/jobs/{name}");
        let made = |seen: &&Seen| {
            seen.method == Method::PATCH
                && seen.is_write()
                && seen.code == Some(201)
                && seen.path().ends_with(&path)
        };
        let made = seen.iter().filter(made).count();
        found.unless(made == wanted, || format!("I9: {name} ran {made} times, not {wanted}"));
    }
}

/// What is ready is at rest: only status and events are written any more.
fn rest(found: &mut Violations, seen: &[Seen]) {
    let allowed = |seen: &&Seen| seen.path().ends_with("/status") || seen.path().contains("/events");
    let written: Vec<String> = seen
        .iter()
        .filter(|seen| seen.is_write() && !allowed(seen))
        .map(|seen| format!("{} {}", seen.method, seen.path()))
        .collect();
    found.unless(written.is_empty(), || format!("I7: after it was ready, this was written: {written:?}"));
}

/// I8: what is secret stands in no status, event or log.
async fn secrecy(found: &mut Violations, life: &Life) -> anyhow::Result<()> {
    let objects = life.cx.objects();
    let release = objects.find(Kind::HELM_RELEASE, &life.namespace, NAME).await?;
    let places = [
        ("the HelmRelease", release.map(|release| release.to_string()).unwrap_or_default()),
        ("an event", objects.events(&life.namespace).await?.join("\n")),
        ("the operator's log", life.operator.log(CANARY, 3).await),
    ];
    for (place, text) in places {
        found.unless(!text.contains(CANARY), || format!("I8: {place} holds the secret: {text}"));
    }
    Ok(())
}

/// Revisions in storage and their statuses, in order.
fn stored(secrets: &[Value]) -> Vec<(i64, String)> {
    let label = |secret: &Value, name: &str| text(secret, &format!("/metadata/labels/{name}"));
    let mut revisions: Vec<(i64, String)> = secrets
        .iter()
        .map(|secret| (label(secret, "version").parse().unwrap_or_default(), label(secret, "status")))
        .collect();
    revisions.sort();
    revisions
}

/// Objects that say that they are the release's, as `Kind/name`.
async fn owned(life: &Life) -> anyhow::Result<BTreeSet<String>> {
    let kinds = format!("configmaps,secrets,deployments.apps,jobs.batch,{}", life.widgets);
    let listed = life.cx.cluster().kubectl(&["get", &kinds, "-n", &life.namespace, "-o", "json"]).await?;
    let listed: Value = serde_json::from_str(&listed).context("kubectl did not print JSON")?;
    let items = listed["items"].as_array().cloned().unwrap_or_default();
    let owned = |object: &&Value| text(object, "/metadata/annotations/meta.helm.sh~1release-name") == NAME;
    Ok(items.iter().filter(owned).map(id).collect())
}

fn id(object: &Value) -> String {
    format!("{}/{}", text(object, "/kind"), text(object, "/metadata/name"))
}

/// `namespace_name_group_kind` as `Kind/name`.
fn inventory_id(entry: &Value) -> String {
    let id = text(entry, "/id");
    let parts: Vec<&str> = id.split('_').collect();
    match parts.as_slice() {
        [_, name, _, kind] => format!("{kind}/{name}"),
        _ => id,
    }
}

/// A release that is there is at `revision`, and storage, status, helm and the cluster agree about it.
async fn present(
    found: &mut Violations,
    life: &Life,
    secrets: &[Value],
    owned: &BTreeSet<String>,
    revision: i64,
) -> anyhow::Result<()> {
    let state = |number| match number {
        _ if number == revision => "deployed",
        FAILED => "failed",
        _ => "superseded",
    };
    let wanted: Vec<(i64, String)> =
        (1..=revision).map(|number| (number, state(number).to_owned())).collect();
    let stored = stored(secrets);
    found.unless(stored == wanted, || format!("I2, I3, I5: the revisions are {stored:?}, not {wanted:?}"));

    let release = life.cx.objects().get(Kind::HELM_RELEASE, &life.namespace, NAME).await?;
    let status = &release["status"];
    let observed = status["observedGeneration"] == release["metadata"]["generation"];
    found.unless(observed, || format!("I1: the status is of generation {}", status["observedGeneration"]));
    let told: Vec<(i64, String)> = status["history"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| (one["revision"].as_i64().unwrap_or_default(), text(one, "/status")))
        .rev()
        .collect();
    found.unless(told == wanted, || format!("I7: the status tells of {told:?}"));
    let applied = &status["lastAppliedRevision"];
    found.unless(*applied == revision, || format!("I7: lastAppliedRevision is {applied}"));
    let listed: BTreeSet<String> =
        status["inventory"].as_array().into_iter().flatten().map(inventory_id).collect();
    found.unless(listed == *owned, || format!("I7: the inventory is {listed:?}, the objects are {owned:?}"));
    helm(found, life, owned, &wanted).await
}

/// I6 and I4: the real helm reads the record, and its manifest is what there is.
async fn helm(
    found: &mut Violations,
    life: &Life,
    owned: &BTreeSet<String>,
    wanted: &[(i64, String)],
) -> anyhow::Result<()> {
    let cluster = life.cx.cluster();
    let namespace = life.namespace.as_str();
    let history = cluster.helm(&["history", NAME, "-n", namespace, "-o", "json"]).await?;
    let history: Vec<Value> = serde_json::from_str(&history).context("helm history is not JSON")?;
    let told: Vec<(i64, String)> = history
        .iter()
        .map(|one| (one["revision"].as_i64().unwrap_or_default(), text(one, "/status")))
        .collect();
    found.unless(told == wanted, || format!("I6: helm history tells of {told:?}"));
    let newest = history.last().map(ToString::to_string).unwrap_or_default();
    found.unless(!newest.contains(CANARY), || format!("I8: helm history holds the secret: {newest}"));

    let status = cluster.helm(&["status", NAME, "-n", namespace, "-o", "json"]).await?;
    let status: Value = serde_json::from_str(&status).context("helm status is not JSON")?;
    let state = text(&status, "/info/status");
    found.unless(state == "deployed", || format!("I6: helm status tells of {state}"));

    let manifest = cluster.helm(&["get", "manifest", NAME, "-n", namespace]).await?;
    let listed = manifest_ids(&manifest)?;
    found.unless(listed == *owned, || {
        let orphans: Vec<_> = owned.difference(&listed).collect();
        let missing: Vec<_> = listed.difference(owned).collect();
        format!("I4: orphans {orphans:?}, missing {missing:?}")
    });
    Ok(())
}

fn manifest_ids(manifest: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    for document in manifest.split("\n---") {
        let object: Value = serde_yaml::from_str(document.trim_start_matches("---")).context("not YAML")?;
        if !object.is_null() {
            ids.insert(id(&object));
        }
    }
    Ok(ids)
}
