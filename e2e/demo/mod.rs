//! The demo: what Pintle is for, played on a cluster of its own, as the commands that a user would type.
//!
//! Each line after `$` is run by a shell as it stands, with the real kubectl and helm, and what it prints is shown.
//! A command that fails, or an output that is not what the story says, ends the demo with an error.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use crate::chart_server::{ChartDir, ChartServer};
use crate::cluster::contains;
use crate::context::Rig;
use crate::output;

/// Plays the demo; with `keep` it does not delete anything and does not come back.
pub async fn run(keep: bool) -> anyhow::Result<()> {
    let started = Instant::now();
    output::line(
        "Starting a control plane of this machine (etcd, API server, controllers, scheduler, kwok) ...",
    );
    let rig = Rig::start(true).await?;
    let server = charts()?.serve().await?;
    output::line(format!(
        "Ready after {:.1} s: Kubernetes, the CRDs, the operator, and a chart repository at {}",
        started.elapsed().as_secs_f64(),
        server.url()
    ));
    let scene = Scene::new(&rig)?;
    let played = tokio::select! {
        played = scene.play(&server, keep) => played,
        error = rig.died() => Err(error),
    };
    if let Err(error) = played {
        output::line("The operator's last words:");
        output::indented(&rig.operator()?.log(&scene.namespace, 30).await);
        rig.stop().await?;
        return Err(error);
    }
    if keep {
        output::line("");
        return crate::keep(&rig.control_plane).await;
    }
    rig.stop().await?;
    output::line(format!("\nCleaned up after {:.0} s.", started.elapsed().as_secs_f64()));
    Ok(())
}

fn charts() -> anyhow::Result<ChartDir> {
    let charts = ChartDir::new()?;
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/demo/charts");
    for entry in std::fs::read_dir(&own).context("failed to read the demo's charts")? {
        charts.add_folder(&entry.context("failed to read the demo's charts")?.path())?;
    }
    Ok(charts)
}

/// Where the commands are typed.
struct Scene<'a> {
    rig: &'a Rig,
    /// The folder that they are typed in.
    folder: tempfile::TempDir,
    namespace: String,
}

impl<'a> Scene<'a> {
    fn new(rig: &'a Rig) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a folder")?;
        // On a cluster of others two demos must not meet.
        let namespace = if rig.control_plane.is_existing() {
            format!("demo-{:08x}", rand::random::<u32>())
        } else {
            "demo".to_owned()
        };
        Ok(Self { rig, folder, namespace })
    }

    async fn play(&self, server: &ChartServer, keep: bool) -> anyhow::Result<()> {
        self.create(server).await?;
        self.edit().await?;
        self.break_it().await?;
        self.roll_back().await?;
        self.look_back().await?;
        if keep { Ok(()) } else { self.delete().await }
    }

