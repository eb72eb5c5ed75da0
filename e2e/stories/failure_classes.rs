//! Failures that no other story tells: what is said of each, whether it is tried again, and that nothing else changes.

use std::time::Duration;

use anyhow::{bail, ensure};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::options::{charts, install, suspended};
use super::remediation::{check, has_only, place, told, value};
use crate::audit::counted;
use crate::chart_server::ChartServer;
use crate::cluster::{Kind, condition, contains, text};
use crate::context::Context;
use crate::operator::USER;
use crate::release::{self, REPOSITORY, Snapshot};

/// Until a webhook must be heeded, which nothing tells.
const HEEDED_WITHIN: Duration = Duration::from_secs(60);
/// Between two tries.
const TRY_EVERY: Duration = Duration::from_millis(200);

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let server = &charts()?.serve().await?;
    futures::try_join!(
        circle(cx, server),
        depending(cx, server),
        without_a_secret(cx, server),
        too_much(cx, server),
        refused_for_a_while(cx, server),
        rolled_back_in_vain(cx, server),
        superseded(cx, server),
    )?;
    Ok(())
}

/// Releases that wait for each other say so, and go on when one of them does not any more.
async fn circle(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    let before = Snapshot::take(cx, namespace).await?;
    for (name, on) in [("chicken", "egg"), ("egg", "chicken")] {
        install(cx, namespace, name, &format!("  dependsOn: [{{name: {on}}}]\n")).await?;
    }
    for (name, way) in [("chicken", "chicken → egg → chicken"), ("egg", "egg → chicken → egg")] {
        let parts = ["spec.dependsOn", way, "remove one of these references"];
        release::stalled(cx, namespace, name, "DependencyCycle", &parts).await?;
        release::told(cx, namespace, name, "DependencyCycle", &parts).await?;
    }
    before.unchanged(cx, namespace).await?;
    quiet(cx, namespace, &["chicken", "egg"]).await?;
    release::patch(cx, namespace, "egg", json!({"dependsOn": null})).await?;
    for name in ["egg", "chicken"] {
        release::ready_at(cx, namespace, name, 1).await?;
    }
    Ok(())
}

/// Releases that have said why they do not go on write nothing any more but the echo of a request: none wakes another.
async fn quiet(cx: &Context, namespace: &str, names: &[&str]) -> anyhow::Result<()> {
    let Some(audit) = cx.audit() else { return Ok(()) };
    let mark = audit.mark().await?;
    for name in names {
        release::request(cx, namespace, name, "still").await?;
    }
    let writes = audit.writes_since(mark, USER, namespace).await?;
    ensure!(writes.len() <= 2 * names.len(), "they keep writing:\n{}", counted(&writes));
    Ok(())
}

/// A release waits for one that is not there, and for one that is not ready, and says for which.
async fn depending(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    let before = Snapshot::take(cx, namespace).await?;
    install(cx, namespace, "front", "  dependsOn: [{name: back}]\n").await?;
    let whom = format!("HelmRelease {namespace}/back");
    let parts = [whom.as_str(), "does not exist", "create it, or take it out of spec.dependsOn"];
    release::retried(cx, namespace, "front", "DependencyNotReady", &parts).await?;
    release::told(cx, namespace, "front", "DependencyNotReady", &parts).await?;
    install(cx, namespace, "back", "  suspend: true\n").await?;
    suspended(cx, namespace, "back", "no revision is deployed").await?;
    let parts = [whom.as_str(), "is not ready", "goes on when it is"];
    let is_there = |object: Option<&Value>| {
        let ready = object.and_then(|object| condition(object, "Ready"));
        ready.is_some_and(|ready| text(ready, "/message").contains("is not ready"))
    };
    let kind = Kind::HELM_RELEASE;
    cx.objects().wait(kind, namespace, "front", "waiting for the other", release::WITHIN, is_there).await?;
    release::retried(cx, namespace, "front", "DependencyNotReady", &parts).await?;
    release::told(cx, namespace, "front", "DependencyNotReady", &parts).await?;
    before.unchanged(cx, namespace).await?;
    release::patch(cx, namespace, "back", json!({"suspend": false})).await?;
    for name in ["back", "front"] {
        release::ready_at(cx, namespace, name, 1).await?;
    }
    Ok(())
}

