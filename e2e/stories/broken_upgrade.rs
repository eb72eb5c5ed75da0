//! An upgrade that the server refuses changes nothing; one whose pods never become ready says which and why.
//! Both leave the revision before them in charge, and a better spec recovers.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, text};
use crate::context::Context;
use crate::release::{self, Snapshot};

const NAME: &str = "app";

const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 1
  selector: {matchLabels: {app: "{{ .Values.tier }}"}}
  template:
    metadata:
      labels: {app: "{{ .Values.tier }}"}
      annotations: {pintle.dev/simulate: "{{ .Values.fate }}"}
    spec: {containers: [{name: main, image: "registry.example/app:{{ .Values.tag }}"}]}
"#;

const SETTINGS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
data: {tier: "{{ .Values.tier }}"}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let values = "tier: front\nfate: \"\"\ntag: \"1\"\n";
    let files = [
        ("templates/deployment.yaml", DEPLOYMENT),
        ("templates/settings.yaml", SETTINGS),
        ("values.yaml", values),
    ];
    charts.add(NAME, "1.0.0", &files)?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    cx.cluster().apply_yaml(&release::yaml(&namespace, NAME, NAME, "1.0.0", "")).await?;
    release::ready_at(cx, &namespace, NAME, 1).await?;
    immutable_field(cx, &namespace).await?;
    for (fate, reason) in [("image", "ImagePullBackOff"), ("pending", "app")] {
        never_ready(cx, &namespace, fate, reason).await?;
    }
    Ok(())
}

async fn immutable_field(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let before = Snapshot::take(cx, namespace).await?;
    release::patch(cx, namespace, NAME, json!({"values": {"tier": "back"}})).await?;
    let parts = ["Deployment", "app", "spec.selector"];
    let failed = release::stalled(cx, namespace, NAME, "ImmutableField", &parts).await?;
    // The attempt may stand in the history; nothing else may change.
    before.unchanged_but(cx, namespace, &["Secret/sh.helm.release.v1."]).await?;
    still_deployed(cx, namespace, &failed, 1).await?;

    release::patch(cx, namespace, NAME, json!({"values": {"tier": "front", "tag": "2"}})).await?;
    let recovered = release::ready(cx, namespace, NAME).await?;
    let revision = &recovered["status"]["lastAppliedRevision"];
    ensure!(revision.as_i64().is_some_and(|revision| revision > 1), "recovered at revision {revision}");
    runs(cx, namespace, "registry.example/app:2").await
}

async fn never_ready(cx: &Context, namespace: &str, fate: &str, reason: &str) -> anyhow::Result<()> {
    let before = release::ready(cx, namespace, NAME).await?;
    let revision = before["status"]["lastAppliedRevision"].as_i64().unwrap_or_default();
    let spec = json!({"timeout": "4s", "values": {"tag": fate, "fate": fate}});
    release::patch(cx, namespace, NAME, spec).await?;
    let failed = release::failed(cx, namespace, NAME, "WaitTimeout", &["Deployment", "app", reason]).await?;
    still_deployed(cx, namespace, &failed, revision).await?;
    // The Deployment keeps the pods of the good revision until those of the new one are ready.
    let deployment = cx.objects().get(Kind::DEPLOYMENT, namespace, "app").await?;
    ensure!(
        deployment["status"]["availableReplicas"] == 1,
        "the running pod is lost: {}",
        deployment["status"]
    );

    let spec = json!({"timeout": "60s", "values": {"tag": "3", "fate": ""}});
    release::patch(cx, namespace, NAME, spec).await?;
    release::ready(cx, namespace, NAME).await?;
    runs(cx, namespace, "registry.example/app:3").await
}

/// Checks that storage and status say that the revision before the failed one is deployed.
async fn still_deployed(cx: &Context, namespace: &str, release: &Value, revision: i64) -> anyhow::Result<()> {
    let last = &release["status"]["lastAppliedRevision"];
    ensure!(*last == revision, "the last applied revision should be {revision}, is {last}");
    let record = format!("sh.helm.release.v1.{NAME}.v{revision}");
    let record = cx.objects().get(Kind::SECRET, namespace, &record).await?;
    let status = text(&record, "/metadata/labels/status");
    ensure!(status == "deployed", "revision {revision} should be deployed, is {status}");
    Ok(())
}

async fn runs(cx: &Context, namespace: &str, image: &str) -> anyhow::Result<()> {
    let deployment = cx.objects().get(Kind::DEPLOYMENT, namespace, "app").await?;
    let found = text(&deployment, "/spec/template/spec/containers/0/image");
    ensure!(found == image, "{image} should run, {found} does");
    Ok(())
}
