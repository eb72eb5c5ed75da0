//! A definition goes, and with it its objects: the release that needs it says so, changes nothing, and goes on when
//! the definition is back.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use crate::chart_server::ChartDir;
use crate::cluster::Kind;
use crate::context::Context;
use crate::release::{self, Snapshot};

/// Until a definition must have come or gone.
const DEFINED_WITHIN: Duration = Duration::from_secs(30);

/// An object of the kind, which is ready when its status says so.
const OBJECTS: &str = r#"
apiVersion: {{ .Values.group }}/v1
kind: Widget
metadata: {name: "{{ .Release.Name }}"}
size: {{ .Values.size }}
status: {conditions: [{type: Ready, status: "{{ .Values.ready }}"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data: {size: "{{ .Values.size }}"}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let group = format!("{namespace}.example.com");
    let charts = ChartDir::new()?;
    let values = format!("group: {group}\nsize: 1\nready: \"True\"\n");
    charts.add("widget", "1.0.0", &[("templates/all.yaml", OBJECTS), ("values.yaml", &values)])?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    define(cx, &group).await?;
    // So long that only a watch can tell in time.
    cx.cluster().apply_yaml(&release::yaml(&namespace, "web", "widget", "1.0.0", "")).await?;
    release::patch(cx, &namespace, "web", json!({"timeout": "10m"})).await?;
    release::ready_at(cx, &namespace, "web", 1).await?;

    let name = format!("widgets.{group}");
    cx.cluster().kubectl(&["delete", "crd", &name, "--wait=false"]).await?;
    cx.objects().wait_gone(Kind::CRD, "", &name, DEFINED_WITHIN).await?;
    let before = Snapshot::take(cx, &namespace).await?;
    release::patch(cx, &namespace, "web", json!({"values": {"size": 2}})).await?;
    release::failed(cx, &namespace, "web", "KindNotFound", &["Widget", &group]).await?;
    // The server is asked for its kinds at most once a second: until then it may be taken for a fault of the moment.
    cx.objects()
        .wait(
            Kind::HELM_RELEASE,
            &namespace,
            "web",
            "told where it is asked for",
            DEFINED_WITHIN,
            |release| {
                release
                    .is_some_and(|it| it["status"]["conditions"].to_string().contains("templates/all.yaml"))
            },
        )
        .await?;
    before.unchanged(cx, &namespace).await?;

    define(cx, &group).await?;
    release::patch(cx, &namespace, "web", json!({"values": {"size": 2, "ready": "False"}})).await?;
    let widget = ["get", "widget", "web", "-n", &namespace, "-o", "jsonpath={.size}"];
    cx.objects()
        .wait(Kind::HELM_RELEASE, &namespace, "web", "waiting", DEFINED_WITHIN, |release| {
            let text = release.map(|release| release["status"]["conditions"].to_string());
            text.is_some_and(|text| text.contains("waiting for Widget"))
        })
        .await?;
    let size = cx.cluster().kubectl(&widget).await?;
    ensure!(size == "2", "the Widget's size is {size}");
    let ready = r#"{"status": {"conditions": [{"type": "Ready", "status": "True"}]}}"#;
    cx.cluster().kubectl(&["patch", "widget", "web", "-n", &namespace, "--type=merge", "-p", ready]).await?;
    release::ready_at(cx, &namespace, "web", 2).await?;
    Ok(())
}

/// Defines the kind, and waits until it is served.
async fn define(cx: &Context, group: &str) -> anyhow::Result<()> {
    let yaml = format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{kind: Widget, plural: widgets, singular: widget}}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"
    );
    cx.cluster().apply_yaml(&yaml).await?;
    let name = format!("widgets.{group}");
    cx.objects().wait_condition(Kind::CRD, "", &name, "Established", "True", DEFINED_WITHIN).await?;
    Ok(())
}
