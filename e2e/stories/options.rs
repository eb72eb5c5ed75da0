//! What an option of an action leaves out or adds, beside the same action without it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::remediation::{check, event, has_only, place, told};
use crate::chart_server::{ChartDir, ChartServer};
use crate::cluster::{Kind, condition, contains, text};
use crate::context::Context;
use crate::release::{self, Snapshot};

/// What keeps an object from going.
const FINALIZER: &str = "pintle.dev/e2e";
/// Until what a deleted object leaves behind must have been dealt with.
const COLLECTED_WITHIN: Duration = Duration::from_secs(60);

/// Hooks that succeed, those that fail, and workloads that come to no end, each when the values ask for it.
const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-config"}
data: {value: "{{ .Values.value }}", helm: "{{ typeOf .Values }}"}
{{- if .Values.extra }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-extra"}
{{- end }}
{{- if .Values.stays }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-stays", finalizers: [pintle.dev/e2e]}
{{- end }}
{{- range .Values.hooks }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ $.Release.Name }}-{{ . }}", annotations: {helm.sh/hook: "{{ . }}"}}
{{- end }}
{{- range .Values.failing }}
---
apiVersion: v1
kind: Pod
metadata:
  name: {{ $.Release.Name }}-{{ . }}
  annotations: {helm.sh/hook: "{{ . }}", pintle.dev/simulate: fail}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "registry.example/hook:1"}]
{{- end }}
{{- if .Values.job }}
---
apiVersion: batch/v1
kind: Job
metadata: {name: "{{ .Release.Name }}-job"}
spec:
  template:
    metadata: {annotations: {pintle.dev/simulate: pending}}
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "registry.example/job:1"}]
{{- end }}
{{- if .Values.app }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}-app"}
spec:
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}"}, annotations: {pintle.dev/simulate: "{{ .Values.app }}"}}
    spec: {containers: [{name: main, image: "registry.example/app:1"}]}
{{- end }}
{{- if .Values.big }}
---
{{ repeat 500000000 "x" }}
{{- end }}
"#;

const VALUES: &str = "value: one\nextra: false\nstays: false\nhooks: []\nfailing: []\njob: false\napp: \"\"\n\
                      big: false\n";
const SCHEMA: &str = r#"{"type": "object", "properties": {"value": {"type": "string"}}}"#;

/// A chart server with [`OBJECTS`] as `web`.
pub fn charts() -> anyhow::Result<ChartDir> {
    let charts = ChartDir::new()?;
    let files =
        [("templates/objects.yaml", OBJECTS), ("values.yaml", VALUES), ("values.schema.json", SCHEMA)];
    charts.add("web", "1.0.0", &files)?;
    Ok(charts)
}

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let server = &charts()?.serve().await?;
    futures::try_join!(
        without_hooks(cx, server),
        jobs(cx, server),
        no_wait(cx, server),
        unchecked(cx, server),
        cleaned_up(cx, server),
        as_helm_3(cx, server),
        stored_elsewhere(cx, server),
        stuck(cx, server),
        propagated(cx, server),
        resting(cx, server),
    )?;
    Ok(())
}

/// Installs `web` with further fields of the spec, each line indented by two.
pub async fn install(cx: &Context, namespace: &str, name: &str, rest: &str) -> anyhow::Result<()> {
    cx.cluster().apply_yaml(&release::yaml(namespace, name, "web", "1.0.0", rest)).await
}

/// The same, with a short time for each wait.
async fn install_soon(cx: &Context, namespace: &str, name: &str, rest: &str) -> anyhow::Result<()> {
    let yaml = release::yaml(namespace, name, "web", "1.0.0", rest).replace("timeout: 60s", "timeout: 4s");
    cx.cluster().apply_yaml(&yaml).await
}

