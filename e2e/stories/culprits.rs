//! Whatever keeps a release from becoming ready is named: the object, its condition, what its pods and the cluster say
//! of it, and the end of the log. No Secret shows in it, and the other releases go on.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::chart_server::{ChartDir, ChartServer};
use crate::cluster::{Kind, condition, contains, text};
use crate::context::Context;
use crate::control_plane::{LAST_WORDS, LEAKED};
use crate::release;

const CHART: &str = "trouble";

const HOOK: &str = r#"
{{- if .Values.hook }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-hook
  annotations: {helm.sh/hook: pre-install, helm.sh/hook-output-log-policy: hook-succeeded}
spec:
  backoffLimit: 0
  template:
    metadata: {annotations: {pintle.dev/simulate: "{{ .Values.hook }}"}}
    spec:
      restartPolicy: Never
      containers: [{name: leaky, image: "registry.example/hook:1"}]
{{- end }}
"#;

const OBJECTS: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: "{{ .Release.Name }}"}
stringData: {url: "postgres://app:{{ .Values.password }}@db"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
{{- if .Values.app }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata:
      labels: {app: "{{ .Release.Name }}"}
      annotations: {pintle.dev/simulate: "{{ .Values.fate }}"}
    spec:
      nodeSelector: {{ toJson .Values.nodes }}
      containers: [{name: leaky, image: "registry.example/app:1"}]
{{- end }}
"#;

/// A release that fails: its values, further fields of its spec, the reason, and what the message says.
struct Failing {
    name: &'static str,
    values: &'static str,
    rest: &'static str,
    reason: &'static str,
    message: &'static [&'static str],
}

const FAILING: &[Failing] = &[
    Failing {
        name: "hook-fails",
        values: "hook: fail",
        rest: "",
        reason: "HookFailed",
        message: &[
            "pre-install hook Job",
            "hook-fails-hook",
            "templates/hook.yaml",
            "BackoffLimitExceeded",
            "container leaky: ended with code 1 (Error)",
            "connecting with the password ***",
            LAST_WORDS,
        ],
    },
    Failing {
        name: "hook-hangs",
        values: "hook: pending",
        rest: "",
        reason: "HookTimeout",
        message: &["hook-hangs-hook", "did not end within 4 s", "spec.timeout", "is Pending"],
    },
    Failing {
        name: "no-image",
        values: "app: true, fate: image",
        rest: "",
        reason: "WaitTimeout",
        message: &[
            "Deployment",
            "not ready after 4 s",
            "container leaky: ImagePullBackOff: Back-off",
            "registry.example/app:1",
        ],
    },
    Failing {
        name: "crashes",
        values: "app: true, fate: fail",
        rest: "",
        reason: "WaitTimeout",
        message: &[
            "0 of 1 replicas are available",
            "container leaky: CrashLoopBackOff: back-off 5m0s",
            "ended before with code 1 (Error)",
            "restarted 5 times",
            "the log of container leaky",
            LAST_WORDS,
        ],
    },
    Failing {
        name: "no-node",
        values: "app: true, nodes: {disk: fast}",
        rest: "",
        reason: "WaitTimeout",
        message: &["Unschedulable: 0/2 nodes are available", "node affinity"],
    },
    Failing {
        name: "no-account",
        values: "{}",
        rest: "  serviceAccountName: nobody\n",
        reason: "ServiceAccountNotFound",
        message: &["/nobody does not exist", "create it"],
    },
    Failing {
        name: "no-right",
        values: "{}",
        rest: "  serviceAccountName: keeper\n",
        reason: "Forbidden",
        message: &["ConfigMap", "no-right", "cannot", "configmaps", "grant the right"],
    },
    // One that may see neither logs nor events: the report is poorer, and no error.
    Failing {
        name: "not-seeing",
        values: "hook: fail",
        rest: "  serviceAccountName: runner\n",
        reason: "HookFailed",
        message: &["not-seeing-hook", "BackoffLimitExceeded", "container leaky: ended with code 1 (Error)"],
    },
];

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let values = "hook: \"\"\napp: false\nfate: \"\"\nnodes: {}\n";
    let files = [("templates/hook.yaml", HOOK), ("templates/all.yaml", OBJECTS), ("values.yaml", values)];
    charts.add(CHART, "1.0.0", &files)?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    prepare(cx, &namespace).await?;
    // A hook that succeeds is asked for its log: the event has it, without the password.
    create(cx, &namespace, "good", "hook: succeed, app: true", "").await?;
    release::ready_at(cx, &namespace, "good", 1).await?;
    told(cx, &namespace, "good", "HookSucceeded", &["Job good-hook printed:", "password ***", LAST_WORDS])
        .await?;
    let before = good(cx, &namespace).await?;

    for failing in FAILING {
        create(cx, &namespace, failing.name, failing.values, failing.rest).await?;
    }
    for failing in FAILING {
        let Failing { name, reason, message, .. } = failing;
        let object = release::failed(cx, &namespace, name, reason, message).await.context(*name)?;
        // The event holds head and tail.
        let ends: Vec<&str> = message.first().into_iter().chain(message.last()).copied().collect();
        told(cx, &namespace, name, reason, &ends).await.context(*name)?;
        judge(&object, failing).context(*name)?;
    }
    nothing_made(cx, &namespace).await?;
    ensure!(good(cx, &namespace).await? == before, "the release that was well was touched");
    no_secret_shows(cx, &namespace).await?;

    futures::try_join!(quota(cx, &server), terminating(cx, &namespace), warned(cx, &server))?;
    Ok(())
}

