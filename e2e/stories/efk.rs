//! Published charts: Elasticsearch, Fluentd and Kibana as config/samples/efk.yaml installs them, on volumes of a
//! Ceph cluster, and a chart of a time whose API versions are gone.
//!
//! The charts are not part of this repository; `PINTLE_SHARED` names the folder that has them.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::chart_server::{ChartDir, ChartServer};
use crate::cluster::{Kind, contains};
use crate::context::{Context, Skipped};
use crate::release::{self, Snapshot};

const SAMPLE: &str = include_str!("../../config/samples/efk.yaml");
const CHARTS: [&str; 4] = ["elasticsearch-1.32.5", "fluentd-elasticsearch-9.6.2", "kibana-3.2.8", OUTDATED];
/// A chart whose Deployment is of extensions/v1beta1, which is not served since Kubernetes 1.16.
const OUTDATED: &str = "kubed-0.3.3";
/// The sample's storage class.
const CLASS: &str = "ceph-rbd";
/// Volumes that the sample's StatefulSets claim: three masters, two data nodes.
const VOLUMES: [&str; 5] = ["4Gi", "4Gi", "4Gi", "30Gi", "30Gi"];

fn archives() -> anyhow::Result<Vec<PathBuf>> {
    let missing = || Skipped("PINTLE_SHARED names no folder with the corpus of charts".to_owned());
    let shared = std::env::var_os("PINTLE_SHARED").ok_or_else(missing)?;
    let charts = PathBuf::from(shared).join("corpus/charts");
    let archives: Vec<PathBuf> = CHARTS.iter().map(|chart| charts.join(format!("{chart}.tgz"))).collect();
    ensure!(archives.iter().all(|archive| archive.exists()), missing());
    Ok(archives)
}

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let charts = ChartDir::new()?;
    archives()?.iter().try_for_each(|archive| charts.add_archive(archive))?;
    let server = charts.serve().await?;
    let namespace = cx.namespace().await?;
    let (class, storage) = (cx.unique(CLASS), cx.unique("ceph"));
    let ceph = ceph(&namespace, &class, &storage);
    cx.cluster().apply_yaml(&ceph).await?;
    let told = tell(cx, &namespace, &class, &server).await;
    if cx.rig().control_plane.is_existing() {
        cx.cluster().try_kubectl(&["delete", "--wait=false", "-f", "-"], &ceph).await?;
    }
    told
}

/// What stands beside the charts in such an installation: a class, its keys, and volumes made by hand.
fn ceph(namespace: &str, class: &str, volumes: &str) -> String {
    let secret = |name: &str| {
        format!(
            "apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: {namespace}}}
type: kubernetes.io/rbd
stringData: {{key: QVFBQUFBQUFBQUFBQUE9PQ==}}
---
"
        )
    };
    let class_yaml = format!(
        "apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {class}}}
provisioner: rbd.csi.ceph.com
reclaimPolicy: Retain
parameters:
  clusterID: rook-ceph
  pool: kube
  csi.storage.k8s.io/provisioner-secret-name: ceph-secret-admin
  csi.storage.k8s.io/provisioner-secret-namespace: {namespace}
  csi.storage.k8s.io/node-stage-secret-name: ceph-secret-user
  csi.storage.k8s.io/node-stage-secret-namespace: {namespace}
"
    );
    let volume = |(number, size): (usize, &&str)| {
        format!(
            "---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {volumes}-{number}}}
spec:
  capacity: {{storage: {size}}}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: {class}
  csi: {{driver: rbd.csi.ceph.com, volumeHandle: {volumes}-{number}, fsType: ext4}}
"
        )
    };
    let volumes: String = VOLUMES.iter().enumerate().map(volume).collect();
    [secret("ceph-secret-admin"), secret("ceph-secret-user"), class_yaml, volumes].concat()
}

/// The sample, with the names of this run.
fn sample(namespace: &str, class: &str, server: &ChartServer) -> String {
    SAMPLE
        .replace("namespace: logging", &format!("namespace: {namespace}"))
        .replace("http://charts.example:8879", &server.url())
        .replace(CLASS, class)
}

