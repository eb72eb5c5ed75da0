//! A source that changes what it gave: the same version with other bytes, by each policy, and a version that is taken
//! back. What runs is never replaced, and never goes down, unless somebody asked for it.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::chart_server::{ChartDir, ChartServer};
use crate::cluster::{Kind, condition, contains, text};
use crate::context::Context;
use crate::release::{self, REPOSITORY, Snapshot, WITHIN};

/// Each policy, by the name of the release that has it.
const POLICIES: [&str; 3] = ["Warn", "Upgrade", "Fail"];

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    add(&charts, "1.0.0", "first")?;
    add(&charts, "1.1.0", "first")?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    let yaml: Vec<String> = POLICIES.iter().map(|policy| yaml(&namespace, policy)).collect();
    cx.cluster().apply_yaml(&yaml.join("---\n")).await?;
    for policy in POLICIES {
        release::ready_at(cx, &namespace, &name(policy), 1).await?;
        runs(cx, &namespace, policy, "1.1.0 first").await?;
    }
    other_bytes(cx, &namespace, &server).await?;
    taken_back(cx, &namespace, &server).await
}

fn name(policy: &str) -> String {
    policy.to_lowercase()
}

fn yaml(namespace: &str, policy: &str) -> String {
    let name = name(policy);
    format!(
        "apiVersion: pintle.dev/v1alpha1
kind: HelmRelease
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  chart: {{repository: {{name: {REPOSITORY}}}, name: web, version: 1.x, onDigestChange: {policy}}}
"
    )
}

/// A version of the chart, whose object says which bytes it is of.
fn add(charts: &ChartDir, version: &str, bytes: &str) -> anyhow::Result<()> {
    let objects = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {{{{ .Release.Name }}}}}}\n\
         data: {{from: \"{{{{ .Chart.Version }}}} {bytes}\", color: \"{{{{ .Values.color }}}}\"}}\n"
    );
    charts.add("web", version, &[("templates/all.yaml", &objects)])?;
    Ok(())
}

/// Waits until the release's object comes from these bytes.
async fn runs(cx: &Context, namespace: &str, policy: &str, from: &str) -> anyhow::Result<()> {
    let wanted = |object: Option<&Value>| object.is_some_and(|object| object["data"]["from"] == from);
    cx.objects().wait(Kind::CONFIG_MAP, namespace, &name(policy), from, WITHIN, wanted).await?;
    Ok(())
}

/// Waits until the release is ready at a revision that no edit of its spec asked for: it is ready before it, too.
async fn ready_by_itself(
    cx: &Context,
    namespace: &str,
    policy: &str,
    revision: i64,
) -> anyhow::Result<Value> {
    let name = name(policy);
    let wanted = |object: Option<&Value>| {
        object.is_some_and(|object| object["status"]["lastAppliedRevision"] == revision)
    };
    let what = format!("at revision {revision}");
    cx.objects().wait(Kind::HELM_RELEASE, namespace, &name, &what, WITHIN, wanted).await?;
    release::ready_at(cx, namespace, &name, revision).await
}

/// Has the repository look at its source now, and waits until it did.
async fn look_again(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let value = cx.unique("now");
    let patch = json!({"metadata": {"annotations": {"pintle.dev/requestedAt": value}}});
    cx.objects().patch(Kind::CHART_REPOSITORY, namespace, REPOSITORY, patch).await?;
    let echoed = |object: Option<&Value>| {
        object.is_some_and(|object| object["status"]["lastHandledReconcileAt"] == value.as_str())
    };
    cx.objects().wait(Kind::CHART_REPOSITORY, namespace, REPOSITORY, &value, WITHIN, echoed).await?;
    Ok(())
}

