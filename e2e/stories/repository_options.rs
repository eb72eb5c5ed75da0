//! What the options of a ChartRepository change: who gets to see the credentials, how long and how often it is asked, and
//! that it is not asked at all while it is suspended.

use anyhow::ensure;
use pintle::repository::Digest;
use serde_json::{Value, json};

use super::remediation::check;
use crate::cluster::{Kind, condition, contains, text};
use crate::context::Context;
use crate::release::{self, REPOSITORY, WITHIN};
use crate::source::{Answer, Source, chart, index, ok};

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    futures::try_join!(credentials(cx), patience(cx), rhythm(cx))?;
    Ok(())
}

/// Another host gets the credentials only where the spec says so.
async fn credentials(cx: &Context) -> anyhow::Result<()> {
    let namespace = &cx.namespace().await?;
    let (strict, open) = (Source::start().await?, Source::start().await?);
    let (kept_from, shown_to) = (Source::start().await?, Source::start().await?);
    // Bytes that no other source has: those would be at hand already.
    for (source, host, version) in [(&strict, &kept_from, "7.0.1"), (&open, &shown_to, "7.0.2")] {
        let archive = chart(version)?;
        let address = format!("{}/web.tgz", host.url());
        source.put("/index.yaml", ok(&index(&[(version, &address, Digest::of(&archive))])));
        host.put("/web.tgz", ok(&archive));
    }
    let (strict, open) = (strict.url(), open.url());
    let yaml = format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: login, namespace: {namespace}}}
stringData: {{username: u, password: hunter2}}
---
apiVersion: pintle.dev/v1alpha1
kind: ChartRepository
metadata: {{name: strict, namespace: {namespace}}}
spec: {{url: \"{strict}\", secretRef: {{name: login}}}}
---
apiVersion: pintle.dev/v1alpha1
kind: ChartRepository
metadata: {{name: open, namespace: {namespace}}}
spec: {{url: \"{open}\", secretRef: {{name: login}}, passCredentials: true}}
"
    );
    cx.cluster().apply_yaml(&yaml).await?;
    for name in ["strict", "open"] {
        let yaml = release::yaml(namespace, name, "web", "7.x", "");
        cx.cluster()
            .apply_yaml(&yaml.replace(&format!("name: {REPOSITORY}"), &format!("name: {name}")))
            .await?;
        release::ready_at(cx, namespace, name, 1).await?;
    }
    ensure!(kept_from.count("authorization: basic") == 0, "the credentials went to another host");
    ensure!(shown_to.count("authorization: basic") > 0, "the other host did not get the credentials");
    Ok(())
}

/// A source that does not answer is given up in time.
async fn patience(cx: &Context) -> anyhow::Result<()> {
    let namespace = &cx.namespace().await?;
    let silent = Source::start().await?;
    silent.put("/index.yaml", Answer::Stall(Vec::new().into()));
    let url = silent.url();
    let yaml = format!(
        "apiVersion: pintle.dev/v1alpha1
kind: ChartRepository
metadata: {{name: {REPOSITORY}, namespace: {namespace}}}
spec: {{url: \"{url}\", timeout: 2s}}
"
    );
    cx.cluster().apply_yaml(&yaml).await?;
    let kind = Kind::CHART_REPOSITORY;
    let failed = cx.objects().wait_condition(kind, namespace, REPOSITORY, "Ready", "False", WITHIN).await?;
    check(&failed, "Ready", "False", "ChartUnavailable")?;
    check(&failed, "Reconciling", "True", "ProgressingWithRetry")?;
    let said = condition(&failed, "Ready").map(|ready| text(ready, "/message")).unwrap_or_default();
    contains(&said, &["/index.yaml did not answer within 2 s"])
}

/// A new version is found at the interval; while the repository is suspended it is not asked, and what is known of it
/// stays at hand.
async fn rhythm(cx: &Context) -> anyhow::Result<()> {
    let namespace = &cx.namespace().await?;
    let source = Source::start().await?;
    let offer = |versions: &[&str]| -> anyhow::Result<()> {
        let mut listed = Vec::new();
        for version in versions {
            let archive = chart(version)?;
            source.put(&format!("/{version}.tgz"), ok(&archive));
            listed.push((*version, format!("{version}.tgz"), Digest::of(&archive)));
        }
        let listed: Vec<_> = listed.iter().map(|(v, url, digest)| (*v, url.as_str(), *digest)).collect();
        source.put("/index.yaml", ok(&index(&listed)));
        Ok(())
    };
    offer(&["1.0.0"])?;
    let url = source.url();
    let yaml = format!(
        "apiVersion: pintle.dev/v1alpha1
kind: ChartRepository
metadata: {{name: {REPOSITORY}, namespace: {namespace}}}
spec: {{url: \"{url}\", interval: 2s, suspend: false}}
"
    );
    cx.cluster().apply_yaml(&yaml).await?;
    cx.cluster().apply_yaml(&release::yaml(namespace, "web", "web", "1.x", "")).await?;
    release::ready_at(cx, namespace, "web", 1).await?;
    offer(&["1.1.0", "1.0.0"])?;
    runs(cx, namespace, "1.1.0").await?;

    let kind = Kind::CHART_REPOSITORY;
    let suspended = json!({"spec": {"suspend": true}});
    cx.objects().patch(kind, namespace, REPOSITORY, suspended).await?;
    // A release that is made after this shows that the suspension has been seen, and that the charts are at hand.
    cx.cluster().apply_yaml(&release::yaml(namespace, "other", "web", "1.0.0", "")).await?;
    release::ready_at(cx, namespace, "other", 1).await?;
    let asked = source.count("get /index.yaml");
    offer(&["1.2.0", "1.1.0", "1.0.0"])?;
    release::request(cx, namespace, "web", "still").await?;
    release::ready_at(cx, namespace, "web", 2).await?;
    ensure!(source.count("get /index.yaml") == asked, "a suspended repository was asked");
    cx.objects().patch(kind, namespace, REPOSITORY, json!({"spec": {"suspend": false}})).await?;
    runs(cx, namespace, "1.2.0").await
}

/// Waits until the release's object comes from that version.
async fn runs(cx: &Context, namespace: &str, version: &str) -> anyhow::Result<()> {
    let wanted = |object: Option<&Value>| object.is_some_and(|object| object["data"]["version"] == version);
    cx.objects().wait(Kind::CONFIG_MAP, namespace, "web", version, WITHIN, wanted).await?;
    Ok(())
}
