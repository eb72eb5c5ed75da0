//! A real registry, and charts that the real helm pushes to it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use pintle::repository::Digest;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::child::{Child, Program};
use crate::context::Context;
use crate::control_plane;

/// Who may use a registry with a lock.
pub const USER: &str = "charts";
/// Its password.
pub const PASSWORD: &str = "right";
/// The line of its htpasswd file, as sprig's `htpasswd` makes it.
const HTPASSWD: &str = "charts:$2a$10$VPKfOZPnR/L3xmdrz8KuUuNSW3p/Zw94dbuiHKJ.GeNoO0n79eK.2\n";
const READY_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A running registry; dropping it ends it.
pub struct Registry {
    /// Its host and port.
    pub host: String,
    locked: bool,
    client: reqwest::Client,
    _process: Child,
    _dir: TempDir,
}

impl Registry {
    /// Starts a registry without TLS on this machine; a locked one wants the password.
    pub async fn start(cx: &Context, locked: bool) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().context("failed to make a folder")?;
        let [port] = control_plane::free_ports()?;
        let host = format!("127.0.0.1:{port}");
        let mut config = format!(
            "version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {}}}}}
http: {{addr: \"{host}\"}}
",
            dir.path().join("data").display()
        );
        if locked {
            let passwords = dir.path().join("htpasswd");
            std::fs::write(&passwords, HTPASSWD).context("failed to write the passwords")?;
            config
                .push_str(&format!("auth: {{htpasswd: {{realm: charts, path: {}}}}}\n", passwords.display()));
        }
        let file = dir.path().join("config.yml");
        std::fs::write(&file, config).context("failed to write the registry's settings")?;
        let program = &cx.rig().control_plane.tools().registry;
        let program = Program::new("registry", program, dir.path().join("log")).env("HOME", dir.path());
        let mut process = program.arg("serve").arg(&file).start().await?;
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect(&host).await.is_err() {
            process.check()?;
            ensure!(Instant::now() < deadline, "the registry does not listen after {READY_WITHIN:?}");
            sleep(LOOK_EVERY).await;
        }
        if locked {
            let login = ["registry", "login", &host, "--plain-http", "-u", USER, "-p", PASSWORD];
            cx.cluster().helm(&login).await?;
        }
        // Without roots, which plain HTTP does not need.
        let client = reqwest::Client::builder().tls_certs_only([]).build().context("no client")?;
        Ok(Self { host, locked, client, _process: process, _dir: dir })
    }

    /// The address of its charts, as a ChartRepository names it.
    pub fn url(&self) -> String {
        format!("oci://{}/charts", self.host)
    }

    /// Puts a blob into the repository of a chart.
    pub async fn put_blob(&self, chart: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
        let place = format!("http://{}/v2/charts/{chart}/blobs/uploads/", self.host);
        let begun = self.client.post(&place).send().await.context("no upload")?;
        let to = begun.headers().get("location").context("the registry names no place")?;
        let to = format!("{}&digest={}", to.to_str().context("no address")?, Digest::of(&bytes));
        let put = self.client.put(&to).body(bytes).send().await.context("no upload")?;
        ensure!(put.status().is_success(), "the registry answered {} to a blob", put.status());
        Ok(())
    }

    /// Puts a manifest into the repository of a chart; its digest.
    pub async fn put_manifest(
        &self,
        chart: &str,
        tag: Option<&str>,
        manifest: &Value,
    ) -> anyhow::Result<Digest> {
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let reference = tag.map_or_else(|| digest.to_string(), str::to_owned);
        let place = format!("http://{}/v2/charts/{chart}/manifests/{reference}", self.host);
        let kind = manifest["mediaType"].as_str().context("the manifest has no media type")?;
        let put = self.client.put(&place).header("content-type", kind).body(bytes);
        let put = put.send().await.context("no answer")?;
        ensure!(put.status().is_success(), "the registry answered {} to a manifest", put.status());
        Ok(digest)
    }

    /// Has helm push an archive, with the provenance file beside it; the digest of the manifest.
    pub async fn push(&self, cx: &Context, archive: &Path) -> anyhow::Result<String> {
        let printed =
            cx.cluster().try_helm(&["push", &archive.to_string_lossy(), &self.url(), "--plain-http"]).await?;
        let text = format!("{}{}", printed.stdout, printed.stderr);
        ensure!(printed.success, "helm push: {text}");
        match text.lines().find_map(|line| line.strip_prefix("Digest: ")) {
            Some(digest) => Ok(digest.trim().to_owned()),
            None => bail!("helm push told no digest (locked: {}): {text}", self.locked),
        }
    }
}
