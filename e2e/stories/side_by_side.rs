//! A release of Pintle's in the hands of the real helm, 4 and 3: it reads all of it, upgrades it, rolls it back and
//! uninstalls it, and Pintle tells of that, writes nothing, and goes on when it is asked to.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::audit::{AuditMark, counted};
use crate::chart_server::ChartDir;
use crate::cluster::{Kind, condition, contains};
use crate::context::Context;
use crate::operator::USER;
use crate::release;

const CHART: &str = "pair";

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data: {text: "{{ .Values.text }}"}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: "{{ .Release.Name }}-hook"
  annotations: {helm.sh/hook: "post-install,post-upgrade,post-rollback"}
data: {text: "{{ .Values.text }}"}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    let files = [
        ("templates/all.yaml", OBJECTS),
        ("templates/NOTES.txt", "The text is {{ .Values.text }}.\n"),
        ("values.yaml", "text: default\n"),
    ];
    let chart = charts.add(CHART, "1.0.0", &files)?.to_string_lossy().into_owned();
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    let helms: &[&str] = if cx.rig().control_plane.is_existing() { &["four"] } else { &["four", "three"] };
    for name in helms {
        Pair { cx, namespace: &namespace, name, chart: &chart }.tell().await.with_context(|| *name)?;
    }
    Ok(())
}

/// One release, shared with one helm: its name says which.
struct Pair<'a> {
    cx: &'a Context,
    namespace: &'a str,
    name: &'a str,
    chart: &'a str,
}

