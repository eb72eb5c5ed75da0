//! An operator with a field manager of its own takes over what helm applied under its name, so that a field which leaves
//! the chart still leaves the object.

use anyhow::ensure;
use serde_json::json;

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, text};
use crate::context::Context;
use crate::release;

const NAME: &str = "named";

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: named}
data:
  text: "{{ .Values.text }}"
  {{- with .Values.extra }}
  extra: "{{ . }}"
  {{- end }}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    cx.alone_with(NAME, &[("PINTLE_FIELD_MANAGER", "steersman")], |own| Box::pin(tell(own))).await
}

async fn tell(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let files = [("templates/all.yaml", OBJECTS), ("values.yaml", "text: a\n")];
    let chart = charts.add(NAME, "1.0.0", &files)?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    let chart = chart.to_string_lossy();
    cx.cluster().helm(&["install", NAME, &chart, "-n", &namespace, "--set", "extra=b"]).await?;
    let yaml = release::yaml(&namespace, NAME, NAME, "1.0.0", "  values: {extra: b}\n");
    cx.cluster().apply_yaml(&yaml).await?;
    release::ready_at(cx, &namespace, NAME, 1).await?;
    managed_by(cx, &namespace, &["helm"]).await?;

    release::patch(cx, &namespace, NAME, json!({"values": {"text": "c", "extra": null}})).await?;
    release::ready_at(cx, &namespace, NAME, 2).await?;
    managed_by(cx, &namespace, &["steersman"]).await?;
    let object = cx.objects().get(Kind::CONFIG_MAP, &namespace, NAME).await?;
    ensure!(object["data"] == json!({"text": "c"}), "the object has {}", object["data"]);
    Ok(())
}

async fn managed_by(cx: &Context, namespace: &str, wanted: &[&str]) -> anyhow::Result<()> {
    let object = cx.objects().get(Kind::CONFIG_MAP, namespace, NAME).await?;
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let managers: Vec<String> = entries.map(|entry| text(entry, "/manager")).collect();
    ensure!(managers == wanted, "the object should be managed by {wanted:?}, is by {managers:?}");
    Ok(())
}
