//! `pintle push`: archives into registries.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::charts::{HomeArgs, LoginArgs};
use crate::repository::Digest;
use crate::repository::authoring::{Fetcher, Pushed};

/// How long pushing one archive may take: lines are slower upwards.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The arguments of `helm push`, by helm's names.
#[derive(Args, Clone, Debug)]
pub struct PushArgs {
    /// The archive; a provenance file beside it goes along
    #[arg(value_name = "CHART")]
    chart: PathBuf,
    /// The registry, and the path below which the chart gets a repository of its name
    #[arg(value_name = "oci://HOST/PATH")]
    remote: String,
    /// Talks to the registry without TLS
    #[arg(long)]
    plain_http: bool,
    #[command(flatten)]
    login: LoginArgs,
    #[command(flatten)]
    home: HomeArgs,
}

impl PushArgs {
    /// Pushes.
    ///
    /// # Errors
    /// The file is no chart, or the registry does not take it.
    pub async fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut login = self.login.login();
        login.plain_http = self.plain_http;
        let fetcher = Fetcher::new(self.home.home()).within(TIMEOUT);
        let Pushed { reference, digest } = fetcher.push(&self.chart, &self.remote, &login).await?;
        Ok(write_transfer(out, "Pushed", &reference, &digest)?)
    }
}

/// Tells what went to a registry, or came from one, in helm's words.
pub fn write_transfer(out: &mut dyn Write, done: &str, reference: &str, digest: &Digest) -> io::Result<()> {
    writeln!(out, "{done}: {reference}\nDigest: {digest}")?;
    if reference.contains('_') {
        writeln!(
            out,
            "{reference} contains an underscore.\n\n\
             OCI artifact references (e.g. tags) do not support the plus sign (+). To support\n\
             storing semantic versions, Helm adopts the convention of changing plus (+) to\n\
             an underscore (_) in chart version tags when pushing to a registry and back to\n\
             a plus (+) when pulling from a registry."
        )?;
    }
    Ok(())
}
