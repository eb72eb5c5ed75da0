//! What follows a failure: the release goes back to a good revision, or is uninstalled, and the action is tried as often
//! as the spec says. The failure stays in view, and a new spec takes over at once.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::chart_server::{ChartDir, ChartServer};
use crate::cluster::{Kind, condition, contains, text};
use crate::context::Context;
use crate::release::{self, Snapshot};

/// Until a hook must have been made.
const MADE_WITHIN: Duration = Duration::from_secs(30);

/// The objects, and a hook after them that fails when it is to: then all the rest was done.
pub const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-config"}
data: {value: "{{ .Values.value }}", other: "{{ .Values.other }}"}
{{- if .Values.extra }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-extra"}
{{- end }}
{{- if .Values.broken }}
---
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-broken
  annotations: {helm.sh/hook: "post-install,post-upgrade", pintle.dev/simulate: fail}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "registry.example/broken:1"}]
{{- end }}
{{- if .Values.slow }}
---
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-slow
  annotations: {helm.sh/hook: pre-rollback, pintle.dev/simulate: pending}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "registry.example/slow:1"}]
{{- end }}
"#;

/// The chart's defaults.
pub const VALUES: &str = "value: one\nother: default\nextra: false\nbroken: false\nslow: false\n";

/// A chart server with [`OBJECTS`] as `web`.
pub fn charts() -> anyhow::Result<ChartDir> {
    let charts = ChartDir::new()?;
    charts.add("web", "1.0.0", &[("templates/objects.yaml", OBJECTS), ("values.yaml", VALUES)])?;
    Ok(charts)
}

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let server = &charts()?.serve().await?;
    futures::try_join!(
        rolled_back(cx, server),
        taken_over(cx, server),
        uninstalled(cx, server),
        install_uninstalled(cx, server),
        without_a_target(cx, server),
    )?;
    Ok(())
}

/// A namespace of its own for a part of a story, with the charts at hand: its requests can be told from the others'.
pub async fn place(cx: &Context, server: &ChartServer) -> anyhow::Result<String> {
    let namespace = cx.namespace().await?;
    release::repository(cx, &namespace, server).await?;
    Ok(namespace)
}

async fn install(cx: &Context, namespace: &str, name: &str, rest: &str) -> anyhow::Result<()> {
    cx.cluster().apply_yaml(&release::yaml(namespace, name, "web", "1.0.0", rest)).await
}

/// Checks a condition's status and reason.
pub fn check(release: &Value, type_: &str, status: &str, reason: &str) -> anyhow::Result<()> {
    let found = condition(release, type_);
    ensure!(
        found.is_some_and(|c| c["status"] == status && c["reason"] == reason),
        "{type_} should be {status}/{reason}, is {found:?}"
    );
    Ok(())
}

/// Action and status of each revision in the status, oldest first.
pub fn told(release: &Value) -> Vec<String> {
    let history = release["status"]["history"].as_array().cloned().unwrap_or_default();
    let one = |r: &Value| format!("{} {}: {}", r["revision"], text(r, "/action"), text(r, "/status"));
    history.iter().rev().map(one).collect()
}

/// The value that a release's ConfigMap has.
pub async fn value(cx: &Context, namespace: &str, name: &str) -> anyhow::Result<String> {
    let config = cx.objects().get(Kind::CONFIG_MAP, namespace, &format!("{name}-config")).await?;
    Ok(text(&config, "/data/value"))
}

/// Checks which ConfigMaps a release has.
pub async fn has_only(cx: &Context, namespace: &str, name: &str, suffixes: &[&str]) -> anyhow::Result<()> {
    let mut names = cx.objects().names(Kind::CONFIG_MAP, namespace).await?;
    names.retain(|found| found.starts_with(&format!("{name}-")));
    names.sort();
    let wanted: Vec<String> = suffixes.iter().map(|suffix| format!("{name}-{suffix}")).collect();
    ensure!(names == wanted, "the ConfigMaps of {name} are {names:?}, not {wanted:?}");
    Ok(())
}

/// Checks that an event with this reason and these words was published.
pub async fn event(cx: &Context, namespace: &str, parts: &[&str]) -> anyhow::Result<()> {
    let events = cx.objects().events(namespace).await?;
    let found = events.iter().any(|event| parts.iter().all(|part| event.contains(part)));
    ensure!(found, "no event has {parts:?}:\n{}", events.join("\n"));
    Ok(())
}

