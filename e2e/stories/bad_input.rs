//! Every mistake that an author can make has a reason of its own, and changes nothing.

use anyhow::ensure;
use serde_json::json;

use crate::chart_server::ChartDir;
use crate::cluster::{Kind, contains};
use crate::context::Context;
use crate::release::{self, REPOSITORY, Snapshot};

const SETTINGS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: \"{{ .Release.Name }}-settings\"}
";

/// A mistake: the chart that it is made with, the reason that it has, parts of the message, whether it is final.
struct Mistake {
    name: &'static str,
    chart: &'static str,
    version: &'static str,
    rest: &'static str,
    reason: &'static str,
    message: &'static [&'static str],
    is_final: bool,
}

const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "no-such-chart",
        chart: "absent",
        version: "1.x",
        rest: "",
        reason: "ChartNotFound",
        message: &["absent"],
        is_final: false,
    },
    Mistake {
        name: "no-such-version",
        chart: "plain",
        version: ">=9",
        rest: "",
        reason: "VersionNotFound",
        message: &["plain", ">=9"],
        is_final: false,
    },
    Mistake {
        name: "lacks-dependency",
        chart: "lacks",
        version: "1.x",
        rest: "",
        reason: "ChartCorrupt",
        message: &["chart lacks-1.0.0", "missing in charts/ directory: gone", "`pintle dependency build`"],
        is_final: false,
    },
    Mistake {
        name: "library",
        chart: "library",
        version: "1.x",
        rest: "",
        reason: "InvalidSpec",
        message: &["library charts are not installable"],
        is_final: true,
    },
    Mistake {
        name: "template-fails",
        chart: "template-fails",
        version: "1.x",
        rest: "",
        reason: "RenderFailed",
        message: &["templates/broken.yaml:3", "the port is missing"],
        is_final: true,
    },
    Mistake {
        name: "no-yaml",
        chart: "no-yaml",
        version: "1.x",
        rest: "",
        reason: "InvalidManifest",
        message: &["templates/broken.yaml"],
        is_final: true,
    },
    Mistake {
        name: "unknown-kind",
        chart: "unknown-kind",
        version: "1.x",
        rest: "",
        reason: "KindNotFound",
        message: &["Gadget", "example.com/v1"],
        is_final: false,
    },
    Mistake {
        name: "schema-broken",
        chart: "with-schema",
        version: "1.x",
        rest: "  values: {replicas: many}\n",
        reason: "SchemaViolation",
        message: &["replicas"],
        is_final: true,
    },
    Mistake {
        name: "not-the-owner",
        chart: "owned",
        version: "1.x",
        rest: "",
        reason: "OwnershipConflict",
        message: &["ConfigMap", "owned", "other"],
        is_final: true,
    },
];

fn charts() -> anyhow::Result<ChartDir> {
    let charts = ChartDir::new()?;
    let settings = ("templates/settings.yaml", SETTINGS);
    charts.add("plain", "1.0.0", &[settings])?;
    let metadata =
        "apiVersion: v2\nname: lacks\nversion: 1.0.0\ndependencies: [{name: gone, version: 1.0.0}]\n";
    charts.add("lacks", "1.0.0", &[settings, ("Chart.yaml", metadata)])?;
    let metadata = "apiVersion: v2\nname: library\nversion: 1.0.0\ntype: library\n";
    charts.add("library", "1.0.0", &[settings, ("Chart.yaml", metadata)])?;
    let broken = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ required \"the port is missing\" .Values.port }}}\n";
    charts.add("template-fails", "1.0.0", &[settings, ("templates/broken.yaml", broken)])?;
    let broken = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: broken}\ndata: a: b: c\n";
    charts.add("no-yaml", "1.0.0", &[settings, ("templates/broken.yaml", broken)])?;
    let gadget = "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: gadget}\n";
    charts.add("unknown-kind", "1.0.0", &[settings, ("templates/gadget.yaml", gadget)])?;
    let schema = r#"{"type": "object", "properties": {"replicas": {"type": "integer"}}}"#;
    charts.add("with-schema", "1.0.0", &[settings, ("values.schema.json", schema)])?;
    let owned = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owned}\ndata: {by: me}\n";
    charts.add("owned", "1.0.0", &[settings, ("templates/owned.yaml", owned)])?;
    Ok(charts)
}

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let server = charts()?.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    cx.cluster().apply_yaml(&foreign(&namespace)).await?;
    cx.cluster().apply_yaml(&release::yaml(&namespace, "good", "plain", "1.x", "")).await?;
    release::ready_at(cx, &namespace, "good", 1).await?;

    let before = Snapshot::take(cx, &namespace).await?;
    for mistake in MISTAKES {
        let yaml = release::yaml(&namespace, mistake.name, mistake.chart, mistake.version, mistake.rest);
        cx.cluster().apply_yaml(&yaml).await?;
    }
    for mistake in MISTAKES {
        let Mistake { name, reason, message, .. } = mistake;
        if mistake.is_final {
            release::stalled(cx, &namespace, name, reason, message).await?;
        } else {
            release::failed(cx, &namespace, name, reason, message).await?;
        }
    }
    unknown_revision(cx, &namespace).await?;
    before.unchanged(cx, &namespace).await?;
    force_is_kept(cx, &namespace).await?;
    refused_by_the_server(cx, &namespace).await
}

