//! Three releases that wait for each other: installed, upgraded, rolled back, taken forward and removed, and
//! read by the real helm at each step.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::chart_server::{ChartDir, ChartServer};
use crate::cluster::{Kind, condition, contains};
use crate::context::Context;
use crate::release;

/// Until what a release had must be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// A StatefulSet with volumes of its own, and a Secret that outlives the release.
const STORE: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec:
  clusterIP: None
  selector: {app: {{ .Release.Name }}}
  ports: [{name: http, port: 9200}]
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}-key
  annotations: {helm.sh/resource-policy: keep}
stringData: {key: {{ .Values.key }}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: {{ .Release.Name }}}
spec:
  serviceName: {{ .Release.Name }}
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      containers:
        - name: main
          image: registry.example/store:1
          volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        storageClassName: {{ .Values.storageClass }}
        resources: {requests: {storage: 1Gi}}
"#;

/// A DaemonSet on every node, with rights in the whole cluster.
const AGENT: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .Release.Name }}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: {{ .Release.Namespace }}-{{ .Release.Name }}}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: {{ .Release.Namespace }}-{{ .Release.Name }}}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ .Release.Namespace }}-{{ .Release.Name }}
subjects: [{kind: ServiceAccount, name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      serviceAccountName: {{ .Release.Name }}
      tolerations: {{ toJson .Values.tolerations }}
      containers: [{name: main, image: "registry.example/agent:1"}]
"#;

/// A Deployment with a door, and an object that values can drop.
const VIEW: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec:
  type: NodePort
  selector: {app: {{ .Release.Name }}}
  ports: [{name: http, port: 80}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: main, image: "registry.example/view:1"}]}
{{- if .Values.extra }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-extra}
data: {random: {{ randAlphaNum 12 | quote }}}
{{- end }}
"#;

fn charts() -> anyhow::Result<ChartDir> {
    let charts = ChartDir::new()?;
    let values = "replicas: 2\nkey: s3cret\nstorageClass: \"\"\n";
    charts.add("store", "1.0.0", &[("templates/all.yaml", STORE), ("values.yaml", values)])?;
    charts.add("agent", "1.0.0", &[("templates/all.yaml", AGENT), ("values.yaml", "tolerations: []\n")])?;
    let notes = ("templates/NOTES.txt", "{{ .Release.Name }} is at its door.\n");
    let values = ("values.yaml", "replicas: 1\nextra: true\n");
    charts.add("view", "1.0.0", &[("templates/all.yaml", VIEW), notes, values])?;
    Ok(charts)
}

/// A class without a provisioner, and the volumes that it has. Their names are the namespace's.
fn volumes(namespace: &str) -> String {
    let class = format!(
        "apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {namespace}}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: Immediate
"
    );
    let volume = |number: u32| {
        format!(
            "---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {namespace}-{number}}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: {namespace}
  hostPath: {{path: /var/lib/{namespace}-{number}}}
"
        )
    };
    format!("{class}{}{}", volume(0), volume(1))
}

/// The repository and the releases, all at once and those that wait first.
fn everything(namespace: &str, server: &ChartServer) -> String {
    let waits = "  dependsOn: [{name: store}]\n";
    let tolerant =
        "  values: {tolerations: [{key: node-role.kubernetes.io/control-plane, operator: Exists}]}\n";
    [
        release::yaml(namespace, "view", "view", "1.x", waits),
        release::yaml(namespace, "agent", "agent", "1.x", &format!("{waits}{tolerant}")),
        release::yaml(
            namespace,
            "store",
            "store",
            "1.x",
            &format!("  values: {{storageClass: {namespace}}}\n"),
        ),
        release::repository_yaml(namespace, server),
    ]
    .join("---\n")
}

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let server = charts()?.serve().await?;
    cx.cluster().apply_yaml(&volumes(&namespace)).await?;
    let told = tell(cx, &namespace, &server).await;
    if cx.rig().control_plane.is_existing() {
        let volumes = volumes(&namespace);
        cx.cluster().try_kubectl(&["delete", "--wait=false", "-f", "-"], &volumes).await?;
    }
    told
}