/// The values' Secret, an account that may keep records only, and one that may do all but look closely.
async fn prepare(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let account = |name: &str, rules: Value| {
        let metadata = json!({"name": name, "namespace": namespace});
        let group = "rbac.authorization.k8s.io";
        [
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
            json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": metadata, "rules": rules}),
            json!({
                "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": metadata,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            }),
        ]
    };
    let rule = |groups: &[&str], resources: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": ["*"]});
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "values", "namespace": namespace},
        "stringData": {"values.yaml": format!("password: {LEAKED}\n")},
    });
    let keeper = account("keeper", json!([rule(&[""], &["secrets"])]));
    let runner = account(
        "runner",
        json!([rule(&[""], &["secrets", "configmaps", "pods"]), rule(&["batch"], &["jobs"])]),
    );
    let objects: Vec<String> =
        std::iter::once(secret).chain(keeper).chain(runner).map(|object| object.to_string()).collect();
    cx.cluster().apply_yaml(&objects.join("\n---\n")).await
}

async fn create(cx: &Context, namespace: &str, name: &str, values: &str, rest: &str) -> anyhow::Result<()> {
    let values = if values.starts_with('{') { values.to_owned() } else { format!("{{{values}}}") };
    let rest = format!("  values: {values}\n  valuesFrom: [{{kind: Secret, name: values}}]\n{rest}");
    // All but the first have to fail soon.
    let within = if name == "good" { "60s" } else { "4s" };
    let yaml = release::yaml(namespace, name, CHART, "1.0.0", &rest)
        .replace("timeout: 60s", &format!("timeout: {within}"));
    cx.cluster().apply_yaml(&yaml).await
}

/// An event of the release has this reason, and says this.
async fn told(cx: &Context, namespace: &str, name: &str, reason: &str, parts: &[&str]) -> anyhow::Result<()> {
    let events = cx.objects().events(namespace).await?;
    let about = format!("{reason} HelmRelease/{name}:");
    let found: Vec<&String> = events.iter().filter(|event| event.contains(&about)).collect();
    ensure!(!found.is_empty(), "no event {about} among:\n{}", events.join("\n"));
    let one = found.iter().any(|event| parts.iter().all(|part| event.contains(part)));
    ensure!(one, "none of these says {parts:?}:\n{found:?}");
    Ok(())
}

/// Conditions and record say the same.
fn judge(object: &Value, failing: &Failing) -> anyhow::Result<()> {
    let message = condition(object, "Ready").map(|ready| text(ready, "/message")).unwrap_or_default();
    ensure!(message.len() <= 2048, "the message has {} bytes", message.len());
    ensure!(condition(object, "Stalled").is_none(), "a retry can help: {}", object["status"]["conditions"]);
    // What is refused before anything is written leaves no revision.
    if let Some(latest) = object["status"]["history"].get(0) {
        ensure!(latest["status"] == "failed", "the revision is {latest}");
        contains(&text(latest, "/message"), failing.message)?;
    }
    let unseen = failing.name == "not-seeing";
    ensure!(!unseen || !message.contains(LAST_WORDS), "the tenant may not read logs: {message}");
    Ok(())
}

/// Objects behind a hook that failed were never made.
async fn nothing_made(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let maps = cx.objects().names(Kind::CONFIG_MAP, namespace).await?;
    for name in ["hook-fails", "hook-hangs", "not-seeing", "no-account", "no-right"] {
        ensure!(!maps.contains(&name.to_owned()), "{name} made its ConfigMap");
    }
    Ok(())
}