/// Two tries, each rolled back; then a reset brings two more, and a better spec ends it.
async fn rolled_back(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "back";
    install(cx, namespace, name, "  upgrade: {remediation: {retries: 1}}\n").await?;
    release::ready_at(cx, namespace, name, 1).await?;
    let bad = json!({"values": {"value": "two", "extra": true, "broken": true}});
    release::patch(cx, namespace, name, bad).await?;
    release::failed(cx, namespace, name, "HookFailed", &["post-upgrade hook", "back-broken"]).await?;
    let parts = ["the upgrade failed 2 times", "HookFailed", "back-broken", "revision 5 has the content of"];
    let ended = release::stalled(cx, namespace, name, "RetriesExceeded", &parts).await?;
    check(&ended, "Remediated", "True", "RollbackSucceeded")?;
    check(&ended, "Released", "False", "RetriesExceeded")?;
    let revisions = [
        "1 install: superseded",
        "2 upgrade: failed",
        "3 rollback: superseded",
        "4 upgrade: failed",
        "5 rollback: deployed",
    ];
    ensure!(told(&ended) == revisions, "the history is {:?}", told(&ended));
    ensure!(ended["status"]["lastAppliedRevision"] == 5, "{}", ended["status"]["lastAppliedRevision"]);
    ensure!(ended["status"]["failures"] == 2, "the failures are {}", ended["status"]["failures"]);
    ensure!(ended["spec"].get("rollbackTo").is_none(), "remediation has touched the spec");
    let inventory = ended["status"]["inventory"].to_string();
    contains(&inventory, &["back-config"])?;
    ensure!(!inventory.contains("back-extra"), "the inventory is {inventory}");
    ensure!(value(cx, namespace, name).await? == "one", "the content is not that of revision 1");
    has_only(cx, namespace, name, &["config"]).await?;
    event(cx, namespace, &["RollbackSucceeded", "rollback of revision 5"]).await?;
    event(cx, namespace, &["RetriesExceeded", "the upgrade failed 2 times"]).await?;
    let before = Snapshot::take(cx, namespace).await?;
    release::request(cx, namespace, name, "still").await?;
    before.unchanged(cx, namespace).await?;
    let records = release::records(cx, namespace, name).await?;
    ensure!(records.len() == 5, "the records are {records:?}");

    let reset = json!({"metadata": {"annotations": {"pintle.dev/resetAt": "now"}}});
    cx.objects().patch(Kind::HELM_RELEASE, namespace, name, reset).await?;
    let again = |release: Option<&Value>| {
        release.is_some_and(|release| {
            release["status"]["lastHandledResetAt"] == "now"
                && release["status"]["lastAppliedRevision"].as_i64().is_some_and(|revision| revision >= 7)
        })
    };
    let kind = Kind::HELM_RELEASE;
    cx.objects().wait(kind, namespace, name, "tried anew", release::WITHIN, again).await?;
    release::patch(cx, namespace, name, json!({"values": {"value": "three", "broken": false}})).await?;
    let ready = release::ready(cx, namespace, name).await?;
    ensure!(condition(&ready, "Remediated").is_none(), "what is over is still told");
    ensure!(ready["status"].get("failures").is_none(), "the failures are {}", ready["status"]["failures"]);
    ensure!(value(cx, namespace, name).await? == "three", "the new spec is not in place");
    has_only(cx, namespace, name, &["config", "extra"]).await
}

/// A rollback that waits for its hook makes way for a new spec.
async fn taken_over(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "over";
    let rest = "  values: {slow: true}\n  upgrade: {remediation: {retries: 1}}\n";
    install(cx, namespace, name, rest).await?;
    release::ready_at(cx, namespace, name, 1).await?;
    release::patch(cx, namespace, name, json!({"values": {"value": "two", "broken": true}})).await?;
    let made = |pod: Option<&Value>| pod.is_some();
    cx.objects().wait(Kind::POD, namespace, "over-slow", "made", MADE_WITHIN, made).await?;
    release::failed(cx, namespace, name, "HookFailed", &["over-broken"]).await?;
    release::patch(cx, namespace, name, json!({"values": {"value": "three", "broken": false}})).await?;
    let ready = release::ready_at(cx, namespace, name, 4).await?;
    let revisions =
        ["1 install: superseded", "2 upgrade: failed", "3 rollback: failed", "4 upgrade: deployed"];
    ensure!(told(&ready) == revisions, "the history is {:?}", told(&ready));
    ensure!(value(cx, namespace, name).await? == "three", "the new spec is not in place");
    Ok(())
}

