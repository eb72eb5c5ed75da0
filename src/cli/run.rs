//! `pintle run`: the operator.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::cluster::Connection;
use crate::controller;
use crate::telemetry::logs;

/// Runs the operator until it is told to stop.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Folder for the cache of charts; a temporary one when absent
    #[arg(long, env = "PINTLE_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// ServiceAccount of releases that name none, in the namespace of their HelmRelease
    #[arg(long, env = "PINTLE_DEFAULT_SERVICE_ACCOUNT", value_name = "NAME")]
    default_service_account: Option<String>,
    /// Releases that are worked on at the same time
    #[arg(long, env = "PINTLE_CONCURRENCY", default_value_t = 8)]
    concurrency: usize,
    /// Bytes that the index of a repository may have
    #[arg(long, env = "PINTLE_MAX_INDEX_BYTES", value_name = "BYTES", default_value_t = 50 << 20)]
    max_index_bytes: u64,
    /// Refuses sources of charts whose address is not public, redirects included
    #[arg(long, env = "PINTLE_DENY_PRIVATE_SOURCES")]
    deny_private_sources: bool,
    /// How this process names itself in the records of the revisions that it makes
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: Option<String>,
    /// Whether only the holder of a Lease works, so that several operators can run
    #[arg(long, env = "PINTLE_LEADER_ELECT", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    leader_elect: bool,
    /// Namespace of that Lease
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", default_value = "default")]
    lease_namespace: String,
    /// Form of the log lines
    #[arg(long, value_enum, default_value_t = logs::Format::Text)]
    log_format: logs::Format,
    /// What is logged, as a list of directives
    #[arg(long, default_value = "info")]
    log_filter: String,
}

impl RunArgs {
    /// Runs the operator.
    ///
    /// # Errors
    /// When the cluster's configuration cannot be used or the cache cannot be made.
    pub async fn run(self) -> anyhow::Result<()> {
        logs::begin(self.log_format, &self.log_filter);
        let config = kube::Config::infer().await.context("failed to find the cluster's configuration")?;
        let connection = Connection::new(config).context("failed to make a client for the cluster")?;
        // Kept until the operator ends: dropping it removes the folder.
        let temporary = tempfile::tempdir().context("failed to make a folder for the cache")?;
        let settings = controller::Settings {
            cache_dir: self.cache_dir.unwrap_or_else(|| temporary.path().to_owned()),
            default_service_account: self.default_service_account,
            concurrency: self.concurrency.max(1),
            index_bytes: self.max_index_bytes,
            deny_private_sources: self.deny_private_sources,
            identity: self.identity.unwrap_or_else(|| format!("pintle-{}", std::process::id())),
            lease_namespace: self.leader_elect.then_some(self.lease_namespace),
        };
        controller::run(connection, settings, stopped()).await.context("the operator failed")
    }
}

/// Resolves when the process is asked to stop.
async fn stopped() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(_) => return std::future::pending().await,
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