/// Hooks of the actions that have them disabled do not run, those of the others do.
async fn without_hooks(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    const ALL: &str = "  values: {hooks: [pre-install, post-install, pre-upgrade, post-upgrade, pre-rollback, \
                       post-rollback, pre-delete, post-delete]}\n";
    let namespace = &place(cx, server).await?;
    let ends = "  install: {disableHooks: true}\n  uninstall: {disableHooks: true}\n";
    let middle = "  upgrade: {disableHooks: true}\n  rollback: {disableHooks: true}\n";
    let lives = [
        ("ends", ends, ["config", "post-rollback", "post-upgrade", "pre-rollback", "pre-upgrade"]),
        ("middle", middle, ["config", "post-delete", "post-install", "pre-delete", "pre-install"]),
    ];
    let lives = lives.map(|(name, rest, left)| async move {
        install(cx, namespace, name, &format!("{ALL}{rest}")).await?;
        release::ready_at(cx, namespace, name, 1).await?;
        release::patch(cx, namespace, name, json!({"values": {"value": "two"}})).await?;
        release::ready_at(cx, namespace, name, 2).await?;
        release::patch(cx, namespace, name, json!({"rollbackTo": 1})).await?;
        release::ready_at(cx, namespace, name, 3).await?;
        release::delete(cx, namespace, name).await?;
        // Only what is no hook goes with the release.
        let left: Vec<&str> = left.into_iter().filter(|suffix| *suffix != "config").collect();
        has_only(cx, namespace, name, &left).await
    });
    futures::future::try_join_all(lives).await?;
    Ok(())
}

/// Jobs are waited for by the actions that are told to, and by no other.
async fn jobs(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    let parts = ["Job", "-job", "not ready after 4 s"];
    let installed = async {
        install_soon(
            cx,
            namespace,
            "at-once",
            "  values: {job: true}\n  install: {disableWaitForJobs: false}\n",
        )
        .await?;
        release::retried(cx, namespace, "at-once", "WaitTimeout", &parts).await?;
        release::told(cx, namespace, "at-once", "WaitTimeout", &["at-once-job"]).await
    };
    let later = async {
        let rest = "  values: {job: true}\n  upgrade: {disableWaitForJobs: false}\n  \
                    rollback: {disableWaitForJobs: false}\n";
        install_soon(cx, namespace, "later", rest).await?;
        release::ready_at(cx, namespace, "later", 1).await?;
        release::patch(cx, namespace, "later", json!({"values": {"value": "two"}})).await?;
        let failed = release::retried(cx, namespace, "later", "WaitTimeout", &parts).await?;
        ensure!(failed["status"]["lastAppliedRevision"] == 1, "{:?}", told(&failed));
        release::patch(cx, namespace, "later", json!({"values": {"job": false}})).await?;
        release::ready(cx, namespace, "later").await?;
        release::patch(cx, namespace, "later", json!({"rollbackTo": 1})).await?;
        release::retried(cx, namespace, "later", "WaitTimeout", &parts).await?;
        Ok(())
    };
    futures::try_join!(installed, later)?;
    Ok(())
}

/// What does not become ready is not waited for, be it made, changed or brought back; what does not go neither.
async fn no_wait(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    let name = "hasty";
    let rest = "  values: {app: pending, stays: true}\n  install: {disableWait: true}\n  \
                upgrade: {disableWait: true}\n  rollback: {disableWait: true}\n  uninstall: {disableWait: true}\n";
    install(cx, namespace, name, rest).await?;
    release::ready_at(cx, namespace, name, 1).await?;
    release::patch(cx, namespace, name, json!({"values": {"value": "two"}})).await?;
    release::ready_at(cx, namespace, name, 2).await?;
    release::patch(cx, namespace, name, json!({"rollbackTo": 1})).await?;
    let ready = release::ready_at(cx, namespace, name, 3).await?;
    check(&ready, "Held", "True", "RollbackSucceeded")?;
    let app = cx.objects().get(Kind::DEPLOYMENT, namespace, "hasty-app").await?;
    ensure!(app["status"]["availableReplicas"].is_null(), "its pods should never come: {}", app["status"]);
    release::delete(cx, namespace, name).await?;
    let left = cx.objects().get(Kind::CONFIG_MAP, namespace, "hasty-stays").await?;
    ensure!(!left["metadata"]["deletionTimestamp"].is_null(), "it is not deleted: {}", left["metadata"]);
    let_go(cx, namespace, "hasty-stays").await
}

async fn let_go(cx: &Context, namespace: &str, name: &str) -> anyhow::Result<()> {
    let free = json!({"metadata": {"finalizers": null}});
    cx.objects().patch(Kind::CONFIG_MAP, namespace, name, free).await?;
    Ok(())
}

/// Values that break the chart's schema are refused, unless the action takes them unchecked.
async fn unchecked(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    let name = "loose";
    install(cx, namespace, name, "  values: {value: 1}\n  install: {disableSchemaValidation: true}\n")
        .await?;
    release::ready_at(cx, namespace, name, 1).await?;
    let before = Snapshot::take(cx, namespace).await?;
    release::patch(cx, namespace, name, json!({"values": {"value": 2}})).await?;
    release::stalled(cx, namespace, name, "SchemaViolation", &["web", "/value", "string"]).await?;
    release::told(cx, namespace, name, "SchemaViolation", &["/value"]).await?;
    before.unchanged(cx, namespace).await?;
    release::patch(cx, namespace, name, json!({"upgrade": {"disableSchemaValidation": true}})).await?;
    release::ready_at(cx, namespace, name, 2).await?;
    Ok(())
}