/// A failed upgrade is uninstalled, and a better spec is installed.
async fn uninstalled(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "gone";
    let rest = "  upgrade: {remediation: {strategy: uninstall, remediateLastFailure: true}}\n";
    install(cx, namespace, name, rest).await?;
    release::ready_at(cx, namespace, name, 1).await?;
    release::patch(cx, namespace, name, json!({"values": {"extra": true, "broken": true}})).await?;
    let parts = ["the upgrade failed once", "gone-broken", "the release was uninstalled"];
    let ended = release::stalled(cx, namespace, name, "RetriesExceeded", &parts).await?;
    check(&ended, "Remediated", "True", "UninstallSucceeded")?;
    ensure!(told(&ended) == ["2 uninstall: uninstalled"], "the history is {:?}", told(&ended));
    ensure!(ended["status"].get("inventory").is_none(), "the inventory is {}", ended["status"]["inventory"]);
    has_only(cx, namespace, name, &[]).await?;
    event(cx, namespace, &["UninstallSucceeded", "because the upgrade to revision 2 failed"]).await?;
    release::patch(cx, namespace, name, json!({"values": {"broken": false}})).await?;
    let ready = release::ready_at(cx, namespace, name, 3).await?;
    ensure!(text(&ready, "/status/history/0/action") == "install", "{:?}", told(&ready));
    has_only(cx, namespace, name, &["config", "extra"]).await?;
    contains(&cx.cluster().helm(&["history", name, "-n", namespace]).await?, &["uninstalled", "deployed"])?;
    release::delete(cx, namespace, name).await?;
    ensure!(release::records(cx, namespace, name).await?.is_empty(), "records are left");
    has_only(cx, namespace, name, &[]).await
}

/// A failed install is uninstalled between two tries; the last one stays, unless it is to go.
async fn install_uninstalled(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let stays = "  values: {broken: true}\n  install: {remediation: {retries: 1}}\n";
    install(cx, namespace, "stays", stays).await?;
    let goes = "  values: {broken: true}\n  install: {remediation: {remediateLastFailure: true}}\n";
    install(cx, namespace, "goes", goes).await?;
    let parts = ["the install failed once", "goes-broken", "the release was uninstalled"];
    let ended = release::stalled(cx, namespace, "goes", "RetriesExceeded", &parts).await?;
    check(&ended, "Remediated", "True", "UninstallSucceeded")?;
    has_only(cx, namespace, "goes", &[]).await?;
    let parts = ["the install failed 2 times", "stays-broken"];
    let ended = release::stalled(cx, namespace, "stays", "RetriesExceeded", &parts).await?;
    ensure!(condition(&ended, "Remediated").is_none(), "nothing was done about the last failure");
    ensure!(told(&ended) == ["1 uninstall: uninstalled", "2 install: failed"], "{:?}", told(&ended));
    has_only(cx, namespace, "stays", &["config"]).await
}

/// There is no good revision: helm's own failed install was taken over by an upgrade that fails as well.
async fn without_a_target(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "never";
    let rest = "  values: {broken: true}\n  timeout: 20s\n  upgrade: {remediation: {retries: 2}}\n";
    let charts = ChartDir::new()?;
    let broken = VALUES.replace("broken: false", "broken: true");
    let chart =
        charts.add("web", "1.0.0", &[("templates/objects.yaml", OBJECTS), ("values.yaml", &broken)])?;
    let chart = chart.to_string_lossy().into_owned();
    let failed =
        cx.cluster().try_helm(&["install", name, &chart, "-n", namespace, "--timeout", "20s"]).await?;
    ensure!(!failed.success, "helm's install should fail");
    let yaml = release::yaml(namespace, name, "web", "1.0.0", rest).replace("  timeout: 60s\n", "");
    cx.cluster().apply_yaml(&yaml).await?;
    let parts = ["no good revision to go back to", "never-broken", "uninstall"];
    let ended = release::stalled(cx, namespace, name, "MissingRollbackTarget", &parts).await?;
    ensure!(text(&ended, "/status/history/0/status") == "failed", "{:?}", told(&ended));
    Ok(())
}