/// The identity and the generation of what runs well.
async fn good(cx: &Context, namespace: &str) -> anyhow::Result<String> {
    let deployment = cx.objects().get(Kind::DEPLOYMENT, namespace, "good").await?;
    let records = release::records(cx, namespace, "good").await?;
    Ok(format!("{} {} {records:?}", deployment["metadata"]["uid"], deployment["metadata"]["generation"]))
}

/// The password is in no status and no event.
async fn no_secret_shows(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let events = cx.objects().list(Kind::EVENT, namespace, "").await?;
    let releases = cx.objects().list(Kind::HELM_RELEASE, namespace, "").await?;
    for object in events.iter().chain(&releases) {
        let shown = object.to_string();
        ensure!(!shown.contains(LEAKED), "the password shows in {shown}");
    }
    let log = cx.rig().operator()?.log(LEAKED, 1).await;
    ensure!(!log.contains(LEAKED), "the operator logged the password: {log}");
    Ok(())
}

/// A quota that the API server applies to the release's own object, and one that a controller meets.
async fn quota(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    release::repository(cx, &namespace, server).await?;
    prepare(cx, &namespace).await?;
    let quota = |name: &str, hard: Value| {
        json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name, "namespace": namespace},
            "spec": {"hard": hard},
        })
        .to_string()
    };
    cx.cluster().apply_yaml(&quota("few-pods", json!({"pods": "0"}))).await?;
    create(cx, &namespace, "no-pods", "app: true", "").await?;
    let message = ["Deployment", "exceeded quota: few-pods"];
    release::failed(cx, &namespace, "no-pods", "WaitTimeout", &message).await?;
    told(cx, &namespace, "no-pods", "WaitTimeout", &message).await?;

    cx.cluster().apply_yaml(&quota("few-maps", json!({"count/configmaps": "0"}))).await?;
    // The server counts in the background.
    let counted = |object: Option<&Value>| object.is_some_and(|object| object["status"]["hard"].is_object());
    let kind = Kind::RESOURCE_QUOTA;
    cx.objects().wait(kind, &namespace, "few-maps", "counted", release::WITHIN, counted).await?;
    create(cx, &namespace, "no-maps", "app: true", "").await?;
    let message = ["ConfigMap", "exceeded quota: few-maps", "limited: count/configmaps=0", "raise the quota"];
    release::failed(cx, &namespace, "no-maps", "QuotaExceeded", &message).await?;
    told(cx, &namespace, "no-maps", "QuotaExceeded", &message).await?;
    let made = cx.objects().find(Kind::DEPLOYMENT, &namespace, "no-maps").await?;
    ensure!(made.is_none(), "what comes after the refused object was made");
    Ok(())
}

/// A target namespace that is on its way out takes nothing any more.
async fn terminating(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let target = cx.namespace().await?;
    let held = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": target, "finalizers": ["pintle.dev/e2e"]},
    });
    cx.cluster().apply_yaml(&held.to_string()).await?;
    cx.cluster().kubectl(&["delete", "namespace", &target, "--wait=false"]).await?;
    let goes = |object: Option<&Value>| object.is_some_and(|o| o["status"]["phase"] == "Terminating");
    cx.objects().wait(Kind::NAMESPACE, "", &target, "terminating", release::WITHIN, goes).await?;
    create(cx, namespace, "too-late", "{}", &format!("  targetNamespace: {target}\n")).await?;
    let message = ["too-late", "is being terminated"];
    release::failed(cx, namespace, "too-late", "NamespaceTerminating", &message).await?;
    told(cx, namespace, "too-late", "NamespaceTerminating", &message).await?;
    let released = json!({"metadata": {"finalizers": null}});
    cx.objects().patch(Kind::CONFIG_MAP, &target, "held", released).await?;
    Ok(())
}

/// What the server takes and warns of is told of.
async fn warned(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    release::repository(cx, &namespace, server).await?;
    prepare(cx, &namespace).await?;
    let label = "pod-security.kubernetes.io/warn=restricted";
    cx.cluster().kubectl(&["label", "namespace", &namespace, label]).await?;
    create(cx, &namespace, "good", "app: true", "").await?;
    release::ready_at(cx, &namespace, "good", 1).await?;
    told(cx, &namespace, "good", "AdmissionWarning", &["Deployment", "would violate PodSecurity"]).await
}