/// A ConfigMap that belongs to a release that helm made.
fn foreign(namespace: &str) -> String {
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: owned
  namespace: {namespace}
  labels: {{app.kubernetes.io/managed-by: Helm}}
  annotations: {{meta.helm.sh/release-name: other, meta.helm.sh/release-namespace: {namespace}}}
data: {{by: other}}
"
    )
}

async fn unknown_revision(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    release::patch(cx, namespace, "good", json!({"rollbackTo": 7})).await?;
    release::stalled(cx, namespace, "good", "RevisionNotFound", &["7", "1"]).await?;
    release::patch(cx, namespace, "good", json!({"rollbackTo": null})).await?;
    release::ready_at(cx, namespace, "good", 1).await?;
    Ok(())
}

/// A revision that is asked for by force is made as soon as what was in its way is gone.
async fn force_is_kept(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    release::patch(cx, namespace, "good", json!({"rollbackTo": 7})).await?;
    release::stalled(cx, namespace, "good", "RevisionNotFound", &["7"]).await?;
    cx.cluster().kubectl(&["annotate", "hr", "good", "-n", namespace, "pintle.dev/forceAt=now"]).await?;
    release::request(cx, namespace, "good", "forced").await?;
    let refused = cx.objects().get(Kind::HELM_RELEASE, namespace, "good").await?;
    let handled = &refused["status"]["lastHandledForceAt"];
    ensure!(handled.is_null(), "no revision was made, and the force counts as handled: {handled}");
    release::patch(cx, namespace, "good", json!({"rollbackTo": null})).await?;
    let forced = release::ready_at(cx, namespace, "good", 2).await?;
    ensure!(
        forced["status"]["lastHandledForceAt"] == "now",
        "the force is not told of: {}",
        forced["status"]
    );
    release::request(cx, namespace, "good", "once").await?;
    release::ready_at(cx, namespace, "good", 2).await?;
    Ok(())
}

/// What the schema refuses never reaches the operator.
async fn refused_by_the_server(cx: &Context, namespace: &str) -> anyhow::Result<()> {
    let repository = format!("repository: {{name: {REPOSITORY}}}");
    let cases = [
        (
            format!("{repository}, name: plain, url: \"http://127.0.0.1/plain-1.0.0.tgz\""),
            "",
            "exactly one of",
        ),
        (String::new(), "", "exactly one of"),
        (repository.clone(), "", "exactly one of"),
        (format!("{repository}, name: plain"), ", rollbackTo: 0", "spec.rollbackTo"),
        (format!("{repository}, name: plain, digest: \"md5:1\""), "", "spec.chart.digest"),
        (format!("{repository}, name: plain"), ", interval: often", "spec.interval"),
    ];
    for (chart, rest, complaint) in cases {
        let yaml = format!(
            "apiVersion: pintle.dev/v1alpha1
kind: HelmRelease
metadata: {{name: refused, namespace: {namespace}}}
spec: {{chart: {{{chart}}}{rest}}}
"
        );
        let printed = cx.cluster().try_kubectl(&["apply", "-f", "-"], &yaml).await?;
        ensure!(!printed.success, "the server took:\n{yaml}");
        contains(&printed.stderr, &[complaint])?;
    }
    Ok(())
}
