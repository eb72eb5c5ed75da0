//! Releases that the real helm made become Pintle's: without a revision and without a write to an object when the
//! HelmRelease asks for what is there, be it in Flux's form, and by the next revision when it asks for more.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, text};
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
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  selector: {matchLabels: {app: house, of: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: house, of: "{{ .Release.Name }}"}}
    spec: {containers: [{name: main, image: "registry.example/house:{{ .Values.text }}"}]}
"#;

/// The objects of a release that are looked at: all but the hook.
const KINDS: [Kind; 3] = [Kind::CONFIG_MAP, Kind::SERVICE, Kind::DEPLOYMENT];

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
    // What Flux applies, it applies under its own name.
    for kind in KINDS {
        rename_manager(cx, kind, &namespace, "flux", "helm-controller").await?;
    }

    let snapshot = Snapshot::take(cx, &namespace).await?;
    for name in ["equal", "flux", "three"].into_iter().filter(|name| three || *name != "three") {
        let values = "  values: {text: b, extra: c}\n";
        cx.cluster().apply_yaml(&release::yaml(&namespace, name, CHART, "1.0.0", values)).await?;
        let adopted = release::ready_at(cx, &namespace, name, 1).await?;
        let inventory = adopted["status"]["inventory"].as_array().map_or(0, Vec::len);
        ensure!(inventory == 3, "the inventory of {name} is {}", adopted["status"]["inventory"]);
        release::request(cx, &namespace, name, "again").await?;
        release::ready_at(cx, &namespace, name, 1).await?;
    }
    snapshot.unchanged_but(cx, &namespace, &["Secret/sh.helm.release.v1."]).await?;
    let records = release::records(cx, &namespace, "equal").await?;
    ensure!(records == ["sh.helm.release.v1.equal.v1"], "the records are {records:?}");

    // What was adopted goes on as any release: a field that leaves the chart leaves the object, and what people set
    // beside the chart stays theirs.
    for name in ["equal", "flux", "three"].into_iter().filter(|name| three || *name != "three") {
        edit(cx, "configmap", &namespace, name, "kubectl-edit", r#"{"data":{"own":"mine"}}"#).await?;
        edit(cx, "deployment", &namespace, name, "kubectl-scale", r#"{"spec":{"replicas":2}}"#).await?;
        release::patch(cx, &namespace, name, json!({"values": {"text": "d", "extra": null}})).await?;
        release::ready_at(cx, &namespace, name, 2).await?;
        let mut object = cx.objects().get(Kind::CONFIG_MAP, &namespace, name).await?;
        let data = object["data"].take();
        let wanted = json!({"text": "d", "made": "upgraded as 2", "own": "mine"});
        ensure!(data == wanted, "the object of {name} has {data}");
        let managers = managers(&object);
        ensure!(managers == ["helm Apply", "kubectl-edit Update"], "{name} is managed by {managers:?}");
        let owned = entry(&object, "kubectl-edit", "Update");
        ensure!(*owned == json!({"f:data": {"f:own": {}}}), "kubectl-edit owns {owned} of {name}");
        let deployment = cx.objects().get(Kind::DEPLOYMENT, &namespace, name).await?;
        let managers = self::managers(&deployment);
        let wanted = ["helm Apply", "kubectl-scale Update"];
        ensure!(wanted.iter().all(|w| managers.iter().any(|m| m == w)), "{name} is managed by {managers:?}");
        // What helm 3 is left with is what the server added.
        let left = entry(&deployment, "helm", "Update").to_string();
        ensure!(!left.contains(r#""f:image":"#) && !left.contains("f:labels"), "helm owns {left} of {name}");
        ensure!(deployment["spec"]["replicas"] == 2, "{name} was scaled back");
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

/// Changes an object as a person does, under the name of their tool.
async fn edit(
    cx: &Context,
    kind: &str,
    namespace: &str,
    name: &str,
    manager: &str,
    patch: &str,
) -> anyhow::Result<()> {
    let manager = format!("--field-manager={manager}");
    let args = ["patch", kind, name, "-n", namespace, "--type=merge", "-p", patch, &manager];
    cx.cluster().kubectl(&args).await?;
    Ok(())
}

/// Gives what `helm` manages of an object to another manager.
async fn rename_manager(
    cx: &Context,
    kind: Kind,
    namespace: &str,
    name: &str,
    to: &str,
) -> anyhow::Result<()> {
    let object = cx.objects().get(kind, namespace, name).await?;
    let mut fields = object["metadata"]["managedFields"].clone();
    for entry in fields.as_array_mut().into_iter().flatten().filter(|entry| entry["manager"] == "helm") {
        entry["manager"] = json!(to);
    }
    cx.objects().patch(kind, namespace, name, json!({"metadata": {"managedFields": fields}})).await?;
    Ok(())
}

/// The fields that a manager has of an object; null when it has none.
fn entry<'a>(object: &'a Value, manager: &str, operation: &str) -> &'a Value {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let mut main = entries.filter(|entry| entry["subresource"].is_null());
    let found = main.find(|entry| entry["manager"] == manager && entry["operation"] == operation);
    found.map_or(&Value::Null, |entry| &entry["fieldsV1"])
}

/// Who manages an object, its status apart: `manager operation`, sorted.
fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let main = entries.filter(|entry| entry["subresource"].is_null());
    let mut managers: Vec<String> =
        main.map(|entry| format!("{} {}", text(entry, "/manager"), text(entry, "/operation"))).collect();
    managers.sort();
    managers
}
