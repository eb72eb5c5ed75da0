//! Where values come from, which of them win, what a change of their source brings about, and what is said when one of
//! them cannot be had.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::remediation::place;
use crate::chart_server::{ChartDir, ChartServer};
use crate::cluster::{Kind, condition, text};
use crate::context::Context;
use crate::release::{self, Snapshot};

/// The values, as the chart got them.
const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-got"}
data: {values: {{ toJson .Values | quote }}}
"#;

/// What the references of the failing releases lead to.
const SOURCES: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: plain}
data: {values.yaml: "from: {plain: map, both: map}", port: "8080", broken: "a: b: c", list: "[1, 2]"}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {more.yaml: "from: {hidden: secret, both: secret, inline: secret}", broken: "hunter2: b: c", text: "'8080'"}
"#;

/// A release that cannot have its values: further fields of its spec, and what the message says.
struct Missing {
    name: &'static str,
    rest: &'static str,
    message: &'static [&'static str],
    /// Whether only a change of the spec can help.
    is_final: bool,
}

const MISSING: &[Missing] = &[
    Missing {
        name: "no-object",
        rest: "  valuesFrom: [{kind: ConfigMap, name: plain}, {kind: Secret, name: absent}]\n",
        message: &["valuesFrom[1]", "Secret", "/absent does not exist", "create it, or set optional: true"],
        is_final: false,
    },
    Missing {
        name: "no-key",
        rest: "  valuesFrom: [{kind: ConfigMap, name: plain, valuesKey: other.yaml}]\n",
        message: &["valuesFrom[0]", "ConfigMap", "/plain has no key `other.yaml`", "or set optional: true"],
        is_final: false,
    },
    Missing {
        name: "no-yaml",
        rest: "  valuesFrom: [{kind: ConfigMap, name: plain, valuesKey: broken}]\n",
        message: &[
            "valuesFrom[0]",
            "key `broken` of ConfigMap",
            "/plain cannot be read as values",
            "mend it",
        ],
        is_final: false,
    },
    Missing {
        name: "no-map",
        rest: "  valuesFrom: [{kind: ConfigMap, name: plain, valuesKey: list}]\n",
        message: &["key `list` of ConfigMap", "/plain cannot be read as values", "mend it"],
        is_final: false,
    },
    Missing {
        name: "no-secret",
        rest: "  valuesFrom: [{kind: Secret, name: hidden, valuesKey: broken}]\n",
        message: &["key `broken` of Secret", "/hidden cannot be read as values", "its text is withheld"],
        is_final: false,
    },
    Missing {
        name: "no-path",
        rest: "  valuesFrom: [{kind: ConfigMap, name: plain, valuesKey: port, targetPath: \"a[x]\"}]\n",
        message: &["valuesFrom[0]", "key `port` of ConfigMap", "cannot be read as values"],
        is_final: false,
    },
    Missing {
        name: "no-file",
        rest: "",
        message: &["chart web-1.0.0 has no file `values-absent.yaml`", "spec.chart.valuesFiles"],
        is_final: true,
    },
];

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let charts = ChartDir::new()?;
    let files = [
        ("templates/got.yaml", OBJECTS),
        ("values.yaml", "chart: {default: one, file: one}\n"),
        ("values-prod.yaml", "chart: {file: prod}\nfrom: {plain: file}\n"),
    ];
    charts.add("web", "1.0.0", &files)?;
    let server = &charts.serve().await?;
    futures::try_join!(layered(cx, server), optional(cx, server), missing(cx, server))?;
    Ok(())
}

async fn install(cx: &Context, namespace: &str, name: &str, files: &str, rest: &str) -> anyhow::Result<()> {
    let yaml = release::yaml(namespace, name, "web", "1.0.0", rest);
    let version = "version: \"1.0.0\"";
    cx.cluster().apply_yaml(&yaml.replace(version, &format!("{version}, valuesFiles: [{files}]"))).await
}

async fn got(cx: &Context, namespace: &str, name: &str) -> anyhow::Result<Value> {
    let object = cx.objects().get(Kind::CONFIG_MAP, namespace, &format!("{name}-got")).await?;
    serde_json::from_str(&text(&object, "/data/values")).context("the chart got no values")
}

async fn sources(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    cx.cluster()
        .apply_yaml(&SOURCES.replace("metadata: {", &format!("metadata: {{namespace: {namespace}, ")))
        .await
}