async fn tell(cx: &Context, namespace: &str, server: &ChartServer) -> anyhow::Result<()> {
    cx.cluster().apply_yaml(&everything(namespace, server)).await?;
    for name in ["store", "agent", "view"] {
        release::ready_at(cx, namespace, name, 1).await?;
    }
    dependents_waited(cx, namespace).await?;
    pods_run(cx, namespace).await?;
    helm_reads(cx, namespace).await?;
    upgrade(cx, namespace).await?;
    roll_back(cx, namespace).await?;
    go_forward(cx, namespace).await?;
    remove(cx, namespace).await
}

/// Nothing of a dependent began before its dependency was done.
async fn dependents_waited(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let first = |release: &Value, field: &str| {
        let time = release.pointer(&format!("/status/history/0/{field}")).and_then(Value::as_str);
        time.map(ToOwned::to_owned).with_context(|| format!("no {field} in {}", release["status"]["history"]))
    };
    let store = cx.objects().get(Kind::HELM_RELEASE, namespace, "store").await?;
    let done = first(&store, "completedAt")?;
    for name in ["agent", "view"] {
        let dependent = cx.objects().get(Kind::HELM_RELEASE, namespace, name).await?;
        let begun = first(&dependent, "startedAt")?;
        // Both are in RFC 3339 and whole seconds, so their order is that of their texts.
        ensure!(begun >= done, "{name} began at {begun}, store was done at {done}");
    }
    Ok(())
}

async fn pods_run(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let store = cx.objects().get(Kind::STATEFUL_SET, namespace, "store").await?;
    ensure!(store["status"]["readyReplicas"] == 2, "store's pods: {}", store["status"]);
    let agent = cx.objects().get(Kind::DAEMON_SET, namespace, "agent").await?;
    ensure!(agent["status"]["numberReady"].as_i64() >= Some(1), "agent's pods: {}", agent["status"]);
    let view = cx.objects().get(Kind::DEPLOYMENT, namespace, "view").await?;
    ensure!(view["status"]["readyReplicas"] == 1, "view's pods: {}", view["status"]);
    let claims = cx.objects().list(Kind::CLAIM, namespace, "").await?;
    let bound = claims.iter().filter(|claim| claim["status"]["phase"] == "Bound").count();
    ensure!(bound == 2, "{bound} of {} claims are bound", claims.len());
    let service = cx.objects().get(Kind::SERVICE, namespace, "view").await?;
    ensure!(service["spec"]["ports"][0]["nodePort"].is_i64(), "view has no node port: {}", service["spec"]);
    Ok(())
}

/// The real helm takes the releases for its own.
async fn helm_reads(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let helm = cx.cluster();
    let status = helm.helm(&["status", "view", "-n", namespace]).await?;
    contains(&status, &["STATUS: deployed", "REVISION: 1", "view is at its door."])?;
    let list: Value = serde_json::from_str(&helm.helm(&["list", "-n", namespace, "-o", "json"]).await?)?;
    let listed: Vec<(&str, &str, &str)> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| (word(one, "name"), word(one, "chart"), word(one, "status")))
        .collect();
    let wanted = [
        ("agent", "agent-1.0.0", "deployed"),
        ("store", "store-1.0.0", "deployed"),
        ("view", "view-1.0.0", "deployed"),
    ];
    ensure!(listed == wanted, "helm list shows {listed:?}");
    contains(
        &helm.helm(&["get", "manifest", "agent", "-n", namespace]).await?,
        &["kind: DaemonSet", "# Source: agent/"],
    )?;
    contains(
        &helm.helm(&["get", "values", "store", "-n", namespace]).await?,
        &[&format!("storageClass: {namespace}")],
    )
}

fn word<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// Revisions and statuses that `helm history` shows, oldest first.
async fn history(cx: &Context, namespace: &str) -> anyhow::Result<Vec<(i64, String)>> {
    let text = cx.cluster().helm(&["history", "view", "-n", namespace, "-o", "json"]).await?;
    let history: Vec<Value> = serde_json::from_str(&text).context("helm history is no JSON")?;
    let entry = |one: &Value| (one["revision"].as_i64().unwrap_or_default(), word(one, "status").to_owned());
    Ok(history.iter().map(entry).collect())
}

