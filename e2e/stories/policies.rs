//! What the spec's policies keep, remove or refuse: the end of a HelmRelease, another target, the length of the history,
//! what a failed action has made, values that stay, and a release that is suspended.

use anyhow::ensure;
use serde_json::{Value, json};

use super::remediation::{charts, check, event, has_only, place, told, value};
use crate::chart_server::ChartServer;
use crate::cluster::{Kind, text};
use crate::context::Context;
use crate::release::{self, Snapshot};

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let server = &charts()?.serve().await?;
    futures::try_join!(
        orphaned(cx, server),
        denied(cx, server),
        moved(cx, server),
        replaced(cx, server),
        cleaned_up(cx, server),
        pruned(cx, server),
        preserved(cx, server),
        suspended(cx, server),
    )?;
    Ok(())
}

async fn install(cx: &Context, namespace: &str, name: &str, rest: &str) -> anyhow::Result<()> {
    cx.cluster().apply_yaml(&release::yaml(namespace, name, "web", "1.0.0", rest)).await
}

/// The HelmRelease goes, the release stays, and the next HelmRelease of that name takes it over.
async fn orphaned(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "orphan";
    install(cx, namespace, name, "  deletionPolicy: Orphan\n").await?;
    release::ready_at(cx, namespace, name, 1).await?;
    release::delete(cx, namespace, name).await?;
    has_only(cx, namespace, name, &["config"]).await?;
    let records = release::records(cx, namespace, name).await?;
    ensure!(records.len() == 1, "the records are {records:?}");
    event(cx, namespace, &["UninstallSkipped", "orphan", "its deletionPolicy is Orphan"]).await?;
    install(cx, namespace, name, "").await?;
    release::ready_at(cx, namespace, name, 1).await?;
    Ok(())
}

/// The HelmRelease stays until its policy lets it go.
async fn denied(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "denied";
    install(cx, namespace, name, "  deletionPolicy: Deny\n").await?;
    release::ready_at(cx, namespace, name, 1).await?;
    cx.cluster().kubectl(&["delete", "hr", name, "-n", namespace, "--wait=false"]).await?;
    let parts = ["its deletionPolicy is Deny"];
    release::stalled(cx, namespace, name, "UninstallFailed", &parts).await?;
    has_only(cx, namespace, name, &["config"]).await?;
    release::patch(cx, namespace, name, json!({"deletionPolicy": "Uninstall"})).await?;
    cx.objects().wait_gone(Kind::HELM_RELEASE, namespace, name, release::WITHIN).await?;
    has_only(cx, namespace, name, &[]).await
}

/// Another name of the release is refused, or the release is installed anew under it.
async fn moved(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "moved";
    install(cx, namespace, name, "").await?;
    release::ready_at(cx, namespace, name, 1).await?;
    release::patch(cx, namespace, name, json!({"releaseName": "elsewhere"})).await?;
    release::stalled(cx, namespace, name, "TargetChanged", &["/moved", "onTargetChange: Reinstall"]).await?;
    has_only(cx, namespace, name, &["config"]).await?;
    has_only(cx, namespace, "elsewhere", &[]).await?;
    release::patch(cx, namespace, name, json!({"onTargetChange": "Reinstall"})).await?;
    let ready = release::ready_at(cx, namespace, name, 1).await?;
    let target = text(&ready, "/status/target/releaseName");
    ensure!(target == "elsewhere", "the release is {target}");
    has_only(cx, namespace, name, &[]).await?;
    has_only(cx, namespace, "elsewhere", &["config"]).await?;
    ensure!(release::records(cx, namespace, name).await?.is_empty(), "records of the old name are left");
    Ok(())
}

/// A record that was kept is gone on from only when the spec says so.
async fn replaced(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "again";
    install(cx, namespace, name, "  uninstall: {keepHistory: true}\n").await?;
    release::ready_at(cx, namespace, name, 1).await?;
    release::delete(cx, namespace, name).await?;
    has_only(cx, namespace, name, &[]).await?;
    install(cx, namespace, name, "").await?;
    release::stalled(cx, namespace, name, "InstallFailed", &["revision 1", "spec.install.replace"]).await?;
    has_only(cx, namespace, name, &[]).await?;
    release::patch(cx, namespace, name, json!({"install": {"replace": true}})).await?;
    let ready = release::ready_at(cx, namespace, name, 2).await?;
    ensure!(told(&ready) == ["1 uninstall: uninstalled", "2 install: deployed"], "{:?}", told(&ready));
    Ok(())
}