    async fn create(&self, server: &ChartServer) -> anyhow::Result<()> {
        let namespace = &self.namespace;
        says("A release is an object. So is the repository that its chart comes from.");
        let yaml = format!(
            "apiVersion: pintle.dev/v1alpha1
kind: ChartRepository
metadata: {{name: charts}}
spec: {{url: \"{}\"}}
---
apiVersion: pintle.dev/v1alpha1
kind: HelmRelease
metadata: {{name: web}}
spec:
  chart: {{repository: {{name: charts}}, name: web, version: 1.x}}
  values: {{replicas: 2, greeting: good morning}}
",
            server.url()
        );
        std::fs::write(self.folder.path().join("web.yaml"), yaml).context("failed to write web.yaml")?;
        self.types("cat web.yaml").await?;
        self.types(&format!("kubectl create namespace {namespace}")).await?;
        self.types(&format!("kubectl apply -n {namespace} -f web.yaml")).await?;
        self.types(&format!("kubectl wait hr/web -n {namespace} --for=condition=Ready --timeout=60s"))
            .await?;
        self.types(&format!("kubectl get deployment,service,configmap -n {namespace}")).await?;
        Ok(())
    }

    async fn edit(&self) -> anyhow::Result<()> {
        let namespace = &self.namespace;
        says("Editing the values makes the next revision; only what differs is touched.");
        self.merges(r#"{"spec":{"values":{"replicas":3,"greeting":"good evening"}}}"#).await?;
        self.types(&format!("kubectl wait hr/web -n {namespace} --for=condition=Ready --timeout=60s"))
            .await?;
        let changes = "'{.status.history[0].changes}{\"\\n\"}'";
        let changes = self.types(&format!("kubectl get hr web -n {namespace} -o jsonpath={changes}")).await?;
        contains(&changes, &[r#""updated":2"#])?;
        let events = self.types(&format!("kubectl events -n {namespace} --for hr/web")).await?;
        contains(&events, &["spec.replicas 2 -> 3"])?;
        self.types(&format!("kubectl get deployment web -n {namespace}")).await?;
        Ok(())
    }

    async fn break_it(&self) -> anyhow::Result<()> {
        let namespace = &self.namespace;
        says(
            "An upgrade that cannot work is refused before the first write: more memory requested than allowed.",
        );
        let broken = r#"{"requests":{"memory":"1Gi"},"limits":{"memory":"512Mi"}}"#;
        self.merges(&format!(r#"{{"spec":{{"values":{{"resources":{broken}}}}}}}"#)).await?;
        self.types(&format!("kubectl wait hr/web -n {namespace} --for=condition=Ready=false --timeout=60s"))
            .await?;
        let message = r#"'{.status.conditions[?(@.type=="Ready")].message}{"\n"}'"#;
        let message = self.types(&format!("kubectl get hr web -n {namespace} -o jsonpath={message}")).await?;
        contains(&message, &["Deployment", "web", "memory"])?;
        says("What ran before runs on.");
        let running = self.types(&format!("kubectl get deployment web -n {namespace}")).await?;
        contains(&running, &["3/3"])
    }

    async fn roll_back(&self) -> anyhow::Result<()> {
        let namespace = &self.namespace;
        says("Going back is an edit too. The release is held there until the field is taken away.");
        self.merges(r#"{"spec":{"rollbackTo":1}}"#).await?;
        self.types(&format!("kubectl wait hr/web -n {namespace} --for=condition=Ready --timeout=60s"))
            .await?;
        let greeting = "'{.data.greeting}{\"\\n\"}'";
        let greeting =
            self.types(&format!("kubectl get configmap web -n {namespace} -o jsonpath={greeting}")).await?;
        contains(&greeting, &["good morning"])
    }

    async fn look_back(&self) -> anyhow::Result<()> {
        let namespace = &self.namespace;
        says("The history is in the status, and in the cluster where helm keeps it: the real helm reads it.");
        self.types(&format!("kubectl get hr -n {namespace}")).await?;
        let line =
            "{.revision}{\"\\t\"}{.action}{\"\\t\"}{.status}{\"\\t\"}{.chart}-{.chartVersion}{\"\\n\"}";
        let history = format!("'{{range .status.history[*]}}{line}{{end}}'");
        self.types(&format!("kubectl get hr web -n {namespace} -o jsonpath={history}")).await?;
        contains(&self.types(&format!("helm list -n {namespace}")).await?, &["web-1.2.0", "deployed"])?;
        let history = self.types(&format!("helm history web -n {namespace}")).await?;
        contains(&history, &["superseded", "deployed", "Rollback to 1"])
    }

    async fn delete(&self) -> anyhow::Result<()> {
        let namespace = &self.namespace;
        says("Deleting the object uninstalls the release.");
        self.types(&format!("kubectl delete hr web -n {namespace} --timeout=60s")).await?;
        let left = self.types(&format!("kubectl get deployment,service,secret,hr -n {namespace}")).await?;
        ensure!(left.trim().is_empty(), "something is left: {left}");
        self.types(&format!("kubectl delete namespace {namespace} --timeout=60s")).await?;
        Ok(())
    }

    async fn merges(&self, patch: &str) -> anyhow::Result<()> {
        let namespace = &self.namespace;
        self.types(&format!("kubectl patch hr web -n {namespace} --type=merge -p '{patch}'")).await?;
        Ok(())
    }

    /// Shows a command, runs it, shows what it prints; that.
    async fn types(&self, line: &str) -> anyhow::Result<String> {
        output::line(format!("$ {line}"));
        let printed = self.rig.cluster.shell(line, self.folder.path()).await?;
        output::indented(&printed.stdout);
        output::indented(&printed.stderr);
        ensure!(printed.success, "the command failed: {line}");
        Ok(printed.stdout)
    }
}

fn says(text: &str) {
    output::line(format!("\n# {text}"));
}
