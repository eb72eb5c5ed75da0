//! An API version goes away under a release: its objects are found under another version, a rollback to a manifest
//! that needs the old one changes nothing, and the release goes on.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::chart_server::ChartDir;
use crate::cluster::Kind;
use crate::context::Context;
use crate::release::{self, Snapshot};

const NAME: &str = "tools";
const GROUP: &str = "removed.pintle.example";

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.removed.pintle.example}
spec:
  group: removed.pintle.example
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets, singular: gadget}
  versions:
    - {name: v1beta1, served: true, storage: false, schema: &any {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
    - {name: v1, served: true, storage: true, schema: *any}
"#;

fn gadget(version: &str, name: &str, size: u32) -> String {
    format!(
        "---\napiVersion: {GROUP}/{version}\nkind: Gadget\nmetadata: {{name: {name}}}\nspec: {{size: {size}}}\n"
    )
}

const SETTINGS: &str = r#"
---
apiVersion: v1
kind: ConfigMap
metadata: {name: tools}
data: {version: "{{ .Chart.Version }}"}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    cx.cluster().apply_yaml(DEFINITION).await?;
    let definition = format!("gadgets.{GROUP}");
    cx.objects().wait_condition(Kind::CRD, "", &definition, "Established", "True", release::WITHIN).await?;
    let charts = ChartDir::new()?;
    for (version, gadgets) in [
        ("1.0.0", gadget("v1beta1", "kept", 1) + &gadget("v1beta1", "dropped", 1)),
        ("2.0.0", gadget("v1", "kept", 2)),
        ("3.0.0", String::new()),
    ] {
        charts.add(NAME, version, &[("templates/all.yaml", &format!("{gadgets}{SETTINGS}"))])?;
    }
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    cx.cluster().apply_yaml(&release::yaml(&namespace, NAME, NAME, "1.0.0", "")).await?;
    release::ready_at(cx, &namespace, NAME, 1).await?;
    let before = gadgets(cx, &namespace).await?;
    ensure!(before.len() == 2, "the gadgets are {before:?}");

    let versions = json!([{"op": "replace", "path": "/spec/versions/0/served", "value": false}]).to_string();
    cx.cluster().kubectl(&["patch", "crd", &definition, "--type=json", "-p", &versions]).await?;
    let gone = async {
        let args = ["get", &format!("gadgets.v1beta1.{GROUP}"), "-n", &namespace];
        // Discovery offers nothing to watch.
        while cx.cluster().try_kubectl(&args, "").await?.success {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        Ok::<(), anyhow::Error>(())
    };
    tokio::time::timeout(release::WITHIN, gone).await??;

    release::patch(cx, &namespace, NAME, json!({"chart": {"version": "2.0.0"}})).await?;
    release::ready_at(cx, &namespace, NAME, 2).await?;
    let after = gadgets(cx, &namespace).await?;
    ensure!(after.len() == 1, "what left the chart should be gone: {after:?}");
    let same = before.iter().any(|old| old["metadata"]["uid"] == after[0]["metadata"]["uid"]);
    ensure!(
        same && after[0]["spec"]["size"] == 2,
        "the other should be changed, not made anew: {}",
        after[0]
    );

    let snapshot = Snapshot::take(cx, &namespace).await?;
    release::patch(cx, &namespace, NAME, json!({"rollbackTo": 1})).await?;
    let parts = ["Gadget", &format!("{GROUP}/v1beta1"), "was this API version removed?"];
    release::failed(cx, &namespace, NAME, "KindNotFound", &parts).await?;
    snapshot.unchanged(cx, &namespace).await?;
    ensure!(gadgets(cx, &namespace).await? == after, "a rollback that is refused changed a gadget");

    let forward = json!({"rollbackTo": null, "chart": {"version": "3.0.0"}});
    cx.cluster().kubectl(&["delete", "crd", &definition]).await?;
    release::patch(cx, &namespace, NAME, forward).await?;
    release::ready_at(cx, &namespace, NAME, 3).await?;
    let settings = cx.objects().get(Kind::CONFIG_MAP, &namespace, NAME).await?;
    ensure!(settings["data"]["version"] == "3.0.0", "the object has {}", settings["data"]);
    release::delete(cx, &namespace, NAME).await
}

async fn gadgets(cx: &Context, namespace: &str) -> anyhow::Result<Vec<Value>> {
    let args = ["get", &format!("gadgets.v1.{GROUP}"), "-n", namespace, "-o", "json"];
    let mut list: Value = serde_json::from_str(&cx.cluster().kubectl(&args).await?)?;
    Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
}