async fn statuses(cx: &Context, namespace: &str, wanted: &[&str]) -> anyhow::Result<()> {
    let found = history(cx, namespace).await?;
    let wanted: Vec<(i64, String)> = (1..).zip(wanted.iter().map(|status| (*status).to_owned())).collect();
    ensure!(found == wanted, "helm history shows {found:?}, not {wanted:?}");
    Ok(())
}

async fn has_extra(cx: &Context, namespace: &str, wanted: bool) -> anyhow::Result<()> {
    let found = cx.objects().find(Kind::CONFIG_MAP, namespace, "view-extra").await?.is_some();
    ensure!(found == wanted, "view-extra {}", if found { "is still there" } else { "is not there" });
    Ok(())
}

async fn upgrade(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    has_extra(cx, namespace, true).await?;
    release::patch(cx, namespace, "view", json!({"values": {"replicas": 2, "extra": false}})).await?;
    let view = release::ready_at(cx, namespace, "view", 2).await?;
    let changes = &view["status"]["history"][0]["changes"];
    ensure!(changes["deleted"] == 1 && changes["updated"] == 1, "revision 2 changed {changes}");
    has_extra(cx, namespace, false).await?;
    let deployment = cx.objects().get(Kind::DEPLOYMENT, namespace, "view").await?;
    ensure!(deployment["status"]["readyReplicas"] == 2, "view's pods: {}", deployment["status"]);
    statuses(cx, namespace, &["superseded", "deployed"]).await
}

async fn roll_back(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    release::patch(cx, namespace, "view", json!({"rollbackTo": 1})).await?;
    let view = release::ready_at(cx, namespace, "view", 3).await?;
    let is = |type_: &str, field: &str| condition(&view, type_).map_or("", |found| word(found, field));
    ensure!(is("Held", "status") == "True", "held: {}", view["status"]["conditions"]);
    ensure!(is("Ready", "reason") == "RollbackSucceeded", "ready: {}", view["status"]["conditions"]);
    let revision = &view["status"]["history"][0];
    ensure!(revision["action"] == "rollback" && revision["rollbackOf"] == 1, "revision 3 is {revision}");
    has_extra(cx, namespace, true).await?;
    // The chart draws a random word: only the recorded manifest can be equal.
    let manifest = |revision: &'static str| async move {
        cx.cluster().helm(&["get", "manifest", "view", "-n", namespace, "--revision", revision]).await
    };
    let (first, third) = (manifest("1").await?, manifest("3").await?);
    ensure!(first == third, "the manifests of revisions 1 and 3 differ:\n{first}\n{third}");
    statuses(cx, namespace, &["superseded", "superseded", "deployed"]).await
}

async fn go_forward(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    release::patch(cx, namespace, "view", json!({"rollbackTo": null})).await?;
    let view = release::ready_at(cx, namespace, "view", 4).await?;
    let held = condition(&view, "Held");
    ensure!(held.is_none_or(|held| held["status"] == "False"), "still held: {held:?}");
    has_extra(cx, namespace, false).await?;
    statuses(cx, namespace, &["superseded", "superseded", "superseded", "deployed"]).await
}

/// Only what the chart says to keep is left, and the claims, which were never the release's.
async fn remove(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    for name in ["view", "agent", "store"] {
        release::delete(cx, namespace, name).await?;
        ensure!(release::records(cx, namespace, name).await?.is_empty(), "records of {name} are left");
    }
    for (kind, name) in [
        (Kind::DEPLOYMENT, "view"),
        (Kind::DAEMON_SET, "agent"),
        (Kind::STATEFUL_SET, "store"),
        (Kind::SERVICE, "view"),
        (Kind::SERVICE, "store"),
        (Kind::SERVICE_ACCOUNT, "agent"),
    ] {
        cx.objects().wait_gone(kind, namespace, name, GONE_WITHIN).await?;
    }
    let role = format!("{namespace}-agent");
    cx.objects().wait_gone(Kind::CLUSTER_ROLE_BINDING, "", &role, GONE_WITHIN).await?;
    let secrets = cx.objects().names(Kind::SECRET, namespace).await?;
    ensure!(secrets == ["store-key"], "the Secrets that are left: {secrets:?}");
    let claims = cx.objects().names(Kind::CLAIM, namespace).await?;
    ensure!(claims == ["data-store-0", "data-store-1"], "the claims that are left: {claims:?}");
    Ok(())
}
