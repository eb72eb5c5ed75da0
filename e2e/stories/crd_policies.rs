//! What becomes of the definitions in a chart's `crds/`: skipped, created when they are missing, replaced; and waited for,
//! before an object of theirs is made.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, text};
use crate::context::Context;
use crate::release::{self, Snapshot};

const NAME: &str = "defining";
/// Until an object must be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);

const OBJECT: &str = r#"
apiVersion: {{ .Values.group }}/v1
kind: Gauge
metadata: {name: gauge}
size: {{ .Values.size }}
"#;

fn definition(group: &str, description: &str) -> String {
    format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: gauges.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{kind: Gauge, plural: gauges, singular: gauge}}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, description: {description}, x-kubernetes-preserve-unknown-fields: true}}}}
"
    )
}

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let group = format!("{namespace}.example.com");
    let charts = ChartDir::new()?;
    let values = format!("group: {group}\nsize: 1\n");
    for version in ["1.0.0", "1.1.0"] {
        let crd = definition(&group, &format!("of-{version}"));
        let files =
            [("templates/gauge.yaml", OBJECT), ("values.yaml", &values), ("crds/gauge.yaml", crd.as_str())];
        charts.add(NAME, version, &files)?;
    }
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    let told = tell(cx, &namespace, &format!("gauges.{group}")).await;
    cx.cluster()
        .kubectl(&["delete", "crd", &format!("gauges.{group}"), "--ignore-not-found", "--wait=false"])
        .await?;
    told
}

async fn tell(cx: &Context, namespace: &str, crd: &str) -> anyhow::Result<()> {
    let before = Snapshot::take(cx, namespace).await?;
    let rest = "  install: {crds: Skip}\n";
    cx.cluster().apply_yaml(&release::yaml(namespace, NAME, NAME, "1.0.0", rest)).await?;
    release::failed(cx, namespace, NAME, "KindNotFound", &["Gauge"]).await?;
    before.unchanged(cx, namespace).await?;
    ensure!(cx.objects().find(Kind::CRD, "", crd).await?.is_none(), "a skipped definition was made");

    release::patch(cx, namespace, NAME, json!({"install": {"crds": "Create"}})).await?;
    release::ready_at(cx, namespace, NAME, 1).await?;
    described(cx, crd, "of-1.0.0").await?;
    let made = cx.objects().get(Kind::CRD, "", crd).await?;
    ensure!(made.pointer("/metadata/labels").is_none(), "the definition has marks: {}", made["metadata"]);
    release::told(cx, namespace, NAME, "InstallSucceeded", &["create CustomResourceDefinition", crd]).await?;

    let spec = json!({"chart": {"version": "1.1.0"}, "values": {"size": 2}});
    release::patch(cx, namespace, NAME, spec).await?;
    release::ready_at(cx, namespace, NAME, 2).await?;
    described(cx, crd, "of-1.0.0").await?;

    release::patch(cx, namespace, NAME, json!({"upgrade": {"crds": "CreateReplace"}, "values": {"size": 3}}))
        .await?;
    release::ready_at(cx, namespace, NAME, 3).await?;
    described(cx, crd, "of-1.1.0").await?;
    release::told(cx, namespace, NAME, "UpgradeSucceeded", &[crd, "of-1.0.0 -> of-1.1.0"]).await?;

    // A definition that somebody deleted comes back with the next revision, and its objects with it.
    cx.cluster().kubectl(&["delete", "crd", crd, "--wait=false"]).await?;
    cx.objects().wait_gone(Kind::CRD, "", crd, GONE_WITHIN).await?;
    release::patch(cx, namespace, NAME, json!({"upgrade": {"crds": "Create"}, "values": {"size": 4}}))
        .await?;
    release::ready_at(cx, namespace, NAME, 4).await?;
    described(cx, crd, "of-1.1.0").await?;
    let gauges = format!("{crd}/gauge");
    let size = cx.cluster().kubectl(&["get", &gauges, "-n", namespace, "-o", "jsonpath={.size}"]).await?;
    ensure!(size == "4", "the object's size is {size}");

    release::delete(cx, namespace, NAME).await?;
    described(cx, crd, "of-1.1.0").await
}

async fn described(cx: &Context, crd: &str, wanted: &str) -> anyhow::Result<()> {
    let object = cx.objects().get(Kind::CRD, "", crd).await?;
    let found = text(&object, "/spec/versions/0/schema/openAPIV3Schema/description");
    ensure!(found == wanted, "the definition should be {wanted}, is {found}");
    Ok(())
}
