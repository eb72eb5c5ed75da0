//! What the server would refuse is refused before the first write, with a row for each object, and leaves nothing behind;
//! `spec.preflight` says when the server is asked.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::cluster::Kind;
use crate::context::Context;
use crate::operator::USER;
use crate::release::{self, Snapshot};

const NAME: &str = "guarded";
/// Until a policy must be heeded, which nothing tells.
const HEEDED_WITHIN: Duration = Duration::from_secs(60);
/// Between two tries.
const TRY_EVERY: Duration = Duration::from_millis(200);

const OBJECTS: &str = r#"
{{- range $name, $word := .Values.words }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ $.Release.Name }}-{{ $name }}"}
data: {word: "{{ $word }}"}
{{- end }}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let values = "words: {a: fine, b: fine, c: fine, d: fine}\n";
    let (namespace, _server) = release::place(cx, NAME, OBJECTS, values).await?;
    cx.cluster().apply_yaml(&policy(&namespace)).await?;
    heeded(cx, &namespace).await?;
    let told = tell(cx, &namespace).await;
    cx.cluster().try_kubectl(&["delete", "--wait=false", "-f", "-"], &policy(&namespace)).await?;
    told
}

async fn tell(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    cx.cluster().apply_yaml(&release::yaml(namespace, NAME, NAME, "1.x", "")).await?;
    release::ready_at(cx, namespace, NAME, 1).await?;
    upgrade(cx, namespace).await?;
    always(cx, namespace).await?;
    never(cx, namespace).await
}

/// No ConfigMap of the namespace may have the word `forbidden`.
fn policy(namespace: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {namespace}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}}
  validations:
  - expression: \"!has(object.data) || !('word' in object.data) || object.data.word != 'forbidden'\"
    message: that word is forbidden
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {namespace}}}
spec:
  policyName: {namespace}
  validationActions: [Deny]
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}}}
"
    )
}

async fn heeded(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: probe, namespace: {namespace}}}\ndata: {{word: forbidden}}\n"
    );
    let deadline = Instant::now() + HEEDED_WITHIN;
    while cx.cluster().try_kubectl(&["create", "--dry-run=server", "-f", "-"], &map).await?.success {
        if Instant::now() >= deadline {
            bail!("the policy is not heeded after {HEEDED_WITHIN:?}");
        }
        sleep(TRY_EVERY).await;
    }
    Ok(())
}

/// Two of three changed objects are refused: each has its row, the third is not touched, the fourth not asked about.
async fn upgrade(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let before = Snapshot::take(cx, namespace).await?;
    let mark = match cx.audit() {
        Some(audit) => Some(audit.mark().await?),
        None => None,
    };
    let words = json!({"words": {"a": "forbidden", "b": "forbidden", "c": "better"}});
    release::patch(cx, namespace, NAME, json!({ "values": words })).await?;
    let (a, b) = (format!("ConfigMap {namespace}/{NAME}-a"), format!("ConfigMap {namespace}/{NAME}-b"));
    let parts =
        ["2 objects; nothing was changed", &a, &b, "guarded/templates/all.yaml", "that word is forbidden"];
    let failed = release::stalled(cx, namespace, NAME, "AdmissionDenied", &parts).await?;
    release::told(cx, namespace, NAME, "AdmissionDenied", &[&a, "that word is forbidden"]).await?;
    before.unchanged(cx, namespace).await?;
    ensure!(release::records(cx, namespace, NAME).await?.len() == 1, "a failed revision was left behind");
    ensure!(failed["status"]["history"].as_array().is_some_and(|all| all.len() == 1), "the history grew");
    if let (Some(audit), Some(mark)) = (cx.audit(), mark) {
        let mut asked = audit.since(mark, USER, namespace).await?;
        asked.retain(|request| request.uri.contains("dryRun="));
        let mut names: Vec<&str> = asked.iter().map(|request| request.name.as_str()).collect();
        names.sort_unstable();
        ensure!(names == ["guarded-a", "guarded-b", "guarded-c"], "the server was asked about {names:?}");
    }
    let words = json!({"words": {"a": "well", "b": "fine"}});
    release::patch(cx, namespace, NAME, json!({ "values": words })).await?;
    release::ready_at(cx, namespace, NAME, 2).await?;
    Ok(())
}

/// An install is tried before it is begun; what comes with it, such as its namespace, cannot be asked about.
async fn always(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let before = Snapshot::take(cx, namespace).await?;
    let rest = "  preflight: Always\n  values: {words: {a: forbidden}}\n";
    cx.cluster().apply_yaml(&release::yaml(namespace, "asked", NAME, "1.x", rest)).await?;
    let row = format!("ConfigMap {namespace}/asked-a");
    release::stalled(cx, namespace, "asked", "AdmissionDenied", &[&row, "that word is forbidden"]).await?;
    before.unchanged(cx, namespace).await?;
    ensure!(release::records(cx, namespace, "asked").await?.is_empty(), "a revision was left behind");

    let target = format!("{namespace}-made");
    let rest = format!(
        "  preflight: Always\n  targetNamespace: {target}\n  releaseName: made\n  install: {{createNamespace: true}}\n"
    );
    cx.cluster().apply_yaml(&release::yaml(namespace, "made", NAME, "1.x", &rest)).await?;
    release::ready_at(cx, namespace, "made", 1).await?;
    cx.objects().get(Kind::CONFIG_MAP, &target, "made-a").await?;
    cx.cluster().kubectl(&["delete", "namespace", &target, "--wait=false"]).await?;
    Ok(())
}

/// Nobody is asked: the refusal comes in the middle, and the revision has failed.
async fn never(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let words = json!({"words": {"a": "forbidden"}});
    release::patch(cx, namespace, NAME, json!({"preflight": "Never", "values": words})).await?;
    let failed =
        release::stalled(cx, namespace, NAME, "AdmissionDenied", &["that word is forbidden"]).await?;
    let latest: &Value = failed.pointer("/status/history/0").context("no history")?;
    ensure!(latest["revision"] == 3 && latest["status"] == "failed", "the newest revision is {latest}");
    Ok(())
}