/// Waits until the release says that of what it keeps, and goes on to be ready at that revision.
async fn keeps(
    cx: &Context,
    namespace: &str,
    policy: &str,
    revision: i64,
    parts: &[&str],
) -> anyhow::Result<()> {
    let said =
        |object: &Value| condition(object, "Ready").map(|ready| text(ready, "/message")).unwrap_or_default();
    let wanted = |object: Option<&Value>| {
        object.is_some_and(|object| parts.iter().all(|part| said(object).contains(part)))
    };
    let what = format!("saying {parts:?}");
    cx.objects().wait(Kind::HELM_RELEASE, namespace, &name(policy), &what, WITHIN, wanted).await?;
    release::ready_at(cx, namespace, &name(policy), revision).await?;
    Ok(())
}

async fn other_bytes(cx: &Context, namespace: &str, server: &ChartServer) -> anyhow::Result<()> {
    add(server.charts(), "1.1.0", "second")?;
    look_again(cx, namespace).await?;
    keeps(cx, namespace, "Warn", 1, &["DigestChanged", "other bytes for web-1.1.0", "which is kept"]).await?;
    let told = ["other bytes for web-1.1.0", "still runs", "spec.chart.digest"];
    let refused = release::stalled(cx, namespace, "fail", "DigestChanged", &told).await?;
    runs(cx, namespace, "Upgrade", "1.1.0 second").await?;
    let upgraded = ready_by_itself(cx, namespace, "Upgrade", 2).await?;
    for policy in ["Warn", "Fail"] {
        runs(cx, namespace, policy, "1.1.0 first").await?;
    }
    let events = cx.objects().events(namespace).await?.join("\n");
    contains(&events, &["DigestChanged", "HelmRelease/warn", "HelmRelease/fail"])?;

    // Who pins the new bytes has them.
    let digest = text(&upgraded, "/status/history/0/chartDigest");
    ensure!(text(&refused, "/status/history/0/chartDigest") != digest, "both are of {digest}");
    release::patch(cx, namespace, "fail", json!({"chart": {"digest": digest}})).await?;
    release::ready_at(cx, namespace, "fail", 2).await?;
    runs(cx, namespace, "Fail", "1.1.0 second").await?;
    release::patch(cx, namespace, "fail", json!({"chart": {"digest": null}})).await?;
    release::ready_at(cx, namespace, "fail", 2).await?;
    Ok(())
}

async fn taken_back(cx: &Context, namespace: &str, server: &ChartServer) -> anyhow::Result<()> {
    let snapshot = Snapshot::take(cx, namespace).await?;
    server.charts().remove("web", "1.1.0")?;
    look_again(cx, namespace).await?;
    for (policy, revision) in [("Warn", 1), ("Upgrade", 2), ("Fail", 2)] {
        let parts = ["VersionDisappeared", "does not offer web-1.1.0 any more", "is kept"];
        keeps(cx, namespace, policy, revision, &parts).await?;
    }
    snapshot.unchanged(cx, namespace).await?;
    let events = cx.objects().events(namespace).await?.join("\n");
    contains(&events, &["VersionDisappeared"])?;

    // New values need the chart that is gone; asking for the lower version is no accident.
    release::patch(cx, namespace, "upgrade", json!({"values": {"color": "blue"}})).await?;
    release::failed(cx, namespace, "upgrade", "VersionDisappeared", &["does not offer web-1.1.0"]).await?;
    runs(cx, namespace, "Upgrade", "1.1.0 second").await?;
    release::patch(cx, namespace, "warn", json!({"chart": {"version": "1.0.0"}})).await?;
    release::ready_at(cx, namespace, "warn", 2).await?;
    runs(cx, namespace, "Warn", "1.0.0 first").await?;

    add(server.charts(), "1.2.0", "third")?;
    look_again(cx, namespace).await?;
    runs(cx, namespace, "Upgrade", "1.2.0 third").await?;
    let upgraded = ready_by_itself(cx, namespace, "Upgrade", 3).await?;
    let object = cx.objects().get(Kind::CONFIG_MAP, namespace, "upgrade").await?;
    ensure!(object["data"]["color"] == "blue", "the values are lost: {}", object["data"]);
    condition(&upgraded, "Released").context("Released is missing")?;
    Ok(())
}
