//! `pintle pull`: charts from repositories and registries.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::charts::ChartArgs;
use super::output;
use super::push::write_transfer;
use crate::repository::authoring::{save, unpack};

/// The arguments of `helm pull`, by helm's names.
#[derive(Args, Clone, Debug)]
pub struct PullArgs {
    /// REPOSITORY/CHART or an address; with --repo the name of a chart
    #[arg(value_name = "CHART", required = true)]
    charts: Vec<String>,
    /// Where the archives go
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    destination: PathBuf,
    /// Unpacks the charts
    #[arg(long)]
    untar: bool,
    /// Where they are unpacked, below --destination
    #[arg(long, value_name = "DIR", default_value = ".")]
    untardir: PathBuf,
    /// Fetches the provenance files, too, without verifying
    #[arg(long)]
    prov: bool,
    #[command(flatten)]
    options: ChartArgs,
}

impl PullArgs {
    /// Pulls.
    ///
    /// # Errors
    /// A chart is not to be had.
    pub async fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        for reference in &self.charts {
            let fetched = self.options.fetch(reference, self.prov).await?;
            if let Some(pulled) = &fetched.pulled {
                write_transfer(out, "Pulled", &pulled.reference, &pulled.digest)?;
            }
            if self.options.verify {
                write!(out, "{}", self.options.check(&fetched)?)?;
            }
            if self.untar {
                unpack(&fetched.bytes, &self.destination.join(&self.untardir))?;
                continue;
            }
            save(&self.destination, &fetched.file_name, &fetched.bytes)?;
            match &fetched.provenance {
                Some(provenance) => {
                    save(&self.destination, &format!("{}.prov", fetched.file_name), provenance)?;
                }
                None if self.prov => output::note(&format!("WARNING: {reference} has no provenance file")),
                None => {}
            }
        }
        Ok(())
    }
}
