//! Watches that keep silent for as long as the story lasts: no first revision is made over a history that a watch has not
//! told of, and a forced action finds what an upgrade passes over.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::chaos::{self, fault, fault::Fault, fault::Rule, faultproxy::FaultProxy};
use crate::chart_server::ChartDir;
use crate::cluster::{self, Kind, text};
use crate::context::{Context, Rig, Skipped};
use crate::operator::{self, Operator};
use crate::release;

const CHART: &str = "maps";
/// Until a watch must have fallen silent, or a record be gone.
const WITHIN: Duration = Duration::from_secs(30);
/// Watches that fall silent, as [`fault::WATCHES`] has them.
const RECORDS: (&str, &str) = ("secrets", "owner in");
const MAPS: (&str, &str) = ("configmaps", "managed-by");

const OBJECTS: &str = r#"
{{- range $name := list "steady" "changing" }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ $.Release.Name }}-{{ $name }}"}
data: {text: "{{ if eq $name "changing" }}{{ $.Values.text }}{{ else }}hello{{ end }}"}
{{- end }}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    if cx.rig().control_plane.is_existing() {
        return Err(
            Skipped("the watches of an existing cluster's operator cannot be led astray".to_owned()).into()
        );
    }
    let rig = chaos::start().await?;
    let own = Context::new(Arc::clone(&rig), "silent_watch");
    let told = tell(&own, &rig).await;
    if told.is_err() {
        own.print_failure().await;
    }
    rig.stop().await?;
    told
}

async fn tell(cx: &Context, rig: &Rig) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let archive =
        charts.add(CHART, "1.0.0", &[("templates/all.yaml", OBJECTS), ("values.yaml", "text: a\n")])?;
    let server = charts.serve().await?;
    let upstream = cluster::client(&rig.control_plane.kubeconfig(operator::USER)?, "pintle-silent").await?;
    let proxy = FaultProxy::start(upstream, &namespace, &[], "").await?;
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    let kubeconfig = folder.path().join("kubeconfig");
    proxy.write_kubeconfig(&kubeconfig)?;
    let operator = Operator::start_at(kubeconfig, operator::Options::default()).await?;
    let told = async {
        release::repository(cx, &namespace, &server).await?;
        untold(cx, &proxy, &namespace, &archive.to_string_lossy()).await?;
        forced(cx, &proxy, &namespace).await
    };
    let told = told.await;
    if told.is_err() {
        crate::output::indented(&operator.log(&namespace, 60).await);
    }
    operator.kill().await?;
    told
}

/// The number of revision 1 is free, and the watch tells of no other revision: there is one all the same.
async fn untold(cx: &Context, proxy: &FaultProxy, namespace: &str, archive: &str) -> anyhow::Result<()> {
    // Who has made a release has asked for the kinds, and watches them.
    cx.cluster().apply_yaml(&release::yaml(namespace, "first", CHART, "1.0.0", "")).await?;
    release::ready_at(cx, namespace, "first", 1).await?;
    proxy.arm(Some(silence(RECORDS)?));
    for text in ["text=a", "text=b"] {
        cx.cluster().helm(&["upgrade", "--install", "late", archive, "-n", namespace, "--set", text]).await?;
    }
    silent(cx, proxy).await?;
    cx.objects().delete(Kind::SECRET, namespace, "sh.helm.release.v1.late.v1").await?;
    let before = cx.objects().get(Kind::CONFIG_MAP, namespace, "late-changing").await?;
    // Nothing of it may be applied over what helm has made.
    let values = "  values: {text: c}\n  approval: Automatic\n  upgrade: {disableWait: true}\n";
    cx.cluster().apply_yaml(&release::yaml(namespace, "late", CHART, "1.0.0", values)).await?;
    let late = release::ready_at(cx, namespace, "late", 3).await?;
    let history = late["status"]["history"].clone();
    let action = text(&late, "/status/history/0/action");
    ensure!(action == "upgrade", "revision 3 should be an upgrade of what helm made: {history}");
    let after = cx.objects().get(Kind::CONFIG_MAP, namespace, "late-changing").await?;
    ensure!(before["metadata"]["uid"] == after["metadata"]["uid"], "the object was made anew");
    ensure!(after["data"]["text"] == "c", "the object has {}", after["data"]);
    let given_up = history.as_array().into_iter().flatten().find(|revision| revision["revision"] == 1);
    ensure!(
        given_up.is_none_or(|revision| revision["status"] == "failed"),
        "revision 1 should be given up: {history}"
    );
    Ok(())
}

/// An upgrade believes a watch that keeps silent, a forced action does not.
async fn forced(cx: &Context, proxy: &FaultProxy, namespace: &str) -> anyhow::Result<()> {
    cx.cluster().apply_yaml(&release::yaml(namespace, "web", CHART, "1.0.0", "")).await?;
    release::ready_at(cx, namespace, "web", 1).await?;
    proxy.arm(Some(silence(MAPS)?));
    edit(cx, namespace, "web-changing", "edited").await?;
    silent(cx, proxy).await?;
    edit(cx, namespace, "web-steady", "edited").await?;
    release::patch(cx, namespace, "web", json!({"values": {"text": "b"}})).await?;
    release::ready_at(cx, namespace, "web", 2).await?;
    let data = async |name: &str| -> anyhow::Result<String> {
        Ok(text(&cx.objects().get(Kind::CONFIG_MAP, namespace, name).await?, "/data/text"))
    };
    let (steady, changing) = (data("web-steady").await?, data("web-changing").await?);
    ensure!(changing == "b", "what the upgrade changes should be b, is {changing}");
    ensure!(
        steady == "edited",
        "the watch is not silent: the upgrade has seen the edit of what it leaves as it was"
    );

    let patch = json!({"metadata": {"annotations": {"pintle.dev/forceAt": "now"}}});
    cx.objects().patch(Kind::HELM_RELEASE, namespace, "web", patch).await?;
    let heeded = |release: Option<&Value>| {
        release.is_some_and(|release| release["status"]["lastHandledForceAt"] == "now")
    };
    cx.objects().wait(Kind::HELM_RELEASE, namespace, "web", "forced", WITHIN, heeded).await?;
    release::ready_at(cx, namespace, "web", 3).await?;
    let steady = data("web-steady").await?;
    ensure!(steady == "hello", "the forced action should undo the edit, and leaves {steady}");
    Ok(())
}

/// What makes one of the watches fall silent with its next event.
fn silence(watch: (&str, &str)) -> anyhow::Result<Rule> {
    let place = fault::WATCHES.iter().position(|known| *known == watch).context("there is no such watch")?;
    Ok(Rule { fault: Fault::WatchSilent, nth: place + 1 })
}

/// Waits until the watch has fallen silent.
async fn silent(cx: &Context, proxy: &FaultProxy) -> anyhow::Result<()> {
    let fallen = async {
        while proxy.fired().is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WITHIN, fallen).await.context("the watch has told of nothing")?;
    cx.say(format!("silent from here on: {}", proxy.fired().unwrap_or_default()));
    Ok(())
}

async fn edit(cx: &Context, namespace: &str, name: &str, text: &str) -> anyhow::Result<()> {
    cx.objects().patch(Kind::CONFIG_MAP, namespace, name, json!({"data": {"text": text}})).await?;
    Ok(())
}
