//! `pintle dependency`: the charts that a chart depends on.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::charts::{HomeArgs, LoginArgs, keyring};
use super::table::write_table;
use crate::repository::authoring::{Dependencies, Fetcher};

/// The arguments of `helm dependency`, by helm's names.
#[derive(Args, Clone, Debug)]
pub struct DependencyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// List the dependencies, and which of them are there
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Get the versions that Chart.lock says into charts/
    Build(GetArgs),
    /// Get the newest versions that Chart.yaml admits into charts/, and write Chart.lock
    #[command(visible_alias = "up")]
    Update(GetArgs),
}

#[derive(Args, Clone, Debug)]
struct ListArgs {
    /// The folder of the chart
    #[arg(default_value = ".")]
    chart: PathBuf,
    /// How wide a column may be
    #[arg(long, value_name = "CHARACTERS", default_value_t = 80)]
    max_col_width: usize,
}

#[derive(Args, Clone, Debug)]
struct GetArgs {
    /// The folder of the chart
    #[arg(default_value = ".")]
    chart: PathBuf,
    /// Takes the indexes of repositories as they were last fetched
    #[arg(long)]
    skip_refresh: bool,
    /// Verifies the archives by their provenance files
    #[arg(long)]
    verify: bool,
    /// The keys that may have signed
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Talks to registries without TLS
    #[arg(long)]
    plain_http: bool,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    home: HomeArgs,
}

impl DependencyArgs {
    /// Does what was asked for.
    ///
    /// # Errors
    /// A dependency is not to be had.
    pub async fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.command {
            Command::List(args) => args.run(out),
            Command::Build(args) => args.get(out, false).await,
            Command::Update(args) => args.get(out, true).await,
        }
    }
}

impl ListArgs {
    fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let (listings, warnings) = Dependencies::list(&self.chart)?;
        if listings.is_empty() {
            writeln!(out, "WARNING: no dependencies at {}", self.chart.join("charts").display())?;
            return Ok(());
        }
        let mut rows = vec![vec!["NAME", "VERSION", "REPOSITORY", "STATUS"]];
        rows.extend(listings.iter().map(|listing| listing.row.iter().map(String::as_str).collect()));
        write_table(out, &rows, self.max_col_width)?;
        writeln!(out)?;
        for warning in warnings {
            writeln!(out, "{warning}")?;
        }
        Ok(())
    }
}

impl GetArgs {
    async fn get(self, out: &mut dyn Write, update: bool) -> anyhow::Result<()> {
        let fetcher = Fetcher::new(self.home.home());
        let mut login = self.login.login();
        login.plain_http = self.plain_http;
        let keyring = self.verify.then(|| keyring(self.keyring.as_deref()));
        let dependencies = Dependencies {
            folder: self.chart,
            fetcher: &fetcher,
            login,
            skip_refresh: self.skip_refresh,
            keyring,
        };
        if update {
            dependencies.update(out).await?
        } else {
            dependencies.build(out).await?
        }
        Ok(())
    }
}
