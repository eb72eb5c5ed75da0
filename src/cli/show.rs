//! `pintle show`: what a chart says of itself.

use std::io::Write;

use clap::{Args, Subcommand};
use pintle_helm::chart::Chart;

use super::charts::ChartArgs;

/// The arguments of `helm show`, by helm's names.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// All of it
    All(Shown),
    /// Chart.yaml
    Chart(Shown),
    /// values.yaml
    Values(Shown),
    /// The README
    Readme(Shown),
    /// The custom resource definitions
    Crds(Shown),
}

/// Which chart.
#[derive(Args, Clone, Debug)]
struct Shown {
    /// A folder, an archive, REPOSITORY/CHART, or an address
    #[arg(value_name = "CHART")]
    chart: String,
    #[command(flatten)]
    options: ChartArgs,
}

impl ShowArgs {
    /// Shows it.
    ///
    /// # Errors
    /// The chart is not to be had.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/action/show.go:Run`.
    pub async fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let (shown, [chart, values, readme, crds]) = match &self.what {
            What::All(shown) => (shown, [true; 4]),
            What::Chart(shown) => (shown, [true, false, false, false]),
            What::Values(shown) => (shown, [false, true, false, false]),
            What::Readme(shown) => (shown, [false, false, true, false]),
            What::Crds(shown) => (shown, [false, false, false, true]),
        };
        let all = matches!(self.what, What::All(_));
        let loaded = shown.options.load(&shown.chart).await?;
        if chart {
            writeln!(out, "{}", pintle_goyaml::to_string(&loaded.metadata)?)?;
        }
        if values && let Some(text) = &loaded.values_text {
            part(out, all, text)?;
        }
        if readme && let Some(text) = find_readme(&loaded) {
            part(out, all, text)?;
        }
        if crds {
            for crd in loaded.crds() {
                part(out, !crd.file.data.starts_with(b"---"), &crd.file.data)?;
            }
        }
        Ok(())
    }
}

fn part(out: &mut dyn Write, separated: bool, text: &[u8]) -> std::io::Result<()> {
    if separated {
        writeln!(out, "---")?;
    }
    out.write_all(text)?;
    writeln!(out)
}

fn find_readme(chart: &Chart) -> Option<&[u8]> {
    let is_readme =
        |name: &str| ["readme.md", "readme.txt", "readme"].iter().any(|one| name.eq_ignore_ascii_case(one));
    chart.files.iter().find(|file| is_readme(&file.name)).map(|file| &*file.data)
}
