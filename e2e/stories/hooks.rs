//! Hooks run by weight around the main objects, and one that fails keeps them from being made.

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::audit::{AuditMark, Request, counted};
use crate::chart_server::ChartDir;
use crate::cluster::{Kind, contains};
use crate::context::Context;
use crate::operator::USER;
use crate::release;

/// A Job that is a hook. `fate` is what its pods are simulated to do.
fn hook(name: &str, event: &str, weight: i32, policy: &str, fate: &str) -> String {
    format!(
        r#"
apiVersion: batch/v1
kind: Job
metadata:
  name: {{{{ .Release.Name }}}}-{name}
  annotations:
    helm.sh/hook: {event}
    helm.sh/hook-weight: "{weight}"
    helm.sh/hook-delete-policy: {policy}
spec:
  backoffLimit: 0
  template:
    metadata: {{annotations: {{pintle.dev/simulate: "{fate}"}}}}
    spec:
      restartPolicy: Never
      containers: [{{name: main, image: "registry.example/{name}:1"}}]
"#
    )
}

const MAIN: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-main"}
data: {greeting: "{{ .Values.greeting }}"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}-main"}
spec:
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}"}}
    spec: {containers: [{name: main, image: "registry.example/main:1"}]}
"#;

/// A hook that defines a kind, and one of that kind after it.
const DEFINING: &str = r#"
{{- $group := printf "%s.example.com" .Release.Namespace }}
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: gadgets.{{ $group }}
  annotations: {helm.sh/hook: pre-install, helm.sh/hook-weight: "-1"}
spec:
  group: {{ $group }}
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
---
apiVersion: {{ $group }}/v1
kind: Gadget
metadata:
  name: {{ .Release.Name }}
  annotations: {helm.sh/hook: pre-install}
"#;

/// A hook that defines a kind whose name another definition has.
const RIVAL: &str = r#"
{{- $group := printf "%s.example.com" .Release.Namespace }}
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: others.{{ $group }}
  annotations: {helm.sh/hook: pre-install}
spec:
  group: {{ $group }}
  scope: Namespaced
  names: {kind: Gadget, plural: others}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
"#;

fn charts() -> anyhow::Result<ChartDir> {
    let charts = ChartDir::new()?;
    let fate = "{{ .Values.fate }}";
    // The order of files is not the order of weights.
    let hooks = [
        ("templates/a.yaml", hook("second", "pre-install", 5, "before-hook-creation", "")),
        ("templates/b.yaml", hook("first", "pre-install", -5, "hook-succeeded", fate)),
        ("templates/c.yaml", hook("last", "post-install", 0, "hook-succeeded", "")),
        ("templates/d.yaml", hook("before", "pre-upgrade", 0, "before-hook-creation", "")),
    ];
    let mut files: Vec<(&str, &str)> = hooks.iter().map(|(path, text)| (*path, text.as_str())).collect();
    files.push(("templates/main.yaml", MAIN));
    files.push(("values.yaml", "greeting: hello\nfate: \"\"\n"));
    charts.add("hooked", "1.0.0", &files)?;
    charts.add("defining", "1.0.0", &[("templates/all.yaml", DEFINING)])?;
    charts.add("rival", "1.0.0", &[("templates/all.yaml", RIVAL)])?;
    Ok(charts)
}

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let server = charts()?.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    install(cx, &namespace).await?;
    upgrade(cx, &namespace).await?;
    failing(cx, &namespace).await?;
    cx.cluster().apply_yaml(&release::yaml(&namespace, "gadget", "defining", "1.0.0", "")).await?;
    release::ready_at(cx, &namespace, "gadget", 1).await?;
    let kind = format!("gadgets.{namespace}.example.com");
    cx.cluster().kubectl(&["get", &kind, "gadget", "-n", &namespace]).await?;
    // A definition that will never be served has failed, as any hook.
    cx.cluster().apply_yaml(&release::yaml(&namespace, "rival", "rival", "1.0.0", "")).await?;
    let message = ["pre-install hook CustomResourceDefinition", "Gadget", "already in use"];
    release::failed(cx, &namespace, "rival", "HookFailed", &message).await?;
    Ok(())
}

async fn install(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let mark = mark(cx).await?;
    cx.cluster().apply_yaml(&release::yaml(namespace, "good", "hooked", "1.0.0", "")).await?;
    release::ready_at(cx, namespace, "good", 1).await?;
    let order = ["jobs/good-first", "jobs/good-second", "deployments/good-main", "jobs/good-last"];
    in_order(cx, mark, namespace, &order).await?;
    let left = cx.objects().names(Kind::JOB, namespace).await?;
    ensure!(left == ["good-second"], "the hooks' delete policies leave good-second, not {left:?}");
    contains(
        &cx.cluster().helm(&["get", "hooks", "good", "-n", namespace]).await?,
        &["good-first", "good-before"],
    )
}

async fn upgrade(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let mark = mark(cx).await?;
    release::patch(cx, namespace, "good", json!({"values": {"greeting": "bye"}})).await?;
    release::ready_at(cx, namespace, "good", 2).await?;
    in_order(cx, mark, namespace, &["jobs/good-before", "configmaps/good-main"]).await?;
    let left = cx.objects().names(Kind::JOB, namespace).await?;
    ensure!(left == ["good-before", "good-second"], "after the upgrade the Jobs are {left:?}");
    Ok(())
}

async fn failing(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let values = "  values: {fate: fail}\n";
    cx.cluster().apply_yaml(&release::yaml(namespace, "bad", "hooked", "1.0.0", values)).await?;
    release::failed(cx, namespace, "bad", "HookFailed", &["Job", "bad-first"]).await?;
    for kind in [Kind::DEPLOYMENT, Kind::CONFIG_MAP] {
        let made = cx.objects().find(kind, namespace, "bad-main").await?;
        ensure!(made.is_none(), "{} bad-main was made although a hook before it failed", kind.name());
    }
    let jobs = cx.objects().names(Kind::JOB, namespace).await?;
    ensure!(!jobs.contains(&"bad-second".to_owned()), "the hook after the failed one ran");
    ensure!(jobs.contains(&"bad-first".to_owned()), "the failed hook is gone, and its pods with it");
    Ok(())
}

async fn mark(cx: &Context) -> anyhow::Result<Option<AuditMark>> {
    match cx.audit() {
        Some(audit) => audit.mark().await.map(Some),
        None => Ok(None),
    }
}

/// Checks that the operator wrote these objects for the first time in this order.
async fn in_order(
    cx: &Context,
    mark: Option<AuditMark>,
    namespace: &str,
    order: &[&str],
) -> anyhow::Result<()> {
    let (Some(audit), Some(mark)) = (cx.audit(), mark) else { return Ok(()) };
    let writes = audit.writes_since(mark, USER, namespace).await?;
    let made = |request: &Request, id: &str| {
        request.code < 300
            && matches!(request.verb.as_str(), "create" | "patch" | "update")
            && format!("{}/{}", request.resource, request.name) == id
    };
    let mut places = Vec::new();
    for id in order {
        let place = writes.iter().position(|request| made(request, id));
        places.push(place.with_context(|| format!("{id} was not written:\n{}", counted(&writes)))?);
    }
    ensure!(places.is_sorted(), "{order:?} were written in another order: {places:?} of {writes:#?}");
    Ok(())
}
