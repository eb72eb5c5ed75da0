//! Under `impure: Freeze` an upgrade keeps the password and the CA that a chart made; under `Allow` both are new. A
//! rollback has the values of its revision, and the next upgrade goes on from them.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::chart_server::ChartDir;
use crate::cluster::Kind;
use crate::context::Context;
use crate::release;

const NAME: &str = "vault";

const SECRET: &str = r#"
{{- $ca := genCA "vault" 365 }}
{{- $cert := genSignedCert "vault" nil (list "vault") 90 $ca }}
apiVersion: v1
kind: Secret
metadata: {name: vault}
stringData:
  password: {{ randAlphaNum 20 }}
  ca.crt: {{ $ca.Cert | toJson }}
  tls.crt: {{ $cert.Cert | toJson }}
  made: {{ now | unixEpoch | quote }}
  id: {{ include "id" . }}
"#;

const SETTINGS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: vault}
data: {motto: "{{ .Values.motto }}"}
"#;

const PARTIALS: &str = r#"{{ define "id" }}{{ uuidv4 }}{{ end }}"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let files = [
        ("templates/secret.yaml", SECRET),
        ("templates/settings.yaml", SETTINGS),
        ("templates/_id.tpl", PARTIALS),
        ("values.yaml", "motto: first\n"),
    ];
    charts.add(NAME, "1.0.0", &files)?;
    // An edited chart: other lines, another use in another file.
    let moved = format!("# One more line.\n{SECRET}");
    let settings = SETTINGS.replace("motto:", "token: {{ randAlphaNum 20 }}, motto:");
    let edited = [
        ("templates/secret.yaml", moved.as_str()),
        ("templates/settings.yaml", settings.as_str()),
        ("templates/_id.tpl", PARTIALS),
        ("values.yaml", "motto: first\n"),
    ];
    charts.add(NAME, "1.1.0", &edited)?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    let yaml = release::yaml(&namespace, NAME, NAME, "1.0.0", "  impure: Freeze\n");
    cx.cluster().apply_yaml(&yaml).await?;
    let first = at(cx, &namespace, 1, "first").await?;

    release::patch(cx, &namespace, NAME, json!({"values": {"motto": "second"}})).await?;
    ensure!(at(cx, &namespace, 2, "second").await? == first, "an upgrade under Freeze changed the Secret");

    release::patch(
        cx,
        &namespace,
        NAME,
        json!({"chart": {"version": "1.1.0"}, "values": {"motto": "third"}}),
    )
    .await?;
    ensure!(
        at(cx, &namespace, 3, "third").await? == first,
        "an edited chart under Freeze changed the Secret"
    );

    release::patch(cx, &namespace, NAME, json!({"impure": "Allow", "values": {"motto": "fourth"}})).await?;
    let fourth = at(cx, &namespace, 4, "fourth").await?;
    for key in ["password", "ca.crt", "tls.crt", "id"] {
        ensure!(fourth[key] != first[key], "an upgrade under Allow left `{key}` as it was");
    }

    release::patch(cx, &namespace, NAME, json!({"rollbackTo": 2})).await?;
    ensure!(
        at(cx, &namespace, 5, "second").await? == first,
        "the rollback has other values than its revision"
    );

    let forward = json!({"rollbackTo": null, "impure": "Freeze", "values": {"motto": "sixth"}});
    release::patch(cx, &namespace, NAME, forward).await?;
    ensure!(
        at(cx, &namespace, 6, "sixth").await? == first,
        "an upgrade after the rollback changed the Secret"
    );
    Ok(())
}

/// Waits for a revision, and gives the Secret's data.
async fn at(cx: &Context, namespace: &str, revision: i64, motto: &str) -> anyhow::Result<Value> {
    release::ready_at(cx, namespace, NAME, revision).await?;
    let settings = cx.objects().get(Kind::CONFIG_MAP, namespace, NAME).await?;
    ensure!(settings["data"]["motto"] == motto, "revision {revision} says {}", settings["data"]["motto"]);
    let mut secret = cx.objects().get(Kind::SECRET, namespace, NAME).await?;
    secret.get_mut("data").map(Value::take).context("the Secret has no data")
}
