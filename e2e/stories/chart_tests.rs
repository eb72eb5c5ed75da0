//! A chart's tests run once for each revision, as `helm test` would run them; one that fails is a failure of the release,
//! unless the spec says otherwise.

use anyhow::ensure;
use serde_json::{Value, json};

use super::remediation::{check, event, place, told};
use crate::chart_server::{ChartDir, ChartServer};
use crate::cluster::{Kind, condition, text};
use crate::context::Context;
use crate::release::{self, Snapshot};

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-config"}
data: {value: "{{ .Values.value }}"}
---
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-first
  annotations: {helm.sh/hook: test, helm.sh/hook-weight: "1", pintle.dev/simulate: "{{ .Values.fate }}"}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "registry.example/test:1"}]
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-second
  annotations: {helm.sh/hook: test-success, helm.sh/hook-weight: "2", helm.sh/hook-delete-policy: hook-succeeded}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "registry.example/test:1"}]
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let charts = ChartDir::new()?;
    let files = [("templates/objects.yaml", OBJECTS), ("values.yaml", "value: one\nfate: \"\"\n")];
    charts.add("web", "1.0.0", &files)?;
    let server = &charts.serve().await?;
    futures::try_join!(
        ignored(cx, server),
        rolled_back(cx, server),
        filtered(cx, server),
        overtaken(cx, server)
    )?;
    Ok(())
}

async fn install(cx: &Context, namespace: &str, name: &str, rest: &str) -> anyhow::Result<()> {
    let yaml = release::yaml(namespace, name, "web", "1.0.0", &format!("  test: {{enable: true}}\n{rest}"));
    cx.cluster().apply_yaml(&yaml).await
}

/// Name and phase of the tests of the newest revision.
fn tests(release: &Value) -> Vec<String> {
    let tests = release["status"]["history"][0]["tests"].as_array().cloned().unwrap_or_default();
    tests.iter().map(|test| format!("{}: {}", text(test, "/name"), text(test, "/phase"))).collect()
}

/// Tests that succeed, once; then one that fails, which is ignored in the end.
async fn ignored(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "tried";
    install(cx, namespace, name, "").await?;
    let ready = release::ready_at(cx, namespace, name, 1).await?;
    check(&ready, "Ready", "True", "TestSucceeded")?;
    check(&ready, "TestSuccess", "True", "TestSucceeded")?;
    check(&ready, "Released", "True", "InstallSucceeded")?;
    ensure!(tests(&ready) == ["tried-first: Succeeded", "tried-second: Succeeded"], "{:?}", tests(&ready));
    event(cx, namespace, &["InstallSucceeded", "install of revision 1"]).await?;
    event(cx, namespace, &["TestSucceeded", "the tests of revision 1 succeeded"]).await?;
    helm_reads(cx, namespace, name, &["tried-first: Succeeded", "tried-second: Succeeded"]).await?;
    let kept = cx.objects().get(Kind::POD, namespace, "tried-first").await?;
    let gone = cx.objects().find(Kind::JOB, namespace, "tried-second").await?;
    ensure!(gone.is_none(), "the delete policy of the second test was not followed");
    release::request(cx, namespace, name, "still").await?;
    let still = cx.objects().get(Kind::POD, namespace, "tried-first").await?;
    ensure!(kept["metadata"]["uid"] == still["metadata"]["uid"], "the test ran twice");

    release::patch(cx, namespace, name, json!({"values": {"fate": "fail"}})).await?;
    let failed =
        release::failed(cx, namespace, name, "TestFailed", &["test hook Pod", "tried-first"]).await?;
    check(&failed, "TestSuccess", "False", "TestFailed")?;
    check(&failed, "Released", "True", "UpgradeSucceeded")?;
    ensure!(tests(&failed) == ["tried-first: Failed"], "the tests are {:?}", tests(&failed));
    ensure!(text(&failed, "/status/history/0/status") == "deployed", "{:?}", told(&failed));
    event(cx, namespace, &["TestFailed", "tried-first"]).await?;
    release::patch(cx, namespace, name, json!({"test": {"ignoreFailures": true}})).await?;
    let ready = release::ready(cx, namespace, name).await?;
    check(&ready, "Ready", "True", "UpgradeSucceeded")?;
    check(&ready, "TestSuccess", "False", "TestFailed")?;
    release::patch(cx, namespace, name, json!({"test": {"enable": false}})).await?;
    let ready = release::ready(cx, namespace, name).await?;
    ensure!(condition(&ready, "TestSuccess").is_none(), "tests that are not wanted are told of");
    Ok(())
}

