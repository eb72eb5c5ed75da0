//! Two HelmReleases name the same release: the one that came second is told whose it is and changes nothing, be it
//! edited or deleted, and takes over when the first one leaves the release behind.

use anyhow::ensure;
use serde_json::json;

use crate::chart_server::ChartServer;
use crate::context::Context;
use crate::release::{self, Snapshot};

const CHART: &str = "shared";

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: shared}
data: {text: "{{ .Values.text }}"}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let (namespace, server) = release::place(cx, CHART, OBJECTS, "text: a\n").await?;
    let yaml = |name: &str, rest: &str| {
        release::yaml(&namespace, name, CHART, "1.0.0", &format!("  releaseName: one\n{rest}"))
    };
    cx.cluster().apply_yaml(&yaml("first", "")).await?;
    release::ready_at(cx, &namespace, "first", 1).await?;

    let snapshot = Snapshot::take(cx, &namespace).await?;
    let whose = format!("HelmRelease {namespace}/first");
    cx.cluster().apply_yaml(&yaml("second", "  values: {text: b}\n")).await?;
    release::stalled(cx, &namespace, "second", "ReleaseClaimed", &[&whose, "spec.releaseName"]).await?;
    release::patch(cx, &namespace, "second", json!({"values": {"text": "c"}})).await?;
    release::stalled(cx, &namespace, "second", "ReleaseClaimed", &[&whose]).await?;
    release::request(cx, &namespace, "first", "still").await?;
    release::ready_at(cx, &namespace, "first", 1).await?;
    cx.cluster().apply_yaml(&yaml("third", "")).await?;
    release::stalled(cx, &namespace, "third", "ReleaseClaimed", &[&whose]).await?;
    release::delete(cx, &namespace, "third").await?;
    elsewhere(cx, &namespace, &server, &whose).await?;
    snapshot.unchanged(cx, &namespace).await?;

    // Whoever is left goes on with a release that was left behind.
    release::patch(cx, &namespace, "first", json!({"deletionPolicy": "Orphan"})).await?;
    release::delete(cx, &namespace, "first").await?;
    release::ready_at(cx, &namespace, "second", 2).await?;
    let records = release::records(cx, &namespace, "one").await?;
    ensure!(records.len() == 2, "the records are {records:?}");
    Ok(())
}

/// A record in another namespace does not make it another release: its objects would be the same.
async fn elsewhere(cx: &Context, first: &str, server: &ChartServer, whose: &str) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    release::repository(cx, &namespace, server).await?;
    let rest = format!("  releaseName: one\n  targetNamespace: {first}\n  values: {{text: d}}\n");
    cx.cluster().apply_yaml(&release::yaml(&namespace, "fourth", CHART, "1.0.0", &rest)).await?;
    release::stalled(cx, &namespace, "fourth", "ReleaseClaimed", &[whose]).await?;
    release::delete(cx, &namespace, "fourth").await?;
    ensure!(release::records(cx, &namespace, "one").await?.is_empty(), "it has made a record");
    Ok(())
}
