//! Releases that wait for pods which never come keep nobody else from becoming ready, and a new spec takes over at
//! once. A record that somebody deletes is missed at once, not at the next interval.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, condition};
use crate::context::Context;
use crate::release;

/// Releases that wait: more than there are workers.
const WAITING: usize = 20;
/// Releases that do not.
const HEALTHY: usize = 5;

pub const CHART: &str = "app";

const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata:
      labels: {app: "{{ .Release.Name }}"}
      annotations: {pintle.dev/simulate: "{{ .Values.fate }}"}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "registry.example/app:{{ .Values.tag }}"}]
"#;

/// The chart of those that wait and those that do not, as their values say.
pub fn charts() -> anyhow::Result<ChartDir> {
    let charts = ChartDir::new()?;
    let files = [("templates/app.yaml", DEPLOYMENT), ("values.yaml", "fate: \"\"\ntag: \"1\"\n")];
    charts.add(CHART, "1.0.0", &files)?;
    Ok(charts)
}

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let server = charts()?.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    let waiting: Vec<String> = (0..WAITING).map(|number| format!("waiting-{number}")).collect();
    let pending: Vec<String> = waiting
        .iter()
        .map(|name| release::yaml(&namespace, name, CHART, "1.0.0", "  values: {fate: pending}\n"))
        .map(|yaml| yaml.replace("timeout: 60s", "timeout: 10m"))
        .collect();
    cx.cluster().apply_yaml(&pending.join("---\n")).await?;
    for name in &waiting {
        cx.objects()
            .wait(Kind::HELM_RELEASE, &namespace, name, "waiting", release::WITHIN, is_waiting)
            .await?;
    }
    let healthy: Vec<String> = (0..HEALTHY).map(|number| format!("healthy-{number}")).collect();
    let yaml: Vec<String> =
        healthy.iter().map(|name| release::yaml(&namespace, name, CHART, "1.0.0", "")).collect();
    cx.cluster().apply_yaml(&yaml.join("---\n")).await?;
    for name in &healthy {
        release::ready_at(cx, &namespace, name, 1).await?;
    }
    for name in &waiting {
        let release = cx.objects().get(Kind::HELM_RELEASE, &namespace, name).await?;
        ensure!(
            is_waiting(Some(&release)),
            "{name} does not wait any more: {}",
            release["status"]["conditions"]
        );
    }
    // Minutes before its time is over.
    release::patch(cx, &namespace, &waiting[0], json!({"values": {"fate": ""}})).await?;
    let taken = release::ready_at(cx, &namespace, &waiting[0], 2).await?;
    let given_up = &taken["status"]["history"][1];
    ensure!(given_up["status"] == "failed", "the revision that was given up is {given_up}");
    lost_record(cx, &namespace, &healthy[0]).await
}

/// Whether its objects are applied and on their way.
pub fn is_waiting(release: Option<&Value>) -> bool {
    let reconciling = release.and_then(|release| condition(release, "Reconciling"));
    reconciling.is_some_and(|reconciling| {
        reconciling["reason"] == "Progressing"
            && reconciling["message"].as_str().is_some_and(|message| message.starts_with("waiting for"))
    })
}

async fn lost_record(cx: &Context, namespace: &str, name: &str) -> anyhow::Result<()> {
    let deployment = cx.objects().get(Kind::DEPLOYMENT, namespace, name).await?;
    let record = format!("sh.helm.release.v1.{name}.v1");
    let old = cx.objects().get(Kind::SECRET, namespace, &record).await?;
    cx.cluster().kubectl(&["delete", "secret", &record, "-n", namespace]).await?;
    let again = |object: Option<&Value>| {
        object.is_some_and(|object| object["metadata"]["uid"] != old["metadata"]["uid"])
    };
    cx.objects().wait(Kind::SECRET, namespace, &record, "made again", release::WITHIN, again).await?;
    release::ready_at(cx, namespace, name, 1).await?;
    let now = cx.objects().get(Kind::DEPLOYMENT, namespace, name).await?;
    ensure!(now["metadata"]["uid"] == deployment["metadata"]["uid"], "the Deployment was made anew");
    Ok(())
}