impl Pair<'_> {
    async fn tell(&self) -> anyhow::Result<()> {
        let Self { cx, namespace, name, .. } = *self;
        let yaml = release::yaml(namespace, name, CHART, "1.0.0", "  values: {text: ours}\n");
        cx.cluster().apply_yaml(&yaml).await?;
        release::ready_at(cx, namespace, name, 1).await?;
        self.helm_reads("ours").await?;

        let mark = self.mark().await?;
        self.helm(&["upgrade", name, self.chart, "--set", "text=theirs"]).await?;
        let told = ["helm made revision 2", "Upgrade complete", "pintle.dev/forceAt"];
        let object = release::stalled(cx, namespace, name, "ExternalRelease", &told).await?;
        self.is_external(&object, 2)?;
        self.helm(&["rollback", name, "1"]).await?;
        let object = self.told_of(3).await?;
        self.is_external(&object, 3)?;
        self.wrote_nothing(mark).await?;
        self.text_is("ours").await?;
        self.statuses(&["superseded", "superseded", "deployed"]).await?;
        let events = cx.objects().events(namespace).await?.join("\n");
        contains(&events, &["Warning ExternalRelease", "helm made revision 2", "helm made revision 3"])?;

        // Ours on theirs.
        release::patch(cx, namespace, name, json!({"values": {"text": "newer"}})).await?;
        release::ready_at(cx, namespace, name, 4).await?;
        self.text_is("newer").await?;
        release::patch(cx, namespace, name, json!({"rollbackTo": 2})).await?;
        let held = release::ready_at(cx, namespace, name, 5).await?;
        let is_held = condition(&held, "Held").is_some_and(|c| c["status"] == "True");
        ensure!(is_held, "the conditions are {}", held["status"]["conditions"]);
        self.text_is("theirs").await?;
        release::patch(cx, namespace, name, json!({"rollbackTo": null})).await?;
        release::ready_at(cx, namespace, name, 6).await?;
        self.text_is("newer").await?;
        self.statuses(&["superseded", "superseded", "superseded", "superseded", "superseded", "deployed"])
            .await?;
        self.helm_reads("newer").await?;

        // What helm takes away comes back: the HelmRelease still asks for it.
        self.helm(&["uninstall", name]).await?;
        let again = |object: Option<&Value>| {
            object.is_some_and(|object| {
                object["status"]["lastAppliedRevision"] == 1
                    && condition(object, "Ready").is_some_and(|ready| ready["status"] == "True")
            })
        };
        let kind = Kind::HELM_RELEASE;
        cx.objects().wait(kind, namespace, name, "installed again", release::WITHIN, again).await?;
        self.text_is("newer").await?;
        self.statuses(&["deployed"]).await?;

        // A release stays the HelmRelease's, though helm wrote it last.
        self.helm(&["upgrade", name, self.chart, "--set", "text=theirs"]).await?;
        self.told_of(2).await?;
        release::delete(cx, namespace, name).await?;
        cx.objects().wait_gone(Kind::CONFIG_MAP, namespace, name, release::WITHIN).await?;
        let records = release::records(cx, namespace, name).await?;
        ensure!(records.is_empty(), "the records that are left: {records:?}");
        Ok(())
    }

    async fn helm(&self, args: &[&str]) -> anyhow::Result<String> {
        let args = [args, &["-n", self.namespace]].concat();
        let cluster = self.cx.cluster();
        if self.name == "three" { cluster.helm3(&args).await } else { cluster.helm(&args).await }
    }

    /// helm shows everything that it shows of a release of its own.
    async fn helm_reads(&self, text: &str) -> anyhow::Result<()> {
        let name = self.name;
        let (text, notes) = (format!("text: {text}"), format!("The text is {text}."));
        for (args, parts) in [
            (vec!["list"], vec![name, "deployed", "pair-1.0.0"]),
            (vec!["status", name], vec!["STATUS: deployed", &notes]),
            (vec!["history", name], vec!["Install complete", "pair-1.0.0"]),
            (vec!["get", "values", name], vec![&text]),
            (vec!["get", "notes", name], vec![&notes]),
            (vec!["get", "manifest", name], vec!["# Source: pair/templates/all.yaml", "kind: ConfigMap"]),
            (vec!["get", "hooks", name], vec!["helm.sh/hook", "post-upgrade"]),
            (vec!["get", "metadata", name], vec!["STATUS: deployed", "CHART: pair"]),
        ] {
            contains(&self.helm(&args).await?, &parts).with_context(|| args.join(" "))?;
        }
        Ok(())
    }

    /// Waits until the status tells of helm's revision `number`.
    async fn told_of(&self, number: u32) -> anyhow::Result<Value> {
        let words = format!("helm made revision {number}");
        let wanted = |object: Option<&Value>| {
            object.and_then(|object| condition(object, "Ready")).is_some_and(|ready| {
                ready["reason"] == "ExternalRelease"
                    && ready["message"].as_str().is_some_and(|message| message.contains(&words))
            })
        };
        let (kind, objects) = (Kind::HELM_RELEASE, self.cx.objects());
        let found = objects.wait(kind, self.namespace, self.name, &words, release::WITHIN, wanted).await?;
        found.context("the release is gone")
    }

    /// The conditions and the history say that helm made revision `number`.
    fn is_external(&self, object: &Value, number: i64) -> anyhow::Result<()> {
        for (type_, status) in [("Ready", "False"), ("Stalled", "True"), ("Released", "False")] {
            let found = condition(object, type_);
            ensure!(
                found.is_some_and(|c| c["status"] == status && c["reason"] == "ExternalRelease"),
                "{type_} should be {status} with ExternalRelease: {}",
                object["status"]["conditions"]
            );
        }
        let latest = &object["status"]["history"][0];
        ensure!(
            latest["revision"] == number && latest["status"] == "deployed",
            "the history begins with {latest}"
        );
        Ok(())
    }

    async fn mark(&self) -> anyhow::Result<Option<AuditMark>> {
        match self.cx.audit() {
            Some(audit) => Ok(Some(audit.mark().await?)),
            None => Ok(None),
        }
    }

    /// The operator wrote nothing since but what tells of it.
    async fn wrote_nothing(&self, mark: Option<AuditMark>) -> anyhow::Result<()> {
        let (Some(audit), Some(mark)) = (self.cx.audit(), mark) else { return Ok(()) };
        let mut writes = audit.writes_since(mark, USER, self.namespace).await?;
        writes.retain(|w| {
            !matches!(&*w.resource, "helmreleases/status" | "chartrepositories/status" | "events")
        });
        ensure!(writes.is_empty(), "the operator wrote:\n{}", counted(&writes));
        Ok(())
    }

    async fn text_is(&self, wanted: &str) -> anyhow::Result<()> {
        let object = self.cx.objects().get(Kind::CONFIG_MAP, self.namespace, self.name).await?;
        ensure!(object["data"]["text"] == wanted, "the text should be {wanted}, is {}", object["data"]);
        Ok(())
    }

    /// The statuses of all revisions, oldest first, as helm says them.
    async fn statuses(&self, wanted: &[&str]) -> anyhow::Result<()> {
        let listed = self.helm(&["history", self.name, "-o", "json"]).await?;
        let listed: Vec<Value> = serde_json::from_str(&listed).context("helm's history is no JSON")?;
        let found: Vec<&str> = listed.iter().filter_map(|revision| revision["status"].as_str()).collect();
        ensure!(found == wanted, "the revisions are {found:?}");
        Ok(())
    }
}
