//! Releases that the real helm made become Pintle's: without a revision and without a write to an object when the
//! HelmRelease asks for what is there, be it in Flux's form, and by the next revision when it asks for more.

use anyhow::ensure;
use serde_json::json;

use crate::chart_server::ChartDir;
use crate::cluster::Kind;
use crate::context::Context;
use crate::release::{self, Snapshot};

const CHART: &str = "house";

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  labels: {helm.sh/chart: "{{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}"}
data:
  text: "{{ .Values.text }}"
  made: "{{ if .Release.IsInstall }}installed{{ else }}upgraded{{ end }} as {{ .Release.Revision }}"
  {{- with .Values.extra }}
  extra: "{{ . }}"
  {{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-hook
  annotations: {helm.sh/hook: post-install}
data: {text: "{{ .Values.text }}"}
---
apiVersion: v1
kind: Service
metadata: {name: "{{ .Release.Name }}"}
spec: {selector: {app: house}, ports: [{port: 80}]}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let files = [("templates/all.yaml", OBJECTS), ("values.yaml", "text: a\n")];
    let plain = charts.add(CHART, "1.0.0", &files)?;
    // The charts of Flux's sources have the source's digest in their version; the repository does not know it.
    let others = ChartDir::new()?;
    let flux = others.add(CHART, "1.0.0+8c2f1b7d3e4a", &files)?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    let install = |name: &'static str, chart: &std::path::Path| {
        let chart = chart.to_string_lossy().into_owned();
        let namespace = namespace.clone();
        async move {
            let args = ["install", name, &chart, "-n", &namespace, "--set", "text=b,extra=c"];
            cx.cluster().helm(&args).await
        }
    };
    install("equal", &plain).await?;
    // An existing cluster has the helm that there is.
    let three = !cx.rig().control_plane.is_existing();
    if three {
        let chart = plain.to_string_lossy();
        let args = ["install", "three", &chart, "-n", &namespace, "--set", "text=b,extra=c"];
        cx.cluster().helm3(&args).await?;
    }
    install("flux", &flux).await?;
    install("other", &plain).await?;

    let snapshot = Snapshot::take(cx, &namespace).await?;
    for name in ["equal", "flux", "three"].into_iter().filter(|name| three || *name != "three") {
        let values = "  values: {text: b, extra: c}\n";
        cx.cluster().apply_yaml(&release::yaml(&namespace, name, CHART, "1.0.0", values)).await?;
        let adopted = release::ready_at(cx, &namespace, name, 1).await?;
        let inventory = adopted["status"]["inventory"].as_array().map_or(0, Vec::len);
        ensure!(inventory == 2, "the inventory of {name} is {}", adopted["status"]["inventory"]);
        release::request(cx, &namespace, name, "again").await?;
        release::ready_at(cx, &namespace, name, 1).await?;
    }
    snapshot.unchanged_but(cx, &namespace, &["Secret/sh.helm.release.v1."]).await?;
    let records = release::records(cx, &namespace, "equal").await?;
    ensure!(records == ["sh.helm.release.v1.equal.v1"], "the records are {records:?}");

    // What was adopted goes on as any release: a field that leaves the chart leaves the object.
    for name in ["equal", "three"].into_iter().filter(|name| three || *name != "three") {
        release::patch(cx, &namespace, name, json!({"values": {"text": "d", "extra": null}})).await?;
        release::ready_at(cx, &namespace, name, 2).await?;
        let data = cx.objects().get(Kind::CONFIG_MAP, &namespace, name).await?["data"].take();
        ensure!(data == json!({"text": "d", "made": "upgraded as 2"}), "the object of {name} has {data}");
    }

    cx.cluster()
        .apply_yaml(&release::yaml(&namespace, "other", CHART, "1.0.0", "  values: {text: e}\n"))
        .await?;
    release::ready_at(cx, &namespace, "other", 2).await?;
    let data = cx.objects().get(Kind::CONFIG_MAP, &namespace, "other").await?["data"].take();
    ensure!(data == json!({"text": "e", "made": "upgraded as 2"}), "the object has {data}");
    let listed = cx.cluster().helm(&["history", "other", "-n", &namespace]).await?;
    crate::cluster::contains(&listed, &["superseded", "deployed"])
}