async fn tell(cx: &Context, namespace: &str, class: &str, server: &ChartServer) -> anyhow::Result<()> {
    cx.cluster().apply_yaml(&sample(namespace, class, server)).await?;
    for name in ["els1", "flu1", "kib1"] {
        release::ready_at(cx, namespace, name, 1).await?;
        let status = cx.cluster().helm(&["status", name, "-n", namespace]).await?;
        contains(&status, &["STATUS: deployed"])?;
    }
    workloads(cx, namespace).await?;
    upgrade_and_back(cx, namespace).await?;
    outdated(cx, namespace).await?;
    for name in ["kib1", "flu1", "els1"] {
        release::delete(cx, namespace, name).await?;
        ensure!(release::records(cx, namespace, name).await?.is_empty(), "records of {name} are left");
    }
    let claims = cx.objects().names(Kind::CLAIM, namespace).await?;
    ensure!(claims.len() == VOLUMES.len(), "the claims that are left: {claims:?}");
    Ok(())
}

async fn workloads(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    for (kind, name, field, pods) in [
        (Kind::STATEFUL_SET, "els1-elasticsearch-master", "readyReplicas", 3),
        (Kind::STATEFUL_SET, "els1-elasticsearch-data", "readyReplicas", 2),
        (Kind::DEPLOYMENT, "els1-elasticsearch-client", "readyReplicas", 2),
        (Kind::DEPLOYMENT, "kib1-kibana", "readyReplicas", 1),
    ] {
        let what = format!("at {pods} ready pods");
        let wanted = |object: Option<&Value>| object.is_some_and(|object| object["status"][field] == pods);
        // The chart's StatefulSets update OnDelete, so helm, and with it Pintle, does not wait for their pods.
        cx.objects().wait(kind, namespace, name, &what, release::WITHIN, wanted).await?;
    }
    let agents = cx.objects().get(Kind::DAEMON_SET, namespace, "flu1-fluentd-elasticsearch").await?;
    let pods = &agents["spec"]["template"];
    ensure!(pods["metadata"]["annotations"]["prometheus.io/port"] == "24231", "annotations of {pods}");
    ensure!(pods["spec"]["tolerations"][0]["operator"] == "Exists", "tolerations of {pods}");
    if !cx.rig().control_plane.is_existing() {
        ensure!(agents["status"]["numberReady"] == 2, "an agent for each node: {}", agents["status"]);
    }
    let kibana = cx.objects().get(Kind::SERVICE, namespace, "kib1-kibana").await?;
    ensure!(kibana["spec"]["type"] == "NodePort", "kibana's Service is {}", kibana["spec"]);
    let settings = cx.cluster().kubectl(&["get", "cm", "kib1-kibana", "-n", namespace, "-o", "yaml"]).await?;
    contains(&settings, &["http://els1-elasticsearch-client:9200"])
}

async fn upgrade_and_back(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let replicas = |wanted: i64| async move {
        let kibana = cx.objects().get(Kind::DEPLOYMENT, namespace, "kib1-kibana").await?;
        let found = &kibana["spec"]["replicas"];
        ensure!(*found == wanted, "kibana has {found} replicas, not {wanted}");
        anyhow::Ok(())
    };
    release::patch(cx, namespace, "kib1", json!({"values": {"replicaCount": 2}})).await?;
    release::ready_at(cx, namespace, "kib1", 2).await?;
    replicas(2).await?;
    release::patch(cx, namespace, "kib1", json!({"rollbackTo": 1})).await?;
    release::ready_at(cx, namespace, "kib1", 3).await?;
    replicas(1).await?;
    let first = cx.cluster().helm(&["get", "manifest", "kib1", "-n", namespace, "--revision", "1"]).await?;
    let third = cx.cluster().helm(&["get", "manifest", "kib1", "-n", namespace, "--revision", "3"]).await?;
    ensure!(first == third, "the manifests of revisions 1 and 3 differ");
    release::patch(cx, namespace, "kib1", json!({"rollbackTo": null})).await?;
    release::ready_at(cx, namespace, "kib1", 4).await?;
    replicas(2).await
}

/// A chart with kinds that are no longer served says so and makes none of its objects.
async fn outdated(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let (name, version) = OUTDATED.rsplit_once('-').context("a chart without a version")?;
    let before = Snapshot::take(cx, namespace).await?;
    let yaml = release::yaml(namespace, "old", name, version, "").replace(release::REPOSITORY, "stable");
    cx.cluster().apply_yaml(&yaml).await?;
    let parts = ["Deployment", "extensions/v1beta1"];
    release::failed(cx, namespace, "old", "KindNotFound", &parts).await?;
    before.unchanged(cx, namespace).await?;
    release::delete(cx, namespace, "old").await
}