/// A repository says which Secret it lacks, for which field, and is asked when it comes; its releases wait.
async fn without_a_secret(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &cx.namespace().await?;
    let url = server.url();
    let yaml = format!(
        "apiVersion: pintle.dev/v1alpha1
kind: ChartRepository
metadata: {{name: {REPOSITORY}, namespace: {namespace}}}
spec: {{url: \"{url}\", secretRef: {{name: {REPOSITORY}-secret}}}}
---
apiVersion: pintle.dev/v1alpha1
kind: ChartRepository
metadata: {{name: tls, namespace: {namespace}}}
spec: {{url: \"{url}\", certSecretRef: {{name: tls-secret}}}}
"
    );
    cx.cluster().apply_yaml(&yaml).await?;
    let before = Snapshot::take(cx, namespace).await?;
    install(cx, namespace, "web", "").await?;
    for (name, field) in [(REPOSITORY, "spec.secretRef"), ("tls", "spec.certSecretRef")] {
        let kind = Kind::CHART_REPOSITORY;
        let not_ready =
            cx.objects().wait_condition(kind, namespace, name, "Ready", "False", release::WITHIN).await?;
        check(&not_ready, "Ready", "False", "SecretNotFound")?;
        check(&not_ready, "Reconciling", "True", "ProgressingWithRetry")?;
        let said = condition(&not_ready, "Ready").map(|ready| text(ready, "/message")).unwrap_or_default();
        let secret = format!("Secret {namespace}/{name}-secret does not exist");
        contains(&said, &[&secret, "create it", field])?;
        let events = cx.objects().events(namespace).await?;
        let about = format!("SecretNotFound ChartRepository/{name}: ");
        ensure!(
            events.iter().any(|event| event.contains(&about) && event.contains(&secret)),
            "no event {about} among:\n{}",
            events.join("\n")
        );
    }
    release::retried(cx, namespace, "web", "ChartUnavailable", &[REPOSITORY]).await?;
    before.unchanged(cx, namespace).await?;
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {REPOSITORY}-secret, namespace: {namespace}}}\n\
         stringData: {{username: app, password: hunter2}}\n"
    );
    cx.cluster().apply_yaml(&secret).await?;
    let kind = Kind::CHART_REPOSITORY;
    let ready =
        cx.objects().wait_condition(kind, namespace, REPOSITORY, "Ready", "True", release::WITHIN).await?;
    check(&ready, "Ready", "True", "Succeeded")?;
    release::ready_at(cx, namespace, "web", 1).await?;
    Ok(())
}

/// A template that asks for more than it may have fails with its place, and what runs is left alone.
async fn too_much(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    install(cx, namespace, "huge", "").await?;
    release::ready_at(cx, namespace, "huge", 1).await?;
    let before = Snapshot::take(cx, namespace).await?;
    release::patch(cx, namespace, "huge", json!({"values": {"big": true}})).await?;
    let parts = ["web/templates/objects.yaml:", "exceeded the maximum size of the output"];
    release::stalled(cx, namespace, "huge", "RenderLimitExceeded", &parts).await?;
    release::told(cx, namespace, "huge", "RenderLimitExceeded", &parts).await?;
    before.unchanged(cx, namespace).await?;
    release::patch(cx, namespace, "huge", json!({"values": null})).await?;
    release::ready_at(cx, namespace, "huge", 1).await?;
    Ok(())
}

/// A webhook of the namespace that nobody answers for.
fn webhook(namespace: &str) -> String {
    let url = "https://127.0.0.1:1/";
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [{
            "name": "silent.pintle.dev", "clientConfig": {"url": url}, "failurePolicy": "Fail", "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"],
            }],
        }],
    })
    .to_string()
}

async fn heeded(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe", "namespace": namespace}});
    let deadline = Instant::now() + HEEDED_WITHIN;
    let args = ["create", "--dry-run=server", "-f", "-"];
    while cx.cluster().try_kubectl(&args, &map.to_string()).await?.success {
        if Instant::now() >= deadline {
            bail!("the webhook is not heeded after {HEEDED_WITHIN:?}");
        }
        sleep(TRY_EVERY).await;
    }
    Ok(())
}

async fn refused_for_a_while(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    install(cx, namespace, "later", "").await?;
    release::ready_at(cx, namespace, "later", 1).await?;
    cx.cluster().apply_yaml(&webhook(namespace)).await?;
    let told = refused(cx, namespace).await;
    cx.cluster().kubectl(&["delete", "validatingwebhookconfiguration", namespace]).await?;
    told?;
    // It goes on by itself.
    release::ready(cx, namespace, "later").await?;
    ensure!(value(cx, namespace, "later").await? == "two", "the upgrade is not in place");
    Ok(())
}

