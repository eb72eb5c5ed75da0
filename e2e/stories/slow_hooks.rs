//! While a hook runs, the world goes on: what somebody else took over or marked as kept meanwhile is not pruned, and a
//! new spec does not wait for it. A hook that goes by itself when it is done counts as done.

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

/// A Job that goes as soon as it is done.
const SHORT: &str = r#"
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-short
  annotations: {helm.sh/hook: "pre-install,post-install"}
spec:
  ttlSecondsAfterFinished: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "registry.example/short:1"}]
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let files = [
        ("templates/hook.yaml", HOOK),
        ("templates/short.yaml", SHORT),
        ("templates/maps.yaml", MAPS),
        ("values.yaml", "maps: [stays, goes, lost, kept]\n"),
    ];
    charts.add("slow", "1.0.0", &files)?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    short_lived(cx, &namespace).await?;
    pruned(cx, &namespace).await?;
    overtaken(cx, &namespace).await
}

/// A Job whose time to live is over before anybody asks for it was seen to succeed.
async fn short_lived(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    cx.cluster().apply_yaml(&release::yaml(namespace, "web", "slow", "1.0.0", "")).await?;
    release::ready_at(cx, namespace, "web", 1).await?;
    cx.objects().wait_gone(Kind::JOB, namespace, "web-short", MADE_WITHIN).await?;
    Ok(())
}

/// A hook that runs for a spec that nobody wants any more is ended, and the new spec begins.
async fn overtaken(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    release::patch(cx, namespace, "web", json!({"values": {"maps": ["stays", "one"]}})).await?;
    let first = made(cx, namespace, "web-hook").await?;
    release::patch(cx, namespace, "web", json!({"values": {"maps": ["stays", "two"]}})).await?;
    let replaced =
        |pod: Option<&Value>| pod.is_some_and(|pod| pod["metadata"]["uid"] != first["metadata"]["uid"]);
    cx.objects().wait(Kind::POD, namespace, "web-hook", "made anew", MADE_WITHIN, replaced).await?;
    succeed(cx, namespace, "web-hook").await?;
    let web = release::ready_at(cx, namespace, "web", 4).await?;
    let given_up = &web["status"]["history"][1];
    ensure!(given_up["revision"] == 3 && given_up["status"] == "failed", "revision 3 is {given_up}");
    let maps = cx.objects().names(Kind::CONFIG_MAP, namespace).await?;
    ensure!(
        maps.contains(&"web-two".to_owned()) && !maps.contains(&"web-one".to_owned()),
        "the ConfigMaps are {maps:?}"
    );
    Ok(())
}

/// Objects that leave the manifest are judged when they are deleted, not when that was planned.
async fn pruned(cx: &Context, namespace: &str) -> anyhow::Result<()> {
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
