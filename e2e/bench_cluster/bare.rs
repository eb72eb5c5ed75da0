//! The bare client: the objects of the same releases by server-side apply, and nothing else.
//!
//! It is the operator's own client, so that both pay the same for a request.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::config::{KubeConfigOptions, Kubeconfig};
use pintle::api::DeletionPropagation;
use pintle::cluster::{ApplyOptions, Connection, Identity, Kind, ObjectRef, TenantClient};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::operator::BINARY;

/// Requests in flight.
pub const CONCURRENCY: usize = 16;
/// Stands for the name of a release while the chart is rendered.
const PLACEHOLDER: &str = "release-name-here";
/// Between two looks at pods on their way.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// An object of a release.
struct Template {
    kind: Kind,
    text: String,
}

/// The client and what it applies.
pub struct Bare {
    client: TenantClient,
    templates: Vec<Template>,
}

impl Bare {
    /// Connects as the user of a kubeconfig, and renders the chart once.
    pub async fn new(kubeconfig: &Path, chart: &Path) -> anyhow::Result<Self> {
        let config = Kubeconfig::read_from(kubeconfig).context("failed to read the kubeconfig")?;
        let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default())
            .await
            .context("failed to use the kubeconfig")?;
        let connection = Connection::new(config).context("failed to make a client")?;
        let client = connection.tenant(Identity::operator());
        Ok(Self { client, templates: render(chart).await? })
    }

    /// Applies the objects of releases, given by namespace and name.
    pub async fn apply(&self, releases: &[(String, String)]) -> anyhow::Result<()> {
        self.each(releases, |template, namespace, name| async move {
            let (object, content) = template.of(&namespace, &name)?;
            let options = ApplyOptions::default();
            let applied = self.client.apply(&template.kind, &object, &content, "bare", options).await;
            applied.map(drop).map_err(|error| anyhow!("{object}: {error}"))
        })
        .await
    }

    /// Deletes them.
    pub async fn delete(&self, releases: &[(String, String)]) -> anyhow::Result<()> {
        self.each(releases, |template, namespace, name| async move {
            let (object, _) = template.of(&namespace, &name)?;
            let how = DeletionPropagation::Background;
            let deleted = self.client.delete(&template.kind, &object, None, how).await;
            deleted.map(drop).map_err(|error| anyhow!("{object}: {error}"))
        })
        .await
    }

    /// Waits until the Deployments in these namespaces are available.
    pub async fn available(&self, namespaces: &[String], within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        let deployments = self.templates.iter().find(|one| one.kind.kind == "Deployment");
        let kind = &deployments.context("the chart has no Deployment")?.kind;
        for namespace in namespaces {
            loop {
                let all = self.client.list(kind, namespace, "").await.map_err(|error| anyhow!("{error}"))?;
                let waiting = all.iter().filter(|one| !is_available(one)).count();
                if waiting == 0 {
                    break;
                }
                ensure!(Instant::now() < deadline, "{waiting} Deployments of {namespace} have no pods");
                sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// Waits until these namespaces have no pods any more.
    pub async fn no_pods(&self, namespaces: &[String], within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        let kind = Kind::core("Pod", "pods", true);
        for namespace in namespaces {
            loop {
                let all = self.client.list_metadata(&kind, namespace, "").await;
                let left = all.map_err(|error| anyhow!("{error}"))?.len();
                if left == 0 {
                    break;
                }
                ensure!(Instant::now() < deadline, "{left} pods of {namespace} do not go");
                sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    async fn each<'a, F>(
        &'a self,
        releases: &'a [(String, String)],
        one: impl Fn(&'a Template, String, String) -> F,
    ) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<()>> + 'a,
    {
        let mut requests = Vec::new();
        for (namespace, name) in releases {
            for template in &self.templates {
                requests.push(one(template, namespace.clone(), name.clone()));
            }
        }
        stream::iter(requests).buffer_unordered(CONCURRENCY).try_collect().await
    }
}

impl Template {
    fn of(&self, namespace: &str, name: &str) -> anyhow::Result<(ObjectRef, Value)> {
        let mut content: Value = serde_json::from_str(&self.text.replace(PLACEHOLDER, name))?;
        content["metadata"]["namespace"] = namespace.into();
        let own = content["metadata"]["name"].as_str().context("an object has no name")?.to_owned();
        let Kind { group, version, kind, .. } = self.kind.clone();
        Ok((ObjectRef { group, version, kind, namespace: namespace.to_owned(), name: own }, content))
    }
}

fn is_available(deployment: &Value) -> bool {
    let conditions = deployment["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| one["type"] == "Available" && one["status"] == "True")
}

/// The objects of the chart, with the marks that the operator gives them.
async fn render(chart: &Path) -> anyhow::Result<Vec<Template>> {
    let output = Command::new(BINARY).arg("template").arg(PLACEHOLDER).arg(chart).output().await;
    let output = output.context("failed to run pintle")?;
    ensure!(output.status.success(), "pintle template: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).context("the manifest is no text")?;
    let mut templates = Vec::new();
    for document in text.split("\n---\n").map(|part| part.trim_start_matches("---\n")) {
        let mut object: Value = serde_yaml::from_str(document).context("the manifest is no YAML")?;
        if !object.is_object() {
            continue;
        }
        object["metadata"]["annotations"]["meta.helm.sh/release-name"] = PLACEHOLDER.into();
        object["metadata"]["annotations"]["meta.helm.sh/release-namespace"] = "bench".into();
        templates.push(Template { kind: kind(&object)?, text: object.to_string() });
    }
    ensure!(!templates.is_empty(), "the chart has no objects");
    Ok(templates)
}

fn kind(object: &Value) -> anyhow::Result<Kind> {
    let kind = object["kind"].as_str().context("an object has no kind")?;
    let api_version = object["apiVersion"].as_str().context("an object has no apiVersion")?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let plural = format!("{}s", kind.to_lowercase());
    Ok(Kind { group: group.into(), version: version.into(), kind: kind.into(), plural, namespaced: true })
}
