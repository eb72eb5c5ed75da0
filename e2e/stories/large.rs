//! A release whose record fits into no single Secret goes its whole way: helm does not see it while it is so large,
//! what is left over of it is cleaned up, and only what no number of Secrets holds is refused.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, text};
use crate::context::Context;
use crate::release::{self, Snapshot};

const NAME: &str = "large";
/// Bytes of one object's data, which does not compress.
const BLOB: usize = 900_000;

const OBJECTS: &str = r#"
{{- $blob := .Files.Get "blob.txt" }}
{{- range until (int .Values.copies) }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ $.Release.Name }}-{{ . }}"}
data:
  mark: "{{ $.Values.mark }}"
  blob: "{{ $blob }}"
{{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data: {mark: "{{ .Values.mark }}"}
---
# It is waited for, so that each action goes on from the record.
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  selector: {matchLabels: {app: large}}
  template:
    metadata: {labels: {app: large, mark: "{{ .Values.mark }}"}}
    spec: {containers: [{name: main, image: "registry.example/large:1"}]}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let blob: String = (0..BLOB).map(|_| char::from(b'a' + rand::random_range(0..26_u8))).collect();
    let blob: String =
        blob.chars().map(|c| if rand::random() { c.to_ascii_uppercase() } else { c }).collect();
    let files = [
        ("templates/all.yaml", OBJECTS),
        ("blob.txt", blob.as_str()),
        ("values.yaml", "copies: 4\nmark: a\n"),
    ];
    charts.add(NAME, "1.0.0", &files)?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    cx.cluster().apply_yaml(&release::yaml(&namespace, NAME, NAME, "1.0.0", "  maxHistory: 2\n")).await?;
    release::ready_at(cx, &namespace, NAME, 1).await?;
    let first = parts(cx, &namespace).await?;
    ensure!(first.len() > 2, "the record should stand in several Secrets, these are {first:?}");
    let listed = cx.cluster().helm(&["list", "-n", &namespace, "-q"]).await?;
    ensure!(listed.trim().is_empty(), "helm should not see the release, it lists {listed}");

    release::patch(cx, &namespace, NAME, json!({"values": {"mark": "b"}})).await?;
    release::ready_at(cx, &namespace, NAME, 2).await?;
    mark_is(cx, &namespace, "b").await?;

    too_large(cx, &namespace).await?;

    // A process ended between a part and its head; the next action cleans up after it.
    let left = leftover(cx, &namespace).await?;
    release::patch(cx, &namespace, NAME, json!({"rollbackTo": 1, "values": {"copies": 4}})).await?;
    release::ready_at(cx, &namespace, NAME, 3).await?;
    mark_is(cx, &namespace, "a").await?;
    let now = parts(cx, &namespace).await?;
    ensure!(!now.contains(&left), "the leftover is still there");
    // Revision 1 is the one that is held; that in between goes with all of its parts.
    let of =
        |revision: &str| now.iter().filter(|name| name.contains(&format!("{NAME}.v{revision}."))).count();
    ensure!((of("1"), of("2"), of("3")) == (first.len(), 0, first.len()), "the parts are {now:?}");

    // Small again, it is helm's to see.
    let small = json!({"rollbackTo": null, "values": {"copies": 0, "mark": "c"}});
    release::patch(cx, &namespace, NAME, small).await?;
    release::ready_at(cx, &namespace, NAME, 4).await?;
    cx.objects().wait_gone(Kind::CONFIG_MAP, &namespace, "large-0", release::WITHIN).await?;
    let status = cx.cluster().helm(&["status", NAME, "-n", &namespace]).await?;
    crate::cluster::contains(&status, &["STATUS: deployed", "REVISION: 4"])?;

    release::delete(cx, &namespace, NAME).await?;
    let names = cx.objects().names(Kind::SECRET, &namespace).await?;
    ensure!(names.is_empty(), "the Secrets that are left: {names:?}");
    let maps = cx.objects().names(Kind::CONFIG_MAP, &namespace).await?;
    ensure!(!maps.iter().any(|name| name.starts_with(NAME)), "the objects that are left: {maps:?}");
    Ok(())
}

async fn too_large(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let before = Snapshot::take(cx, namespace).await?;
    release::patch(cx, namespace, NAME, json!({"values": {"copies": 12}})).await?;
    let parts = ["revision 3", "8 Secrets", "its manifest has", "split the chart"];
    release::stalled(cx, namespace, NAME, "ReleaseTooLarge", &parts).await?;
    before.unchanged(cx, namespace).await
}

/// Makes a part without a head, as a crash leaves it.
async fn leftover(cx: &Context, namespace: &str) -> anyhow::Result<String> {
    let release = cx.objects().get(Kind::HELM_RELEASE, namespace, NAME).await?;
    let name = format!("pintle.release.v1.{NAME}.v3.0123456789.1");
    let labels = json!({
        "owner": "pintle", "pintle.dev/release": NAME, "pintle.dev/made-by": text(&release, "/metadata/uid"),
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "pintle.dev/release-part",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
    });
    cx.objects().create(Kind::SECRET, secret).await.context("the leftover")?;
    Ok(name)
}

/// Names of the Secrets that hold parts of records, sorted.
async fn parts(cx: &Context, namespace: &str) -> anyhow::Result<Vec<String>> {
    let labels = format!("owner=pintle,pintle.dev/release={NAME}");
    let secrets: Vec<Value> = cx.objects().list(Kind::SECRET, namespace, &labels).await?;
    let mut names: Vec<String> = secrets.iter().map(|secret| text(secret, "/metadata/name")).collect();
    names.sort();
    Ok(names)
}

async fn mark_is(cx: &Context, namespace: &str, wanted: &str) -> anyhow::Result<()> {
    for name in [NAME, "large-0", "large-3"] {
        let object = cx.objects().get(Kind::CONFIG_MAP, namespace, name).await?;
        ensure!(object["data"]["mark"] == wanted, "{name} should be marked {wanted}");
    }
    Ok(())
}
