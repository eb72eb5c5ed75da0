//! An operator that is killed in the middle of an install goes on where it was when it is back; one that is asked
//! to end does so well, and starts again without a write. What it could not tell of any more, the next one tells, once.

use std::time::Duration;

use anyhow::ensure;
use serde_json::Value;

use crate::audit::counted;
use crate::chart_server::ChartDir;
use crate::cluster::{Kind, text};
use crate::context::Context;
use crate::operator::USER;
use crate::release;

const NAME: &str = "slow";
const WITHIN: Duration = Duration::from_secs(60);

const OBJECTS: &str = r#"
apiVersion: batch/v1
kind: Job
metadata:
  name: prepare
  annotations: {helm.sh/hook: pre-install}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "registry.example/prepare:1"}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: slow}
spec:
  selector: {matchLabels: {app: slow}}
  template:
    metadata: {labels: {app: slow}, annotations: {pintle.dev/simulate: pending}}
    spec: {containers: [{name: main, image: "registry.example/slow:1"}]}
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
    killed(cx, &namespace).await?;
    restarted(cx, &namespace).await?;
    untold(cx, &namespace).await
}

async fn killed(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let operator = cx.rig().operator()?;
    let mark = match cx.audit() {
        Some(audit) => Some(audit.mark().await?),
        None => None,
    };
    cx.cluster().apply_yaml(&release::yaml(namespace, NAME, NAME, "1.0.0", "")).await?;
    let made = |object: Option<&Value>| object.is_some_and(|object| object["status"]["replicas"] == 1);
    cx.objects().wait(Kind::DEPLOYMENT, namespace, NAME, "made", WITHIN, made).await?;
    operator.kill().await?;
    cx.say("the operator is dead");
    // What keeps the pods back goes while nobody is there to see it.
    cx.cluster()
        .kubectl(&["annotate", "pod", "-n", namespace, "-l", "app=slow", "pintle.dev/simulate-"])
        .await?;
    cx.objects().wait_condition(Kind::DEPLOYMENT, namespace, NAME, "Available", "True", WITHIN).await?;
    operator.restart().await?;
    release::ready_at(cx, namespace, NAME, 1).await?;
    let records = release::records(cx, namespace, NAME).await?;
    ensure!(records == ["sh.helm.release.v1.slow.v1"], "the records are {records:?}");
    if let (Some(audit), Some(mark)) = (cx.audit(), mark) {
        let mut jobs = audit.writes_since(mark, USER, namespace).await?;
        jobs.retain(|write| write.resource == "jobs" && write.code == 201);
        ensure!(jobs.len() == 1, "the hook should be made once:\n{}", counted(&jobs));
    }
    Ok(())
}

async fn restarted(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let operator = cx.rig().operator()?;
    release::request(cx, namespace, NAME, "settled").await?;
    let Some(audit) = cx.audit() else { return Ok(()) };
    let status = operator.stop().await?;
    ensure!(status.success(), "the operator was asked to end and did so with {status}");
    // Not earlier: a watch can show what a request did before the request stands in the audit log.
    let mark = audit.mark().await?;
    operator.restart().await?;
    release::request(cx, namespace, NAME, "again").await?;
    let writes = audit.writes_since(mark, USER, namespace).await?;
    ensure!(
        writes.len() == 1 && writes[0].resource == "helmreleases/status",
        "a restart should cost the echo alone, but costs:\n{}",
        counted(&writes)
    );
    Ok(())
}

/// The operator died between the last write of the record and what tells of it: as if neither event nor status had been
/// written, and then as if the event had.
async fn untold(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let operator = cx.rig().operator()?;
    let events = ["delete", "events", "--all", "-n", namespace];
    let status = r#"{"status": {"lastAppliedRevision": null}}"#;
    let status = ["patch", "hr", NAME, "-n", namespace, "--subresource=status", "--type=merge", "-p", status];
    for (echo, lost) in [("untold", true), ("half-told", false)] {
        operator.kill().await?;
        if lost {
            cx.cluster().kubectl(&events).await?;
        }
        cx.cluster().kubectl(&status).await?;
        operator.restart().await?;
        release::request(cx, namespace, NAME, echo).await?;
        release::ready_at(cx, namespace, NAME, 1).await?;
        let mut told = cx.objects().list(Kind::EVENT, namespace, "").await?;
        told.retain(|event| text(event, "/reason") == "InstallSucceeded");
        ensure!(told.len() == 1, "{echo}: the success should be told of once: {told:?}");
    }
    Ok(())
}
