//! A release is ready when its spec's expressions say so: of a kind that has no rule of its own, and of one that is ready
//! as soon as it exists. An expression that tells of a failure ends the wait, and a broken one keeps everything as it is.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::chart_server::ChartDir;
use crate::cluster::Kind;
use crate::context::Context;
use crate::release::{self, Snapshot};

const NAME: &str = "made";
/// Until the status must tell of a change; the release itself may take ten minutes, so that only a watch can be so soon.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

const OBJECTS: &str = r#"
apiVersion: {{ .Values.group }}/v1
kind: Gizmo
metadata: {name: "{{ .Release.Name }}"}
spec: {size: {{ .Values.size }}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data: {state: "{{ .Values.state }}"}
"#;

fn definition(group: &str) -> String {
    format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: gizmos.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{kind: Gizmo, plural: gizmos, singular: gizmo}}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {{status: {{}}}}
    schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"
    )
}

/// The expressions, as a part of a spec; the version of the first one is another one on purpose.
fn expressions(group: &str, current: &str) -> Value {
    json!({"healthCheckExprs": [
        {
            "apiVersion": format!("{group}/v9"), "kind": "Gizmo",
            "inProgress": "status.phase == 'Making'", "failed": "status.phase == 'Broken'", "current": current,
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "current": "data.state == 'good'"},
    ]})
}

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let group = format!("{namespace}.example.com");
    let charts = ChartDir::new()?;
    let values = format!("group: {group}\nsize: 1\nstate: new\n");
    charts.add(NAME, "1.0.0", &[("templates/all.yaml", OBJECTS), ("values.yaml", &values)])?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    let crd = format!("gizmos.{group}");
    cx.cluster().apply_yaml(&definition(&group)).await?;
    cx.objects().wait_condition(Kind::CRD, "", &crd, "Established", "True", TOLD_WITHIN).await?;
    let told = tell(cx, &namespace, &group).await;
    cx.cluster().kubectl(&["delete", "crd", &crd, "--ignore-not-found", "--wait=false"]).await?;
    told
}

async fn tell(cx: &Context, namespace: &str, group: &str) -> anyhow::Result<()> {
    let current = "status.phase == 'Made'";
    let rest = format!("  healthCheckExprs: {}\n", expressions(group, current)["healthCheckExprs"]);
    let yaml = release::yaml(namespace, NAME, NAME, "1.0.0", &rest).replace("timeout: 60s", "timeout: 10m");
    cx.cluster().apply_yaml(&yaml).await?;
    waits(
        cx,
        namespace,
        &["Gizmo", "[0].inProgress: the object has no `status`", "[1].current is not true yet"],
    )
    .await?;
    phase(cx, namespace, "Making").await?;
    waits(cx, namespace, &["[0].inProgress is true", "[1].current is not true yet"]).await?;
    phase(cx, namespace, "Made").await?;
    waits(cx, namespace, &["for ConfigMap"]).await?;
    let good = json!({"data": {"state": "good"}});
    cx.objects().patch(Kind::CONFIG_MAP, namespace, NAME, good).await?;
    release::ready_at(cx, namespace, NAME, 1).await?;

    // The wait ends with the failure, not with its time.
    let patch = json!({"values": {"size": 2, "state": "good"}});
    phase(cx, namespace, "Making").await?;
    release::patch(cx, namespace, NAME, patch).await?;
    waits(cx, namespace, &["[0].inProgress is true"]).await?;
    phase(cx, namespace, "Broken").await?;
    let message = [
        "will not become ready",
        "Gizmo",
        "spec.healthCheckExprs[0].failed is true: status.phase == 'Broken'",
    ];
    release::failed(cx, namespace, NAME, "WaitTimeout", &message).await?;
    phase(cx, namespace, "Made").await?;
    release::patch(cx, namespace, NAME, json!({"values": {"size": 3}})).await?;
    let made = release::ready(cx, namespace, NAME).await?;
    let revision = made["status"]["lastAppliedRevision"].as_i64().unwrap_or_default();

    let before = Snapshot::take(cx, namespace).await?;
    let mut patch = expressions(group, "status.phase ==");
    patch["values"] = json!({"size": 4});
    release::patch(cx, namespace, NAME, patch).await?;
    release::stalled(cx, namespace, NAME, "InvalidSpec", &["spec.healthCheckExprs[0].current: 1:16: "])
        .await?;
    before.unchanged(cx, namespace).await?;
    ensure!(size(cx, namespace).await? == "3", "a broken expression changed the Gizmo");

    release::patch(cx, namespace, NAME, expressions(group, current)).await?;
    release::ready_at(cx, namespace, NAME, revision + 1).await?;
    ensure!(size(cx, namespace).await? == "4", "the Gizmo was not changed");
    release::delete(cx, namespace, NAME).await
}

/// Waits until the release says that it waits, and for what.
async fn waits(cx: &Context, namespace: &str, parts: &[&str]) -> anyhow::Result<()> {
    let wanted = |release: Option<&Value>| {
        let text = release.map(|release| release["status"]["conditions"].to_string()).unwrap_or_default();
        text.contains("waiting for") && parts.iter().all(|part| text.contains(part))
    };
    let what = format!("waiting: {parts:?}");
    cx.objects().wait(Kind::HELM_RELEASE, namespace, NAME, &what, TOLD_WITHIN, wanted).await?;
    Ok(())
}

/// Writes the status that a controller of the kind would write.
async fn phase(cx: &Context, namespace: &str, phase: &str) -> anyhow::Result<()> {
    let patch = json!({"status": {"phase": phase}}).to_string();
    let args =
        ["patch", "gizmo", NAME, "-n", namespace, "--subresource=status", "--type=merge", "-p", &patch];
    cx.cluster().kubectl(&args).await?;
    cx.say(format!("the Gizmo is {phase}"));
    Ok(())
}

async fn size(cx: &Context, namespace: &str) -> anyhow::Result<String> {
    cx.cluster().kubectl(&["get", "gizmo", NAME, "-n", namespace, "-o", "jsonpath={.spec.size}"]).await
}