/// What a failed upgrade has made goes with it, or with the next one.
async fn cleaned_up(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "clean";
    install(cx, namespace, name, "  upgrade: {cleanupOnFail: true}\n").await?;
    release::ready_at(cx, namespace, name, 1).await?;
    release::patch(cx, namespace, name, json!({"values": {"value": "two", "extra": true, "broken": true}}))
        .await?;
    let failed =
        release::failed(cx, namespace, name, "HookFailed", &["clean-broken", "revision 1 still runs"]);
    let failed = failed.await?;
    ensure!(failed["status"]["lastAppliedRevision"] == 1, "{}", failed["status"]["lastAppliedRevision"]);
    has_only(cx, namespace, name, &["config"]).await?;
    ensure!(
        value(cx, namespace, name).await? == "two",
        "what was there before the upgrade stays as it made it"
    );

    let without = json!({"upgrade": {"cleanupOnFail": false}, "values": {"value": "three"}});
    release::patch(cx, namespace, name, without).await?;
    release::failed(cx, namespace, name, "HookFailed", &["clean-broken"]).await?;
    has_only(cx, namespace, name, &["config", "extra"]).await?;
    release::patch(cx, namespace, name, json!({"values": {"extra": false, "broken": false}})).await?;
    release::ready(cx, namespace, name).await?;
    has_only(cx, namespace, name, &["config"]).await
}

/// A short history keeps what runs and what failed last.
async fn pruned(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "short";
    install(cx, namespace, name, "  maxHistory: 2\n").await?;
    for revision in 1..=3 {
        release::patch(cx, namespace, name, json!({"values": {"value": format!("v{revision}")}})).await?;
        release::ready(cx, namespace, name).await?;
    }
    let before = release::records(cx, namespace, name).await?;
    ensure!(before.len() == 2, "the records are {before:?}");
    release::patch(cx, namespace, name, json!({"values": {"broken": true}})).await?;
    let failed = release::failed(cx, namespace, name, "HookFailed", &["short-broken"]).await?;
    let applied = failed["status"]["lastAppliedRevision"].as_i64().unwrap_or_default();
    let records = release::records(cx, namespace, name).await?;
    for number in [applied, applied + 1] {
        let record = format!("sh.helm.release.v1.short.v{number}");
        ensure!(records.contains(&record), "{record} is none of {records:?}");
    }
    release::patch(cx, namespace, name, json!({"values": {"broken": false}})).await?;
    release::ready(cx, namespace, name).await?;
    let after = release::records(cx, namespace, name).await?;
    ensure!(after.len() == 2, "the records are {after:?}");
    Ok(())
}

/// Values that were set once stay, as the real helm keeps them.
async fn preserved(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "keeps";
    install(cx, namespace, name, "  values: {other: set}\n  upgrade: {preserveValues: true}\n").await?;
    release::ready_at(cx, namespace, name, 1).await?;
    release::patch(cx, namespace, name, json!({"values": {"other": null, "value": "two"}})).await?;
    release::ready_at(cx, namespace, name, 2).await?;
    let config = cx.objects().get(Kind::CONFIG_MAP, namespace, "keeps-config").await?;
    ensure!(config["data"] == json!({"value": "two", "other": "set"}), "the values are {}", config["data"]);
    let values = cx.cluster().helm(&["get", "values", name, "-n", namespace, "-o", "json"]).await?;
    let values: Value = serde_json::from_str(&values)?;
    ensure!(values == json!({"other": "set", "value": "two"}), "helm reads the values {values}");
    let before = Snapshot::take(cx, namespace).await?;
    release::request(cx, namespace, name, "still").await?;
    before.unchanged(cx, namespace).await
}

/// Nothing is done for a suspended release, and deleting it leaves everything in place.
async fn suspended(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "rests";
    install(cx, namespace, name, "").await?;
    release::ready_at(cx, namespace, name, 1).await?;
    release::patch(cx, namespace, name, json!({"suspend": true, "values": {"value": "two"}})).await?;
    release::patch(cx, namespace, name, json!({"suspend": false, "values": {"value": "three"}})).await?;
    let ready = release::ready_at(cx, namespace, name, 2).await?;
    ensure!(value(cx, namespace, name).await? == "three", "what was asked for meanwhile was done");
    check(&ready, "Ready", "True", "UpgradeSucceeded")?;
    release::patch(cx, namespace, name, json!({"suspend": true})).await?;
    release::delete(cx, namespace, name).await?;
    has_only(cx, namespace, name, &["config"]).await?;
    event(cx, namespace, &["UninstallSkipped", "rests", "suspended"]).await
}
