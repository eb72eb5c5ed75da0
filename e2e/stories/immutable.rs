//! A field that cannot be changed is refused before any change; with `force` the object is deleted and made anew. What
//! would go with it decides: the pods of a StatefulSet stay, a claim is never deleted.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, condition, contains, text};
use crate::context::Context;
use crate::release::{self, Snapshot, WITHIN};

const NAME: &str = "fixed";
const FINALIZER: &str = "example.com/hold";

const OBJECTS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: fixed}
spec:
  selector: {matchLabels: {tier: "{{ .Values.tier }}"}}
  template:
    metadata: {labels: {tier: "{{ .Values.tier }}"}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "registry.example/app:1"}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: fixed}
spec:
  serviceName: "{{ .Values.tier }}"
  selector: {matchLabels: {app: fixed}}
  template:
    metadata: {labels: {app: fixed}}
    spec: {containers: [{name: main, image: "registry.example/store:1"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: fixed}
data: {tier: "{{ .Values.tier }}"}
"#;

const CLAIM: &str = r#"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim}
spec:
  accessModes: ["{{ .Values.mode }}"]
  storageClassName: none-such
  resources: {requests: {storage: 1Gi}}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let files = [("templates/all.yaml", OBJECTS), ("values.yaml", "tier: front\n")];
    charts.add(NAME, "1.0.0", &files)?;
    let files = [("templates/claim.yaml", CLAIM), ("values.yaml", "mode: ReadWriteOnce\n")];
    charts.add("claim", "1.0.0", &files)?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    cx.cluster().apply_yaml(&release::yaml(&namespace, NAME, NAME, "1.x", "")).await?;
    let rest = "  install: {disableWait: true}\n  upgrade: {force: true}\n";
    cx.cluster().apply_yaml(&release::yaml(&namespace, "claim", "claim", "1.x", rest)).await?;
    release::ready_at(cx, &namespace, NAME, 1).await?;
    release::ready_at(cx, &namespace, "claim", 1).await?;
    refused(cx, &namespace).await?;
    made_anew(cx, &namespace).await?;
    claims_stay(cx, &namespace).await?;
    rolled_back(cx, &namespace).await?;
    held_by_a_finalizer(cx, &namespace).await
}

async fn refused(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let before = Snapshot::take(cx, namespace).await?;
    release::patch(cx, namespace, NAME, json!({"values": {"tier": "back"}})).await?;
    let (deployment, set) =
        (format!("Deployment {namespace}/fixed"), format!("StatefulSet {namespace}/fixed"));
    let parts =
        ["2 objects; nothing was changed", &deployment, "spec.selector", &set, "spec.upgrade.force: true"];
    release::stalled(cx, namespace, NAME, "ImmutableField", &parts).await?;
    release::told(cx, namespace, NAME, "ImmutableField", &[&deployment]).await?;
    before.unchanged(cx, namespace).await?;
    ensure!(release::records(cx, namespace, NAME).await?.len() == 1, "a failed revision was left behind");
    Ok(())
}

async fn uid(cx: &Context, kind: Kind, namespace: &str, name: &str) -> anyhow::Result<String> {
    Ok(text(&cx.objects().get(kind, namespace, name).await?, "/metadata/uid"))
}

async fn made_anew(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let deployment = uid(cx, Kind::DEPLOYMENT, namespace, NAME).await?;
    let set = uid(cx, Kind::STATEFUL_SET, namespace, NAME).await?;
    let pod = uid(cx, Kind::POD, namespace, "fixed-0").await?;
    release::patch(cx, namespace, NAME, json!({"upgrade": {"force": true}})).await?;
    let release = release::ready_at(cx, namespace, NAME, 2).await?;
    let revision = &release["status"]["history"][0];
    let changes = json!({"created": 0, "updated": 1, "recreated": 2, "deleted": 0, "unchanged": 0});
    ensure!(revision["changes"] == changes, "revision 2 changed {}", revision["changes"]);
    let anew = revision["objects"].as_array().into_iter().flatten().filter(|o| o["change"] == "recreate");
    ensure!(anew.count() == 2, "revision 2 says {}", revision["objects"]);
    let parts = ["2 re-created", "re-create Deployment", "spec.selector cannot be changed"];
    release::told(cx, namespace, NAME, "UpgradeSucceeded", &parts).await?;
    ensure!(uid(cx, Kind::DEPLOYMENT, namespace, NAME).await? != deployment, "the Deployment is the old one");
    ensure!(uid(cx, Kind::STATEFUL_SET, namespace, NAME).await? != set, "the StatefulSet is the old one");
    ensure!(uid(cx, Kind::POD, namespace, "fixed-0").await? == pod, "the pod of the StatefulSet was lost");
    let made = cx.objects().get(Kind::DEPLOYMENT, namespace, NAME).await?;
    ensure!(text(&made, "/spec/selector/matchLabels/tier") == "back", "the selector is {}", made["spec"]);
    let owner =
        made.pointer("/metadata/annotations").and_then(|all| all["meta.helm.sh/release-name"].as_str());
    ensure!(owner == Some(NAME), "the new Deployment has the owner {owner:?}");
    Ok(())
}

async fn claims_stay(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let before = Snapshot::take(cx, namespace).await?;
    release::patch(cx, namespace, "claim", json!({"values": {"mode": "ReadWriteMany"}})).await?;
    let parts = [&format!("PersistentVolumeClaim {namespace}/claim"), "its data would go with it"];
    release::stalled(cx, namespace, "claim", "ImmutableField", &parts).await?;
    before.unchanged(cx, namespace).await
}

async fn rolled_back(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    release::patch(cx, namespace, NAME, json!({"rollbackTo": 1})).await?;
    let parts = ["spec.selector", "spec.rollback.force: true"];
    release::stalled(cx, namespace, NAME, "ImmutableField", &parts).await?;
    release::patch(cx, namespace, NAME, json!({"rollback": {"force": true}})).await?;
    let release = release::ready_at(cx, namespace, NAME, 3).await?;
    let changes = &release["status"]["history"][0]["changes"];
    ensure!(changes["recreated"] == 2, "the rollback changed {changes}");
    Ok(())
}

/// What is on its way out is waited for without a worker, told, and made when it is gone.
async fn held_by_a_finalizer(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let finalizers = |all: Value| json!({"metadata": {"finalizers": all}});
    let (kind, objects) = (Kind::DEPLOYMENT, cx.objects());
    objects.patch(kind, namespace, NAME, finalizers(json!([FINALIZER]))).await?;
    release::patch(cx, namespace, NAME, json!({"rollbackTo": null})).await?;
    let waits = |object: Option<&Value>| {
        let ready = object.and_then(|object| condition(object, "Ready"));
        ready.is_some_and(|ready| ready["status"] == "Unknown" && text(ready, "/message").contains(FINALIZER))
    };
    let told = objects.wait(Kind::HELM_RELEASE, namespace, NAME, "waiting", WITHIN, waits).await?;
    let told = told.context("the release is gone")?;
    let message = condition(&told, "Ready").map(|ready| text(ready, "/message")).unwrap_or_default();
    contains(&message, &["Deployment", "is still being deleted", "it is made anew when it is gone"])?;
    objects.patch(kind, namespace, NAME, finalizers(json!(null))).await?;
    let release = release::ready_at(cx, namespace, NAME, 4).await?;
    let changes = &release["status"]["history"][0]["changes"];
    ensure!(changes["recreated"] == 2, "the upgrade changed {changes}");
    Ok(())
}
