//! An operator that is asked to end while an install waits marks the revision as interrupted, so that nothing stays
//! pending for it, and begins anew as soon as it is back.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::chart_server::ChartDir;
use crate::cluster::Kind;
use crate::context::Context;
use crate::release;

const NAME: &str = "parked";
const WITHIN: Duration = Duration::from_secs(60);
/// Kubernetes kills after 30 s.
const ENDED_WITHIN: Duration = Duration::from_secs(25);

const OBJECTS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: parked}
spec:
  selector: {matchLabels: {app: parked}}
  template:
    metadata: {labels: {app: parked}, annotations: {pintle.dev/simulate: pending}}
    spec: {containers: [{name: main, image: "registry.example/parked:1"}]}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    cx.alone(NAME, |own| Box::pin(tell(own))).await
}

async fn tell(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    charts.add(NAME, "1.0.0", &[("templates/all.yaml", OBJECTS)])?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    cx.cluster().apply_yaml(&release::yaml(&namespace, NAME, NAME, "1.0.0", "")).await?;
    // The status tells of a wait only when it has gone on for a while.
    let waits = |object: Option<&Value>| {
        object.is_some_and(|object| {
            crate::cluster::condition(object, "Reconciling").is_some_and(|c| c["reason"] == "Progressing")
        })
    };
    cx.objects().wait(Kind::HELM_RELEASE, &namespace, NAME, "waiting", WITHIN, waits).await?;

    let operator = cx.rig().operator()?;
    let asked = Instant::now();
    let status = operator.stop().await?;
    ensure!(status.success(), "the operator was asked to end and did so with {status}");
    ensure!(asked.elapsed() < ENDED_WITHIN, "it took {:?} to end", asked.elapsed());
    let listed = cx.cluster().helm(&["history", NAME, "-n", &namespace, "-o", "json"]).await?;
    let listed: Value = serde_json::from_str(&listed).context("helm history prints no JSON")?;
    ensure!(listed[0]["status"] == "failed", "the revision should be failed, helm says {listed}");
    release::failed(cx, &namespace, NAME, "Interrupted", &["revision 1", "stopped"]).await?;

    // What keeps the pods back goes while nobody is there to see it.
    cx.cluster()
        .kubectl(&["annotate", "pod", "-n", &namespace, "-l", "app=parked", "pintle.dev/simulate-"])
        .await?;
    operator.restart().await?;
    release::ready_at(cx, &namespace, NAME, 2).await?;
    Ok(())
}
