//! A field that somebody else manages is left to them under `conflicts: Fail`, before any change; under `Force` it is
//! taken over, and that is told. What does not change is not applied again.

use anyhow::ensure;
use serde_json::json;

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, text};
use crate::context::Context;
use crate::release::{self, Snapshot};

const NAME: &str = "shared";

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: shared}
data: {word: "{{ .Values.word }}", other: "{{ .Values.other }}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: shared-same}
data: {word: same}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let files = [("templates/all.yaml", OBJECTS), ("values.yaml", "word: one\nother: one\n")];
    charts.add(NAME, "1.0.0", &files)?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    let rest = "  conflicts: Fail\n";
    cx.cluster().apply_yaml(&release::yaml(&namespace, NAME, NAME, "1.x", rest)).await?;
    release::ready_at(cx, &namespace, NAME, 1).await?;
    let edit = r#"{"data": {"word": "edited"}}"#;
    let patch = ["patch", "configmap", NAME, "-n", &namespace, "--field-manager=kubectl-edit", "-p", edit];
    cx.cluster().kubectl(&patch).await?;

    // Fields that nobody else manages are the release's, and others' are theirs, whoever is asked.
    for preflight in ["Upgrade", "Never"] {
        let before = Snapshot::take(cx, &namespace).await?;
        let spec = json!({"preflight": preflight, "values": {"word": "two", "other": preflight}});
        release::patch(cx, &namespace, NAME, spec).await?;
        let row = format!("ConfigMap {namespace}/shared (from shared/templates/all.yaml)");
        let parts =
            [&row, "data.word belongs to kubectl-edit", "nothing was changed", "spec.conflicts: Force"];
        release::stalled(cx, &namespace, NAME, "ApplyConflict", &parts).await?;
        release::told(cx, &namespace, NAME, "ApplyConflict", &[&row, "kubectl-edit"]).await?;
        before.unchanged(cx, &namespace).await?;
        ensure!(release::records(cx, &namespace, NAME).await?.len() == 1, "a revision was left behind");
    }

    let same = cx.objects().get(Kind::CONFIG_MAP, &namespace, "shared-same").await?;
    release::patch(cx, &namespace, NAME, json!({"conflicts": "Force", "preflight": "Upgrade"})).await?;
    let release = release::ready_at(cx, &namespace, NAME, 2).await?;
    let object = &release["status"]["history"][0]["objects"][0];
    ensure!(object["takenOver"] == json!(["data.word of kubectl-edit"]), "revision 2 says {object}");
    let parts = ["revision 2 takes over", "data.word of kubectl-edit", "spec.conflicts: Fail"];
    release::told(cx, &namespace, NAME, "ApplyConflict", &parts).await?;
    let shared = cx.objects().get(Kind::CONFIG_MAP, &namespace, NAME).await?;
    ensure!(shared["data"] == json!({"word": "two", "other": "Never"}), "the object has {}", shared["data"]);
    let after = cx.objects().get(Kind::CONFIG_MAP, &namespace, "shared-same").await?;
    let version = |object| text(object, "/metadata/resourceVersion");
    ensure!(version(&same) == version(&after), "what does not change was written");
    Ok(())
}