/// Later ones win, a path stands in its place in their order, and what the spec says itself wins over all; a chart's files
/// stand in place of its values.yaml. What changes in one of them is taken by itself.
async fn layered(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    sources(cx, namespace).await?;
    let name = "all";
    let rest = "  valuesFrom:
  - {kind: ConfigMap, name: plain}
  - {kind: ConfigMap, name: plain, valuesKey: port, targetPath: \"from.ports[0]\"}
  - {kind: Secret, name: hidden, valuesKey: more.yaml}
  - {kind: Secret, name: hidden, valuesKey: text, targetPath: from.text}
  values: {from: {inline: spec}}
";
    install(cx, namespace, name, "values-prod.yaml", rest).await?;
    release::ready_at(cx, namespace, name, 1).await?;
    let mut wanted = json!({
        "chart": {"file": "prod"},
        "from": {
            "plain": "map", "both": "secret", "hidden": "secret", "inline": "spec", "ports": [8080], "text": "8080",
        },
    });
    let found = got(cx, namespace, name).await?;
    ensure!(found == wanted, "the values are {found}");
    // Its values.yaml counts where it is named.
    let files = json!({"chart": {"valuesFiles": ["values.yaml", "values-prod.yaml"]}});
    release::patch(cx, namespace, name, files).await?;
    release::ready_at(cx, namespace, name, 2).await?;
    wanted["chart"]["default"] = "one".into();
    let found = got(cx, namespace, name).await?;
    ensure!(found == wanted, "with both files the values are {found}");

    let port = json!({"data": {"port": "9090"}});
    cx.objects().patch(Kind::CONFIG_MAP, namespace, "plain", port).await?;
    by_itself(cx, namespace, name, 3).await?;
    wanted["from"]["ports"] = json!([9090]);
    let found = got(cx, namespace, name).await?;
    ensure!(found == wanted, "after the change of the ConfigMap the values are {found}");
    Ok(())
}

/// Waits until the release is at a revision that no edit of its spec asked for.
async fn by_itself(cx: &Context, namespace: &str, name: &str, revision: i64) -> anyhow::Result<()> {
    let wanted =
        |object: Option<&Value>| object.is_some_and(|o| o["status"]["lastAppliedRevision"] == revision);
    let what = format!("at revision {revision}");
    cx.objects().wait(Kind::HELM_RELEASE, namespace, name, &what, release::WITHIN, wanted).await?;
    release::ready_at(cx, namespace, name, revision).await?;
    Ok(())
}

/// What may be missing is left out, and taken when it comes.
async fn optional(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    let name = "some";
    let rest = "  valuesFrom:
  - {kind: Secret, name: hidden, valuesKey: more.yaml, optional: true}
  - {kind: ConfigMap, name: plain, valuesKey: absent.yaml, optional: true}
";
    install(cx, namespace, name, "values.yaml", rest).await?;
    release::ready_at(cx, namespace, name, 1).await?;
    let chart = json!({"default": "one", "file": "one"});
    let found = got(cx, namespace, name).await?;
    ensure!(found == json!({ "chart": chart }), "without a source the values are {found}");
    sources(cx, namespace).await?;
    by_itself(cx, namespace, name, 2).await?;
    let from = json!({"hidden": "secret", "both": "secret", "inline": "secret"});
    let found = got(cx, namespace, name).await?;
    ensure!(found == json!({"chart": chart, "from": from}), "with a source the values are {found}");
    Ok(())
}

/// Each release says which of its values cannot be had, and nothing changes; it goes on when they come.
async fn missing(cx: &Context, server: &ChartServer) -> anyhow::Result<()> {
    let namespace = &place(cx, server).await?;
    sources(cx, namespace).await?;
    install(cx, namespace, "good", "", "").await?;
    release::ready_at(cx, namespace, "good", 1).await?;
    let before = Snapshot::take(cx, namespace).await?;
    for case in MISSING {
        let files = if case.is_final { "values-absent.yaml" } else { "" };
        install(cx, namespace, case.name, files, case.rest).await?;
    }
    for Missing { name, message, is_final, .. } in MISSING {
        let reason = "ValuesInvalid";
        let failed = if *is_final {
            release::stalled(cx, namespace, name, reason, message).await?
        } else {
            release::retried(cx, namespace, name, reason, message).await?
        };
        release::told(cx, namespace, name, reason, message).await?;
        ensure!(failed["status"].get("history").is_none(), "{name} has a revision: {}", failed["status"]);
        let said = condition(&failed, "Ready").map(|ready| text(ready, "/message")).unwrap_or_default();
        ensure!(!said.contains("hunter2"), "the Secret shows in: {said}");
    }
    before.unchanged(cx, namespace).await?;
    // An upgrade that cannot have its values leaves alone what runs.
    let absent = json!({"valuesFrom": [{"kind": "ConfigMap", "name": "late"}]});
    release::patch(cx, namespace, "good", absent).await?;
    release::retried(cx, namespace, "good", "ValuesInvalid", &["/late does not exist"]).await?;
    before.unchanged(cx, namespace).await?;
    let late = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late", "namespace": namespace},
        "data": {"values.yaml": "late: true"},
    });
    cx.cluster().apply_yaml(&late.to_string()).await?;
    release::ready_at(cx, namespace, "good", 2).await?;
    Ok(())
}
