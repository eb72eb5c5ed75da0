//! `pintle serve`: a folder of charts as a chart repository.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::repository::serve::ChartServer;

/// Serves a folder of charts until it is told to stop.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Folder with archives (*.tgz) and chart folders; changes show at the next request
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Where to listen
    #[arg(long, env = "PINTLE_SERVE_ADDRESS", value_name = "IP:PORT", default_value = "127.0.0.1:8879")]
    address: SocketAddr,
    /// Address that the index puts before the names of archives, when clients see another one
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

impl ServeArgs {
    /// Serves.
    ///
    /// # Errors
    /// When the folder cannot be read, or the address is taken.
    pub async fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .context("failed to listen for signals")?;
        let server = ChartServer::start_with_url(&self.dir, self.address, self.url).await?;
        writeln!(out, "serving {} charts of {} at {}", server.charts(), self.dir.display(), server.url())?;
        out.flush()?;
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        server.shutdown().await;
        Ok(())
    }
}
