//! Charts made on the fly, and a repository that serves them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use pintle::repository::serve::ChartServer as Server;
use tempfile::TempDir;

/// A folder of charts.
pub struct ChartDir {
    dir: TempDir,
}

impl ChartDir {
    /// An empty folder.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { dir: tempfile::tempdir().context("failed to make a folder")? })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Adds a chart: its name, its version and its other files, each with its path in the chart.
    pub fn add(&self, name: &str, version: &str, files: &[(&str, &str)]) -> anyhow::Result<PathBuf> {
        let chart = self.path().join(format!("{name}-{version}"));
        let metadata =
            format!("apiVersion: v2\nname: {name}\nversion: {version}\nappVersion: \"{version}\"\n");
        for (path, text) in [("Chart.yaml", metadata.as_str())].iter().chain(files) {
            let path = chart.join(path);
            let folder = path.parent().context("a file of a chart has no folder")?;
            std::fs::create_dir_all(folder).context("failed to make a folder of a chart")?;
            std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))?;
        }
        Ok(chart)
    }

    /// Takes a chart out again.
    pub fn remove(&self, name: &str, version: &str) -> anyhow::Result<()> {
        std::fs::remove_dir_all(self.path().join(format!("{name}-{version}")))
            .context("failed to remove a chart")
    }

    /// Adds an archive that exists.
    pub fn add_archive(&self, archive: &Path) -> anyhow::Result<()> {
        let name = archive.file_name().context("an archive has no name")?;
        let copied = std::fs::copy(archive, self.path().join(name));
        copied.with_context(|| format!("failed to copy {}", archive.display()))?;
        Ok(())
    }

    /// Adds a chart folder that exists.
    pub fn add_folder(&self, folder: &Path) -> anyhow::Result<()> {
        let name = folder.file_name().context("a chart has no name")?;
        copy(folder, &self.path().join(name)).with_context(|| format!("failed to copy {}", folder.display()))
    }

    /// Serves what is in the folder.
    pub async fn serve(self) -> anyhow::Result<ChartServer> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::start(self.path(), address).await.context("failed to serve the charts")?;
        Ok(ChartServer { server, charts: self })
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A repository on this machine; dropping it stops it.
pub struct ChartServer {
    server: Server,
    charts: ChartDir,
}

impl ChartServer {
    /// Its address, as a `ChartRepository` names it.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// What it serves; a change shows at the next request.
    pub fn charts(&self) -> &ChartDir {
        &self.charts
    }
}
