//! Under `spec.approval: Manual` a plan is published and nothing is done until its digest is approved: an install, an
//! upgrade, a rollback. An approval of another plan is void, and one that is given while no operator runs is heeded.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, condition, text};
use crate::context::Context;
use crate::release::{self, Snapshot, WITHIN};

const NAME: &str = "approved";

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: approved}
data: {word: "{{ .Values.word }}", more: "{{ .Values.more }}", drawn: "{{ randAlphaNum 8 }}"}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    cx.alone("approval", |own| Box::pin(tell(own))).await
}

async fn tell(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    charts.add(
        NAME,
        "1.0.0",
        &[("templates/all.yaml", OBJECTS), ("values.yaml", "word: one\nmore: none\n")],
    )?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    let before = Snapshot::take(cx, &namespace).await?;
    let rest = "  approval: Manual\n  valuesFrom: [{kind: ConfigMap, name: more, optional: true}]\n";
    cx.cluster().apply_yaml(&release::yaml(&namespace, NAME, NAME, "1.x", rest)).await?;
    let first =
        awaiting(cx, &namespace, "AwaitingApproval", &["the install to revision 1", "1 created"]).await?;

    // The plan that is approved is not the present one any more.
    release::patch(cx, &namespace, NAME, json!({"values": {"word": "two"}})).await?;
    let second = awaiting(cx, &namespace, "AwaitingApproval", &["1 created"]).await?;
    ensure!(second != first, "another plan has the same digest");
    approve(cx, &namespace, &first).await?;
    let void = format!("the approved plan {first} is void");
    let parts = [void.as_str(), second.as_str()];
    ensure!(awaiting(cx, &namespace, "PlanOutdated", &parts).await? == second, "the plan changed by itself");
    before.unchanged(cx, &namespace).await?;
    ensure!(release::records(cx, &namespace, NAME).await?.is_empty(), "a revision was made");

    // Nobody is there to see it.
    let operator = cx.rig().operator()?;
    ensure!(operator.stop().await?.success(), "the operator did not end well");
    approve(cx, &namespace, &second).await?;
    operator.restart().await?;
    let installed = release::ready_at(cx, &namespace, NAME, 1).await?;
    ensure!(
        text(&installed, "/status/plan/digest") == second,
        "what was done: {}",
        installed["status"]["plan"]
    );
    has_word(cx, &namespace, "two").await?;

    // The approval of the last revision is none of the next one.
    release::patch(cx, &namespace, NAME, json!({"values": {"word": "three"}})).await?;
    let parts = ["the upgrade to revision 2", "0 created, 1 updated", "two -> three"];
    let third = awaiting(cx, &namespace, "AwaitingApproval", &parts).await?;
    has_word(cx, &namespace, "two").await?;
    approve(cx, &namespace, &third).await?;
    release::ready_at(cx, &namespace, NAME, 2).await?;
    has_word(cx, &namespace, "three").await?;
    unasked(cx, &namespace).await?;

    release::patch(cx, &namespace, NAME, json!({"rollbackTo": 1})).await?;
    let fourth = awaiting(cx, &namespace, "AwaitingApproval", &["the rollback to revision 3"]).await?;
    has_word(cx, &namespace, "three").await?;
    approve(cx, &namespace, &fourth).await?;
    release::ready_at(cx, &namespace, NAME, 3).await?;
    has_word(cx, &namespace, "two").await
}

/// Values of a reference change, and nobody changed the spec: what runs stays ready while the plan waits.
async fn unasked(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let map = |text: &str| {
        let metadata = json!({"name": "more", "namespace": namespace});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"values.yaml": text}})
    };
    cx.objects().create(Kind::CONFIG_MAP, map("more: some\n")).await?;
    let waits = |object: Option<&Value>| {
        let ready = object.and_then(|object| condition(object, "Ready"));
        ready.is_some_and(|ready| ready["reason"] == "AwaitingApproval" && ready["status"] == "True")
    };
    let found =
        cx.objects().wait(Kind::HELM_RELEASE, namespace, NAME, "ready and waiting", WITHIN, waits).await?;
    let found = found.context("the release is gone")?;
    ensure!(found["status"]["plan"]["revision"] == 3, "the plan is {}", found["status"]["plan"]);
    ensure!(
        found["status"]["lastAppliedRevision"] == 2,
        "something was done: {}",
        found["status"]["history"]
    );
    let object = cx.objects().get(Kind::CONFIG_MAP, namespace, NAME).await?;
    ensure!(object["data"]["more"] == "none", "the object has {}", object["data"]);
    Ok(())
}

/// Waits until the release waits for that reason in its present generation; the digest of its plan.
async fn awaiting(cx: &Context, namespace: &str, reason: &str, parts: &[&str]) -> anyhow::Result<String> {
    let release = release::failed(cx, namespace, NAME, reason, parts).await?;
    let reconciling = condition(&release, "Reconciling").context("it is not said to go on")?;
    ensure!(reconciling["reason"] == reason, "Reconciling is {reconciling}");
    ensure!(condition(&release, "Stalled").is_none(), "it is said to be stalled");
    let digest = text(&release, "/status/plan/digest");
    let message = condition(&release, "Ready").map(|ready| text(ready, "/message")).unwrap_or_default();
    ensure!(message.ends_with(&format!("pintle.dev/approve={digest}")), "how to approve it: {message}");
    release::told(cx, namespace, NAME, reason, &[&digest]).await?;
    Ok(digest)
}

async fn approve(cx: &Context, namespace: &str, digest: &str) -> anyhow::Result<()> {
    let patch = json!({"metadata": {"annotations": {"pintle.dev/approve": digest}}});
    cx.objects().patch(Kind::HELM_RELEASE, namespace, NAME, patch).await?;
    cx.say(format!("approved {digest}"));
    Ok(())
}

async fn has_word(cx: &Context, namespace: &str, word: &str) -> anyhow::Result<()> {
    let object: Value = cx.objects().get(Kind::CONFIG_MAP, namespace, NAME).await?;
    ensure!(text(&object, "/data/word") == word, "the word should be {word}, is {}", object["data"]);
    Ok(())
}
