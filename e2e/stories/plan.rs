//! What a revision changed is told by the status and an event, for every revision: numbers, the first objects and their
//! fields, hooks; and no Secret's value, wherever a chart copies it to.

use std::fmt::Write as _;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, contains};
use crate::context::Context;
use crate::release;

const NAME: &str = "told";
/// Stands in a Secret of the chart.
const PASSWORD: &str = "canary-first-41";
/// Is what it is changed to.
const CHANGED: &str = "canary-second-42";
/// Stands in a Secret that values come from.
const TOKEN: &str = "canary-token-43";

const OBJECTS: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: told}
stringData: {password: "{{ .Values.password }}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: told, annotations: {checksum/secret: "{{ .Values.password | sha256sum }}"}}
data:
  size: "{{ .Values.size }}"
  url: "http://me:{{ .Values.password }}@db"
  {{- with .Values.token }}
  token: "{{ . }}"
  {{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: told-same}
data: {a: b}
{{- if .Values.extra }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: told-extra}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: told-kept, annotations: {helm.sh/resource-policy: keep}}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata: {name: told-hook, annotations: {helm.sh/hook: "pre-upgrade"}}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: main, image: "registry.example/hook:1"}]}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let values = format!("password: {PASSWORD}\nsize: 1\nextra: true\n");
    charts.add(NAME, "1.0.0", &[("templates/all.yaml", OBJECTS), ("values.yaml", &values)])?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    cx.cluster().apply_yaml(&release::yaml(&namespace, NAME, NAME, "1.x", "")).await?;
    let installed = release::ready_at(cx, &namespace, NAME, 1).await?;
    let first = &installed["status"]["history"][0];
    ensure!(first["changes"]["created"] == 5, "revision 1 changed {}", first["changes"]);
    ensure!(object(first, "Secret", "told")?["change"] == "create", "revision 1: {}", first["objects"]);

    let values = json!({"values": {"password": CHANGED, "size": 2, "extra": false}});
    release::patch(cx, &namespace, NAME, values).await?;
    let upgraded = release::ready_at(cx, &namespace, NAME, 2).await?;
    upgrade_is_told(cx, &namespace, &upgraded).await?;
    secret_values(cx, &namespace).await?;
    nothing_leaked(cx, &namespace).await
}

/// What a revision says of an object.
fn object<'a>(of: &'a Value, kind: &str, name: &str) -> anyhow::Result<&'a Value> {
    let all = of["objects"].as_array().into_iter().flatten();
    let is_it = |one: &&Value| {
        let text = one["object"].as_str().unwrap_or_default();
        text.starts_with(kind) && text.ends_with(&format!("/{name}"))
    };
    all.into_iter().find(is_it).ok_or_else(|| anyhow::anyhow!("no {kind} {name} in {}", of["objects"]))
}

async fn upgrade_is_told(cx: &Context, namespace: &str, release: &Value) -> anyhow::Result<()> {
    let (plan, second) = (&release["status"]["plan"], &release["status"]["history"][0]);
    let changes = json!({"created": 0, "updated": 2, "deleted": 1, "unchanged": 1});
    ensure!(second["changes"] == changes && plan["changes"] == changes, "revision 2 changed {second}");
    ensure!(plan["revision"] == 2 && plan["base"] == 1 && plan["action"] == "upgrade", "the plan is {plan}");
    ensure!(plan["digest"].as_str().is_some_and(|d| d.starts_with("sha256:")), "the digest is {plan}");
    ensure!(plan["hooks"] == json!(["pre-upgrade Job told-hook"]), "the hooks are {}", plan["hooks"]);
    ensure!(plan["objects"] == second["objects"], "plan and history differ: {plan}, {second}");
    let paths = [
        "data.size 1 -> 2",
        "data.url http://me:***@db -> http://me:***@db",
        "metadata.annotations[checksum/secret] changed",
    ];
    ensure!(object(plan, "ConfigMap", "told")?["paths"] == json!(paths), "the ConfigMap: {plan}");
    let paths = ["stringData.password changed"];
    ensure!(object(plan, "Secret", "told")?["paths"] == json!(paths), "the Secret: {plan}");
    ensure!(object(plan, "ConfigMap", "told-extra")?["change"] == "delete", "what left: {plan}");
    let kept = object(plan, "ConfigMap", "told-kept")?;
    ensure!(kept["change"] == "keep" && kept["why"] == "its resource policy says so", "what is kept: {kept}");
    let parts = ["0 created, 2 updated, 1 deleted, 1 unchanged", "data.size 1 -> 2", "told-extra"];
    release::told(cx, namespace, NAME, "UpgradeSucceeded", &parts).await?;
    let kept = cx.objects().get(Kind::CONFIG_MAP, namespace, "told-kept").await?;
    ensure!(kept["metadata"]["deletionTimestamp"].is_null(), "what is to be kept is deleted");
    // The first revision still says what it did.
    let first = &release["status"]["history"][1];
    ensure!(first["revision"] == 1 && first["changes"]["created"] == 5, "the first revision is {first}");
    Ok(())
}

/// With a Secret among the values no value is shown, and when it leaves them neither.
async fn secret_values(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "values", "namespace": namespace},
        "stringData": {"values.yaml": format!("token: {TOKEN}\n")},
    });
    cx.objects().create(Kind::SECRET, secret).await?;
    let from = json!([{"kind": "Secret", "name": "values"}]);
    release::patch(cx, namespace, NAME, json!({"valuesFrom": from, "values": {"size": 3}})).await?;
    let third = release::ready_at(cx, namespace, NAME, 3).await?;
    let paths = json!(["data.size", "data.token"]);
    let plan = &third["status"]["plan"];
    ensure!(object(plan, "ConfigMap", "told")?["paths"] == paths, "with a Secret: {plan}");
    release::patch(cx, namespace, NAME, json!({"valuesFrom": null, "values": {"size": 4}})).await?;
    let fourth = release::ready_at(cx, namespace, NAME, 4).await?;
    let plan = &fourth["status"]["plan"];
    ensure!(object(plan, "ConfigMap", "told")?["paths"] == paths, "when it leaves: {plan}");
    Ok(())
}

async fn nothing_leaked(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let release = cx.objects().get(Kind::HELM_RELEASE, namespace, NAME).await?;
    let mut shown = release["status"].to_string();
    for event in cx.objects().events(namespace).await? {
        let _ = writeln!(shown, "{event}");
    }
    shown.push_str(&cx.rig().operator()?.log(namespace, usize::MAX).await);
    contains(&shown, &["***"])?;
    for secret in [PASSWORD, CHANGED, TOKEN] {
        ensure!(!shown.contains(secret), "{secret} is shown in {shown}");
    }
    Ok(())
}