/// What a failed rollback has made goes with it when it is to, and stays else.
async fn cleaned_up(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    let name = "tidy";
    let rest = "  values: {extra: true, failing: [post-rollback]}\n  rollback: {cleanupOnFail: true}\n";
    install(cx, namespace, name, rest).await?;
    release::ready_at(cx, namespace, name, 1).await?;
    release::patch(cx, namespace, name, json!({"values": {"extra": false}})).await?;
    release::ready_at(cx, namespace, name, 2).await?;
    release::patch(cx, namespace, name, json!({"rollbackTo": 1})).await?;
    let parts = ["post-rollback hook", "Pod", "tidy-post-rollback", "revision 2 still runs"];
    release::retried(cx, namespace, name, "HookFailed", &parts).await?;
    release::told(cx, namespace, name, "HookFailed", &["tidy-post-rollback"]).await?;
    has_only(cx, namespace, name, &["config"]).await?;
    release::patch(cx, namespace, name, json!({"rollbackTo": null, "rollback": null})).await?;
    release::ready(cx, namespace, name).await?;
    release::patch(cx, namespace, name, json!({"rollbackTo": 1})).await?;
    release::retried(cx, namespace, name, "HookFailed", &parts[..3]).await?;
    has_only(cx, namespace, name, &["config", "extra"]).await
}

/// Where Helm 3 and 4 differ, the spec says which one is meant; another one makes a new revision.
async fn as_helm_3(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    let name = "older";
    for (revision, compat, values) in [(1, "v3", "chartutil.Values"), (2, "v4", "common.Values")] {
        if revision == 1 {
            install(cx, namespace, name, "  helmCompat: v3\n").await?;
        } else {
            release::patch(cx, namespace, name, json!({ "helmCompat": compat })).await?;
        }
        release::ready_at(cx, namespace, name, revision).await?;
        let config = cx.objects().get(Kind::CONFIG_MAP, namespace, "older-config").await?;
        ensure!(config["data"]["helm"] == values, "as {compat} it is {}", config["data"]);
    }
    Ok(())
}

/// The record is kept in another namespace, where the real helm finds it; the objects are where they belong.
async fn stored_elsewhere(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    let (store, target) = (&cx.namespace().await?, &cx.namespace().await?);
    let name = "apart";
    let rest = format!("  releaseName: apart\n  storageNamespace: {store}\n  targetNamespace: {target}\n");
    install(cx, namespace, name, &rest).await?;
    let ready = release::ready_at(cx, namespace, name, 1).await?;
    let expected = json!({"releaseName": name, "storageNamespace": store, "targetNamespace": target});
    ensure!(ready["status"]["target"] == expected, "the target is {}", ready["status"]["target"]);
    ensure!(
        release::records(cx, namespace, name).await?.is_empty(),
        "there is a record beside the HelmRelease"
    );
    ensure!(release::records(cx, target, name).await?.is_empty(), "there is a record beside the objects");
    has_only(cx, target, name, &["config"]).await?;
    has_only(cx, store, name, &[]).await?;
    contains(&cx.cluster().helm(&["list", "-n", store]).await?, &[name, "web-1.0.0", "deployed"])?;
    release::patch(cx, namespace, name, json!({"values": {"value": "two"}})).await?;
    release::ready_at(cx, namespace, name, 2).await?;
    release::delete(cx, namespace, name).await?;
    ensure!(release::records(cx, store, name).await?.is_empty(), "records are left");
    has_only(cx, target, name, &[]).await
}

/// An uninstall that cannot end says in time what is in its way, and ends when that has gone.
async fn stuck(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    let name = "stuck";
    install(cx, namespace, name, "  values: {stays: true}\n  uninstall: {timeout: 3s}\n").await?;
    release::ready_at(cx, namespace, name, 1).await?;
    cx.cluster().kubectl(&["delete", "hr", name, "-n", namespace, "--wait=false"]).await?;
    let object = format!("ConfigMap {namespace}/stuck-stays");
    let parts = ["1 object still there after 3 s", "remove what holds them", &object, FINALIZER];
    release::retried(cx, namespace, name, "UninstallFailed", &parts).await?;
    release::told(cx, namespace, name, "UninstallFailed", &[&object, FINALIZER]).await?;
    ensure!(release::records(cx, namespace, name).await?.len() == 1, "the record went before the objects");
    has_only(cx, namespace, name, &["stays"]).await?;
    let_go(cx, namespace, "stuck-stays").await?;
    cx.objects().wait_gone(Kind::HELM_RELEASE, namespace, name, release::WITHIN).await?;
    ensure!(release::records(cx, namespace, name).await?.is_empty(), "records are left");
    has_only(cx, namespace, name, &[]).await
}

