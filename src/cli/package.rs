//! `pintle package`: charts in folders become archives.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use pintle_helm::chart::{Limits, load_path};
use pintle_sprig::semver::Version;

use super::charts::{HomeArgs, LoginArgs};
use crate::repository::authoring::{Dependencies, Fetcher, save};
use crate::repository::package::{Package, package};

/// The arguments of `helm package`, by helm's names.
#[derive(Args, Clone, Debug)]
pub struct PackageArgs {
    /// The folders of the charts
    #[arg(value_name = "CHART_PATH", required = true)]
    charts: Vec<PathBuf>,
    /// The version that the archive has
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// The version of what is inside that the archive has
    #[arg(long, value_name = "VERSION")]
    app_version: Option<String>,
    /// Where the archives go
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    destination: PathBuf,
    /// Gets the dependencies first
    #[arg(short = 'u', long)]
    dependency_update: bool,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    home: HomeArgs,
}

impl PackageArgs {
    /// Packages.
    ///
    /// # Errors
    /// A folder holds no chart that can be packaged.
    pub async fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let fetcher = Fetcher::new(self.home.home());
        for path in &self.charts {
            let is_dir = std::fs::metadata(path).with_context(|| path.display().to_string())?.is_dir();
            if !is_dir {
                bail!("{} is not a directory", path.display());
            }
            if self.dependency_update {
                let dependencies = Dependencies {
                    folder: path.clone(),
                    fetcher: &fetcher,
                    login: self.login.login(),
                    skip_refresh: false,
                    keyring: None,
                };
                dependencies.update(&mut std::io::sink()).await?;
            }
            let mut chart = load_path(path, &Limits::default())?;
            if let Some(version) = self.version.as_deref().filter(|version| !version.is_empty()) {
                Version::parse(version)?;
                version.clone_into(&mut chart.metadata.version);
            }
            if let Some(version) = self.app_version.as_deref().filter(|version| !version.is_empty()) {
                version.clone_into(&mut chart.metadata.app_version);
            }
            chart.check_dependencies()?;
            let package = Package { bytes: package(&chart)?, metadata: chart.metadata };
            // As helm: the path is told whole when nobody named one.
            let folder = match self.destination.to_str() {
                Some(".") => std::env::current_dir().context("the current folder is gone")?,
                _ => self.destination.clone(),
            };
            let saved = save(&folder, &package.file_name(), &package.bytes)?;
            writeln!(out, "Successfully packaged chart and saved it to: {}", saved.display())?;
        }
        Ok(())
    }
}
