//! While a hook runs, the world goes on: what somebody else took over or marked as kept meanwhile is not pruned.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, text};
use crate::context::Context;
use crate::release;

/// Until a hook must have been made.
const MADE_WITHIN: Duration = Duration::from_secs(30);

/// A Pod that is a hook, and does nothing until it is told to.
const HOOK: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-hook
  annotations:
    helm.sh/hook: pre-upgrade
    helm.sh/hook-delete-policy: hook-succeeded
    pintle.dev/simulate: pending
spec:
  restartPolicy: Never
  containers: [{name: main, image: "registry.example/hook:1"}]
"#;

const MAPS: &str = r#"
{{- range .Values.maps }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ $.Release.Name }}-{{ . }}"}
{{- end }}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let files = [
        ("templates/hook.yaml", HOOK),
        ("templates/maps.yaml", MAPS),
        ("values.yaml", "maps: [stays, goes, lost, kept]\n"),
    ];
    charts.add("slow", "1.0.0", &files)?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    pruned(cx, &namespace).await
}

/// Objects that leave the manifest are judged when they are deleted, not when that was planned.
async fn pruned(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    cx.cluster().apply_yaml(&release::yaml(namespace, "web", "slow", "1.0.0", "")).await?;
    release::ready_at(cx, namespace, "web", 1).await?;
    release::patch(cx, namespace, "web", json!({"values": {"maps": ["stays"]}})).await?;
    made(cx, namespace, "web-hook").await?;
    let annotate = async |name: &str, key: &str, value: &str| {
        let patch = json!({"metadata": {"annotations": {key: value}}});
        cx.objects().patch(Kind::CONFIG_MAP, namespace, name, patch).await
    };
    annotate("web-lost", "meta.helm.sh/release-name", "other").await?;
    annotate("web-kept", "helm.sh/resource-policy", "keep").await?;
    succeed(cx, namespace, "web-hook").await?;
    release::ready_at(cx, namespace, "web", 2).await?;
    let mut left = cx.objects().names(Kind::CONFIG_MAP, namespace).await?;
    left.retain(|name| name.starts_with("web-"));
    ensure!(left == ["web-kept", "web-lost", "web-stays"], "the ConfigMaps that are left: {left:?}");
    Ok(())
}

/// Waits until a hook's Pod was made.
async fn made(cx: &Context, namespace: &str, name: &str) -> anyhow::Result<Value> {
    let pod = cx.objects().wait(Kind::POD, namespace, name, "made", MADE_WITHIN, |pod| pod.is_some()).await?;
    pod.context("the Pod is gone")
}

/// Lets a hook's Pod succeed.
async fn succeed(cx: &Context, namespace: &str, name: &str) -> anyhow::Result<()> {
    let patch = json!({"metadata": {"annotations": {"pintle.dev/simulate": ""}}});
    let pod = cx.objects().patch(Kind::POD, namespace, name, patch).await?;
    cx.say(format!("{name} ({}) may succeed", text(&pod, "/metadata/uid")));
    Ok(())
}
