//! The real helm upgrades a release of Pintle's, and rolls it back: that is told, and left alone until the spec
//! changes or somebody asks for a new revision.

use anyhow::ensure;
use serde_json::json;

use crate::chart_server::ChartDir;
use crate::cluster::Kind;
use crate::context::Context;
use crate::release::{self, Snapshot};

const NAME: &str = "beside";

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: beside}
data: {text: "{{ .Values.text }}"}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let chart =
        charts.add(NAME, "1.0.0", &[("templates/all.yaml", OBJECTS), ("values.yaml", "text: ours\n")])?;
    let chart = chart.to_string_lossy().into_owned();
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    cx.cluster().apply_yaml(&release::yaml(&namespace, NAME, NAME, "1.0.0", "")).await?;
    release::ready_at(cx, &namespace, NAME, 1).await?;

    // Nobody asks for a reconcile: helm's record wakes the release.
    let upgrade = ["upgrade", NAME, &chart, "-n", &namespace, "--set", "text=theirs"];
    cx.cluster().helm(&upgrade).await?;
    let told = ["helm made revision 2", "Upgrade complete", "pintle.dev/forceAt"];
    release::stalled(cx, &namespace, NAME, "ExternalRelease", &told).await?;
    let snapshot = Snapshot::take(cx, &namespace).await?;
    release::request(cx, &namespace, NAME, "again").await?;
    release::stalled(cx, &namespace, NAME, "ExternalRelease", &told).await?;
    snapshot.unchanged(cx, &namespace).await?;
    text_is(cx, &namespace, "theirs").await?;
    let events = cx.objects().events(&namespace).await?.join("\n");
    crate::cluster::contains(&events, &["ExternalRelease"])?;

    cx.cluster().helm(&["rollback", NAME, "1", "-n", &namespace]).await?;
    said(cx, &namespace, "helm made revision 3").await?;
    text_is(cx, &namespace, "ours").await?;

    // Ours on top of theirs.
    release::patch(cx, &namespace, NAME, json!({"values": {"text": "newer"}})).await?;
    release::ready_at(cx, &namespace, NAME, 4).await?;
    text_is(cx, &namespace, "newer").await?;

    cx.cluster().helm(&upgrade).await?;
    said(cx, &namespace, "helm made revision 5").await?;
    text_is(cx, &namespace, "theirs").await?;
    cx.cluster().kubectl(&["annotate", "hr", NAME, "-n", &namespace, "pintle.dev/forceAt=now"]).await?;
    release::ready_at(cx, &namespace, NAME, 6).await?;
    text_is(cx, &namespace, "newer").await?;
    let listed = cx.cluster().helm(&["history", NAME, "-n", &namespace, "-o", "json"]).await?;
    let deployed = listed.matches("\"deployed\"").count();
    ensure!(deployed == 1, "one revision should be deployed, helm says {listed}");
    Ok(())
}

/// Waits until the status tells of an external revision in these words.
async fn said(cx: &Context, namespace: &str, words: &str) -> anyhow::Result<()> {
    let wanted = |object: Option<&serde_json::Value>| {
        object.and_then(|object| crate::cluster::condition(object, "Ready")).is_some_and(|ready| {
            ready["reason"] == "ExternalRelease"
                && ready["message"].as_str().is_some_and(|m| m.contains(words))
        })
    };
    cx.objects().wait(Kind::HELM_RELEASE, namespace, NAME, words, release::WITHIN, wanted).await?;
    Ok(())
}

async fn text_is(cx: &Context, namespace: &str, wanted: &str) -> anyhow::Result<()> {
    let object = cx.objects().get(Kind::CONFIG_MAP, namespace, NAME).await?;
    ensure!(
        object["data"]["text"] == wanted,
        "the text should be {wanted}, the object has {}",
        object["data"]
    );
    Ok(())
}