/// The server cannot say yes or no: before the first write nothing is begun, and what has begun fails when its time is over.
async fn refused(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let name = "later";
    heeded(cx, namespace).await?;
    let before = Snapshot::take(cx, namespace).await?;
    let object = format!("ConfigMap {namespace}/later-config");
    let parts = [object.as_str(), "failed calling webhook", "silent.pintle.dev"];
    release::patch(cx, namespace, name, json!({"values": {"value": "two"}})).await?;
    release::retried(cx, namespace, name, "ProgressingWithRetry", &parts).await?;
    release::told(cx, namespace, name, "ProgressingWithRetry", &parts).await?;
    before.unchanged(cx, namespace).await?;
    release::patch(cx, namespace, name, json!({"preflight": "Never", "timeout": "3s"})).await?;
    let parts = [&parts[..], &["revision 1 still runs"]].concat();
    let failed = release::retried(cx, namespace, name, "UpgradeFailed", &parts).await?;
    release::told(cx, namespace, name, "UpgradeFailed", &parts[..3]).await?;
    check(&failed, "Released", "False", "UpgradeFailed")?;
    ensure!(told(&failed) == ["1 install: deployed", "2 upgrade: failed"], "{:?}", told(&failed));
    // What the server refused was asked for, and changed nothing.
    ensure!(value(cx, namespace, "later").await? == "one", "the object changed");
    before.unchanged_but(cx, namespace, &["Secret/sh.helm.release.v1.later.", "ConfigMap/later-config"]).await
}

/// What was to put a failure right fails as well: both are told, and a better spec ends it.
async fn rolled_back_in_vain(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    let name = "vain";
    let rest = "  values: {failing: [post-rollback]}\n  upgrade: {remediation: {retries: 1}}\n";
    install(cx, namespace, name, rest).await?;
    release::ready_at(cx, namespace, name, 1).await?;
    let bad = json!({"values": {"value": "two", "failing": ["post-upgrade", "post-rollback"]}});
    release::patch(cx, namespace, name, bad).await?;
    let in_vain = |object: Option<&Value>| {
        object.and_then(|object| condition(object, "Remediated")).is_some_and(|c| c["status"] == "False")
    };
    let kind = Kind::HELM_RELEASE;
    cx.objects().wait(kind, namespace, name, "rolled back in vain", release::WITHIN, in_vain).await?;
    let parts = [
        "post-rollback hook Pod",
        "vain-post-rollback",
        "it was to put right the upgrade to revision 2",
        "vain-post-upgrade",
        "revision 1 still runs",
    ];
    let failed = release::retried(cx, namespace, name, "HookFailed", &parts).await?;
    // With the end of the hook's log the event has no room for more.
    release::told(cx, namespace, name, "HookFailed", &parts[..2]).await?;
    check(&failed, "Remediated", "False", "RollbackFailed")?;
    let why = condition(&failed, "Remediated").map(|found| text(found, "/message")).unwrap_or_default();
    contains(&why, &["vain-post-rollback"])?;
    ensure!(value(cx, namespace, name).await? == "one", "the content is not that of revision 1");
    has_only(cx, namespace, name, &["config"]).await?;
    release::patch(cx, namespace, name, json!({"values": {"failing": []}})).await?;
    let ready = release::ready(cx, namespace, name).await?;
    ensure!(condition(&ready, "Remediated").is_none(), "what is over is still told");
    ensure!(value(cx, namespace, name).await? == "two", "the new spec is not in place");
    Ok(())
}

/// A revision that waits is given up when a newer spec comes, and is told of.
async fn superseded(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    let name = "over";
    install(cx, namespace, name, "  values: {app: pending}\n").await?;
    let waits = |object: Option<&Value>| {
        object
            .and_then(|object| condition(object, "Reconciling"))
            .is_some_and(|c| c["reason"] == "Progressing")
    };
    let kind = Kind::HELM_RELEASE;
    cx.objects().wait(kind, namespace, name, "waiting", release::WITHIN, waits).await?;
    release::patch(cx, namespace, name, json!({"values": {"app": "", "value": "two"}})).await?;
    let ready = release::ready_at(cx, namespace, name, 2).await?;
    ensure!(told(&ready) == ["1 install: failed", "2 install: deployed"], "{:?}", told(&ready));
    let why = text(&ready, "/status/history/1/message");
    contains(&why, &["revision 1 was given up for a newer spec"])?;
    release::told(cx, namespace, name, "Superseded", &[&why]).await?;
    ensure!(ready["status"].get("failures").is_none(), "the failures are {}", ready["status"]["failures"]);
    ensure!(value(cx, namespace, name).await? == "two", "the new spec is not in place");
    let left = cx.objects().find(Kind::DEPLOYMENT, namespace, "over-app").await?;
    ensure!(left.is_none(), "what the given up revision made is left");
    Ok(())
}
