//! A release that is as it should be costs the API server no write and at most one read.

use anyhow::ensure;
use serde_json::json;

use crate::audit::{AuditMark, Request, counted};
use crate::cluster::Kind;
use crate::context::Context;
use crate::operator::USER;
use crate::release;

const NAME: &str = "still";

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: still}
data: {random: "{{ randAlphaNum 8 }}", greeting: "{{ .Values.greeting }}"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: still}
spec:
  selector: {matchLabels: {app: still}}
  template:
    metadata: {labels: {app: still}}
    spec: {containers: [{name: main, image: "registry.example/still:1"}]}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let (namespace, _server) = release::place(cx, NAME, OBJECTS, "greeting: hello\n").await?;
    cx.cluster().apply_yaml(&release::yaml(&namespace, NAME, NAME, "1.x", "")).await?;
    release::ready_at(cx, &namespace, NAME, 1).await?;
    // The first echo is behind us, so that nothing of the install is still on its way.
    release::request(cx, &namespace, NAME, "settled").await?;

    let Some(audit) = cx.audit() else { return Ok(()) };
    let mark = audit.mark().await?;
    release::request(cx, &namespace, NAME, "again").await?;
    costs_nothing(cx, mark, &namespace, "a requested reconcile").await?;

    let mark = audit.mark().await?;
    let label = json!({"metadata": {"labels": {"touched": "yes"}}});
    cx.objects().patch(Kind::HELM_RELEASE, &namespace, NAME, label).await?;
    // What the label brings about is done before a request that came after it is echoed.
    release::request(cx, &namespace, NAME, "after-the-label").await?;
    costs_nothing(cx, mark, &namespace, "a touched label and a requested reconcile").await?;

    let release = release::ready_at(cx, &namespace, NAME, 1).await?;
    ensure!(release["status"]["history"].as_array().is_some_and(|all| all.len() == 1), "a revision was made");
    Ok(())
}

async fn costs_nothing(cx: &Context, mark: AuditMark, namespace: &str, what: &str) -> anyhow::Result<()> {
    let Some(audit) = cx.audit() else { return Ok(()) };
    let requests = audit.since(mark, USER, namespace).await?;
    cx.say(format!("{what} costs:\n{}", counted(&requests)));
    let is_echo = |request: &&Request| request.resource == "helmreleases/status";
    let echoes = requests.iter().filter(is_echo).count();
    let writes = requests.iter().filter(|request| request.is_write()).count();
    let reads = requests.iter().filter(|request| matches!(request.verb.as_str(), "get" | "list")).count();
    ensure!(
        echoes == 1 && writes == 1 && reads <= 1,
        "{what} should cost its echo and at most one read, but costs:\n{}",
        counted(&requests)
    );
    Ok(())
}
