//! A workload that gets another name in a new version of its chart takes its volume with it: the old one is deleted
//! before the new one is waited for. The volume is one that a single pod may use at a time, which the scheduler sees to.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, text};
use crate::context::Context;
use crate::release;

const NAME: &str = "renamed";
/// Until the old pod must be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);

const OBJECTS: &str = r#"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOncePod]
  storageClassName: "{{ .Release.Namespace }}"
  resources: {requests: {storage: 1Gi}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Values.name }}"}
spec:
  selector: {matchLabels: {app: "{{ .Values.name }}"}}
  template:
    metadata: {labels: {app: "{{ .Values.name }}"}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: "registry.example/app:1", volumeMounts: [{name: data, mountPath: /data}]}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"#;

fn volume(namespace: &str) -> String {
    format!(
        "apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {namespace}}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: Immediate
---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {namespace}}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteOncePod]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: {namespace}
  hostPath: {{path: /var/lib/{namespace}}}
"
    )
}

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    charts.add(NAME, "1.0.0", &[("templates/all.yaml", OBJECTS), ("values.yaml", "name: old\n")])?;
    charts.add(NAME, "2.0.0", &[("templates/all.yaml", OBJECTS), ("values.yaml", "name: new\n")])?;
    let server = charts.serve().await?;
    cx.cluster().apply_yaml(&volume(&namespace)).await?;
    let told = tell(cx, &namespace, &server).await;
    if cx.rig().control_plane.is_existing() {
        cx.cluster().try_kubectl(&["delete", "--wait=false", "-f", "-"], &volume(&namespace)).await?;
    }
    told
}

async fn tell(
    cx: &Context,
    namespace: &str,
    server: &crate::chart_server::ChartServer,
) -> anyhow::Result<()> {
    release::repository(cx, namespace, server).await?;
    cx.cluster().apply_yaml(&release::yaml(namespace, NAME, NAME, "1.0.0", "")).await?;
    release::ready_at(cx, namespace, NAME, 1).await?;
    let claim = text(&cx.objects().get(Kind::CLAIM, namespace, "data").await?, "/metadata/uid");
    // The volume holds a second pod back while the first is there: else this story would tell nothing.
    second_pod_is_held_back(cx, namespace).await?;

    release::patch(cx, namespace, NAME, json!({"chart": {"version": "2.0.0"}})).await?;
    let release = release::ready_at(cx, namespace, NAME, 2).await?;
    let changes = &release["status"]["history"][0]["changes"];
    ensure!(
        *changes == json!({"created": 1, "updated": 0, "deleted": 1, "unchanged": 1}),
        "the upgrade changed {changes}"
    );
    let new = cx.objects().get(Kind::DEPLOYMENT, namespace, "new").await?;
    ensure!(new["status"]["readyReplicas"] == 1, "the new pod: {}", new["status"]);
    cx.objects().wait_gone(Kind::DEPLOYMENT, namespace, "old", GONE_WITHIN).await?;
    let same = text(&cx.objects().get(Kind::CLAIM, namespace, "data").await?, "/metadata/uid");
    ensure!(same == claim, "the claim is another one");
    release::told(cx, namespace, NAME, "UpgradeSucceeded", &["create Deployment", "delete Deployment"]).await
}

async fn second_pod_is_held_back(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "second", "namespace": namespace},
        "spec": {
            "containers": [{"name": "main", "image": "registry.example/app:1"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    });
    cx.objects().create(Kind::POD, pod).await?;
    cx.objects()
        .wait_condition(Kind::POD, namespace, "second", "PodScheduled", "False", release::WITHIN)
        .await?;
    cx.cluster().kubectl(&["delete", "pod", "second", "-n", namespace, "--force"]).await?;
    cx.objects().wait_gone(Kind::POD, namespace, "second", GONE_WITHIN).await
}