/// What the real helm knows of the tests.
async fn helm_reads(cx: &Context, namespace: &str, name: &str, wanted: &[&str]) -> anyhow::Result<()> {
    let status = cx.cluster().helm(&["status", name, "-n", namespace, "-o", "json"]).await?;
    let status: Value = serde_json::from_str(&status)?;
    ensure!(text(&status, "/info/status") == "deployed", "helm says {}", status["info"]);
    let hooks = status["hooks"].as_array().cloned().unwrap_or_default();
    let of = |hook: &Value| format!("{}: {}", text(hook, "/name"), text(hook, "/last_run/phase"));
    let read: Vec<String> = hooks.iter().map(of).collect();
    for wanted in wanted {
        ensure!(read.iter().any(|read| read == wanted), "helm reads {read:?}");
    }
    cx.cluster().helm(&["history", name, "-n", namespace]).await?;
    Ok(())
}

/// A failed test is put right like a failed upgrade.
async fn rolled_back(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "back";
    install(cx, namespace, name, "  upgrade: {remediation: {remediateLastFailure: true}}\n").await?;
    release::ready_at(cx, namespace, name, 1).await?;
    release::patch(cx, namespace, name, json!({"values": {"value": "two", "fate": "fail"}})).await?;
    let parts =
        ["the upgrade failed once", "TestFailed", "back-first", "revision 3 has the content of revision 1"];
    let ended = release::stalled(cx, namespace, name, "RetriesExceeded", &parts).await?;
    check(&ended, "Remediated", "True", "RollbackSucceeded")?;
    check(&ended, "TestSuccess", "False", "TestFailed")?;
    let revisions = ["1 install: superseded", "2 upgrade: superseded", "3 rollback: deployed"];
    ensure!(told(&ended) == revisions, "the history is {:?}", told(&ended));
    ensure!(
        tests(&ended).is_empty(),
        "a revision that puts a failure right is not tested: {:?}",
        tests(&ended)
    );
    let before = Snapshot::take(cx, namespace).await?;
    release::request(cx, namespace, name, "still").await?;
    before.unchanged(cx, namespace).await?;
    // What is held is tested as what is upgraded.
    release::patch(cx, namespace, name, json!({"rollbackTo": 2})).await?;
    release::failed(cx, namespace, name, "TestFailed", &["back-first"]).await?;
    Ok(())
}

/// Tests that are left out.
async fn filtered(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "some";
    let rest = "  values: {fate: fail}\n".to_owned();
    let yaml = release::yaml(namespace, name, "web", "1.0.0", &rest);
    let filters = "  test: {enable: true, timeout: 30s, filters: [{name: some-first, exclude: true}]}\n";
    cx.cluster().apply_yaml(&format!("{yaml}{filters}")).await?;
    let ready = release::ready_at(cx, namespace, name, 1).await?;
    ensure!(tests(&ready) == ["some-second: Succeeded"], "the tests are {:?}", tests(&ready));
    let only = json!({"test": {"filters": [{"name": "none"}]}, "values": {"value": "two"}});
    release::patch(cx, namespace, name, only).await?;
    let ready = release::ready_at(cx, namespace, name, 2).await?;
    ensure!(tests(&ready).is_empty(), "the tests are {:?}", tests(&ready));
    Ok(())
}

/// A test that runs holds nobody up: it is ended when there is a new spec.
async fn overtaken(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = place(cx, server).await?;
    let namespace = namespace.as_str();
    let name = "slow";
    install(cx, namespace, name, "  values: {fate: pending}\n").await?;
    let awaited = |release: Option<&Value>| {
        release.and_then(|release| condition(release, "TestSuccess")).is_some_and(|c| {
            c["status"] == "Unknown"
                && c["reason"] == "AwaitingTests"
                && text(c, "/message").contains("slow-first")
        })
    };
    let kind = Kind::HELM_RELEASE;
    let waiting = cx.objects().wait(kind, namespace, name, "tested", release::WITHIN, awaited).await?;
    let waiting = waiting.unwrap_or_default();
    check(&waiting, "Ready", "Unknown", "Progressing")?;
    check(&waiting, "Released", "True", "InstallSucceeded")?;
    ensure!(waiting["status"]["lastAppliedRevision"] == 1, "{}", waiting["status"]["lastAppliedRevision"]);
    release::patch(cx, namespace, name, json!({"values": {"fate": ""}})).await?;
    let ready = release::ready_at(cx, namespace, name, 2).await?;
    ensure!(tests(&ready).len() == 2, "the tests are {:?}", tests(&ready));
    Ok(())
}