/// What the objects have made goes before them, or stays without an owner.
async fn propagated(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    install(
        cx,
        namespace,
        "before",
        "  values: {app: run}\n  uninstall: {deletionPropagation: foreground}\n",
    )
    .await?;
    install(cx, namespace, "stay", "  values: {app: run}\n  uninstall: {deletionPropagation: orphan}\n")
        .await?;
    for name in ["before", "stay"] {
        release::ready_at(cx, namespace, name, 1).await?;
    }
    release::delete(cx, namespace, "before").await?;
    let sets = cx.objects().list(Kind::REPLICA_SET, namespace, "app=before").await?;
    ensure!(sets.is_empty(), "the Deployment went before its ReplicaSet: {sets:?}");
    release::delete(cx, namespace, "stay").await?;
    let sets = cx.objects().list(Kind::REPLICA_SET, namespace, "app=stay").await?;
    ensure!(sets.len() == 1, "there are {} ReplicaSets", sets.len());
    let set = text(&sets[0], "/metadata/name");
    let free = |object: Option<&Value>| {
        object.is_some_and(|object| object["metadata"].get("ownerReferences").is_none())
    };
    cx.objects().wait(Kind::REPLICA_SET, namespace, &set, "without an owner", COLLECTED_WITHIN, free).await?;
    ensure!(
        cx.objects().find(Kind::DEPLOYMENT, namespace, "stay-app").await?.is_none(),
        "the Deployment is there"
    );
    Ok(())
}

/// A release that is suspended says so, once, and nothing is done until it goes on.
async fn resting(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    let name = "rest";
    install(cx, namespace, name, "  suspend: true\n").await?;
    let runs = "no revision is deployed";
    suspended(cx, namespace, name, runs).await?;
    release::told(cx, namespace, name, "Suspended", &["spec.suspend", runs, "unset it to go on"]).await?;
    has_only(cx, namespace, name, &[]).await?;
    release::patch(cx, namespace, name, json!({"suspend": false})).await?;
    release::ready_at(cx, namespace, name, 1).await?;
    release::patch(cx, namespace, name, json!({"suspend": true})).await?;
    let object = suspended(cx, namespace, name, "revision 1 runs on").await?;
    check(&object, "Released", "True", "InstallSucceeded")?;
    let before = Snapshot::take(cx, namespace).await?;
    release::patch(cx, namespace, name, json!({"values": {"value": "two"}})).await?;
    let object = suspended(cx, namespace, name, "revision 1 runs on").await?;
    ensure!(object["status"]["lastAppliedRevision"] == 1, "{:?}", told(&object));
    before.unchanged(cx, namespace).await?;
    let times = cx.objects().events(namespace).await?.iter().filter(|e| e.contains(" Suspended ")).count();
    ensure!(times == 2, "it was told {times} times that it is suspended");
    release::patch(cx, namespace, name, json!({"suspend": false})).await?;
    let ready = release::ready_at(cx, namespace, name, 2).await?;
    check(&ready, "Ready", "True", "UpgradeSucceeded")?;
    event(cx, namespace, &["UpgradeSucceeded", "revision 2 succeeded"]).await
}

/// Waits until a release says of its present generation that it is suspended.
pub async fn suspended(cx: &Context, namespace: &str, name: &str, runs: &str) -> anyhow::Result<Value> {
    let object = cx
        .objects()
        .wait_condition(Kind::HELM_RELEASE, namespace, name, "Ready", "Unknown", release::WITHIN)
        .await?;
    check(&object, "Ready", "Unknown", "Suspended")?;
    let ready = condition(&object, "Ready").context("it has no condition Ready")?;
    contains(&text(ready, "/message"), &["nothing is done while spec.suspend is set", runs])?;
    for other in ["Reconciling", "Stalled"] {
        ensure!(condition(&object, other).is_none(), "{other} is told of a release that rests");
    }
    Ok(object)
}
