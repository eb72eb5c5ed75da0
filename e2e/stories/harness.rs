//! The rig itself: the real helm installs a chart, its pods become ready or fail as asked, and the audit log tells
//! who did it. Children end when they should.

use std::time::Duration;

use anyhow::ensure;

use crate::chart_server::ChartDir;
use crate::child::Program;
use crate::cluster::{Kind, contains, text};
use crate::context::Context;

const WITHIN: Duration = Duration::from_secs(60);
/// The user whose requests are counted: the administrator, as which kubectl and helm run.
const ADMIN: &str = "pintle-admin";

const WORKLOADS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: steady}
spec:
  replicas: 2
  selector: {matchLabels: {app: steady}}
  template:
    metadata: {labels: {app: steady}}
    spec: {containers: [{name: main, image: "registry.example/steady:1"}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere}
spec:
  selector: {matchLabels: {app: everywhere}}
  template:
    metadata: {labels: {app: everywhere}}
    spec: {containers: [{name: main, image: "registry.example/everywhere:1"}]}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: once
  annotations: {helm.sh/hook: post-install}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "registry.example/once:1"}]
"#;

const BROKEN: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: {{ .Values.fate }}, annotations: {pintle.dev/simulate: {{ .Values.fate }}}}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "registry.example/broken:1"}]
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    children_end().await?;
    helm_installs(cx).await?;
    pods_fail_as_asked(cx).await
}

async fn helm_installs(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let chart = charts.add("probe", "1.0.0", &[("templates/workloads.yaml", WORKLOADS)])?;
    let chart = chart.to_string_lossy();
    let mark = match cx.audit() {
        Some(audit) => Some(audit.mark().await?),
        None => None,
    };
    cx.cluster().helm(&["install", "probe", &chart, "-n", &namespace, "--wait", "--timeout", "60s"]).await?;
    contains(&cx.cluster().helm(&["status", "probe", "-n", &namespace]).await?, &["STATUS: deployed"])?;
    contains(&cx.cluster().kubectl(&["get", "deployment", "-n", &namespace]).await?, &["steady", "2/2"])?;
    let everywhere = cx.objects().get(Kind::DAEMON_SET, &namespace, "everywhere").await?;
    ensure!(everywhere["status"]["numberReady"] == 1, "a pod without the toleration is on the control plane");
    cx.objects().wait_condition(Kind::JOB, &namespace, "once", "Complete", "True", WITHIN).await?;
    if let (Some(audit), Some(mark)) = (cx.audit(), mark) {
        let writes = audit.writes_since(mark, ADMIN, &namespace).await?;
        let deployments: Vec<_> = writes.iter().filter(|write| write.resource == "deployments").collect();
        ensure!(deployments.len() == 1 && deployments[0].code == 201, "helm wrote {deployments:?}");
        ensure!(audit.writes_since(mark, "nobody", &namespace).await?.is_empty(), "nobody wrote something");
    }
    cx.cluster().helm(&["uninstall", "probe", "-n", &namespace, "--wait"]).await?;
    cx.objects().wait_gone(Kind::DEPLOYMENT, &namespace, "steady", WITHIN).await
}

async fn pods_fail_as_asked(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    for (fate, phase) in [("fail", "Failed"), ("image", "Pending"), ("pending", "Pending")] {
        cx.cluster()
            .apply_yaml(
                &BROKEN
                    .replace("{{ .Values.fate }}", fate)
                    .replace("metadata: {", &format!("metadata: {{namespace: {namespace}, ")),
            )
            .await?;
        let condition = if fate == "pending" { "PodScheduled" } else { "Ready" };
        let status = if fate == "pending" { "True" } else { "False" };
        let pod = cx.objects().wait_condition(Kind::POD, &namespace, fate, condition, status, WITHIN).await?;
        ensure!(text(&pod, "/status/phase") == phase, "a pod to {fate} is {}", pod["status"]["phase"]);
    }
    Ok(())
}

async fn children_end() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let sleeper =
        || Program::new("sleeper", "/bin/sh", folder.path().join("log")).args(["-c", "echo up; sleep 600"]);
    let mut asked = sleeper().start().await?;
    asked.check()?;
    let status = asked.stop(Duration::from_secs(5)).await?;
    ensure!(!status.success() && asked.check().is_err(), "a child that was asked to end has {status}");
    let dropped = sleeper().start().await?;
    let pid = dropped.pid();
    drop(dropped);
    // The end of a process that is no child of ours offers nothing to wait on.
    for _ in 0..500 {
        if !alive(pid) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("a child lives on after its end of the pipe was closed");
}

/// Whether a process with that id runs.
fn alive(pid: u32) -> bool {
    let probe =
        std::process::Command::new("/bin/sh").arg("-c").arg(format!("kill -0 {pid} 2>/dev/null")).status();
    probe.is_ok_and(|status| status.success())
}
