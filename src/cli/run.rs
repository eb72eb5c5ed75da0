//! `pintle run`: the operator.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::cluster::{Connection, is_object_name};
use crate::controller;
use crate::telemetry::logs;

/// Runs the operator until it is told to stop.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Folder for the cache of charts; a temporary one when absent
    #[arg(long, env = "PINTLE_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// ServiceAccount of releases that name none, in the namespace of their HelmRelease
    #[arg(long, env = "PINTLE_DEFAULT_SERVICE_ACCOUNT", value_name = "NAME", value_parser = service_account)]
    default_service_account: Option<String>,
    /// Releases that are worked on at the same time
    #[arg(long, env = "PINTLE_CONCURRENCY", default_value_t = 8)]
    concurrency: usize,
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
            identity: self.identity.unwrap_or_else(|| format!("pintle-{}", std::process::id())),
            lease_namespace: self.leader_elect.then_some(self.lease_namespace),
        };
        controller::run(connection, settings, stopped()).await.context("the operator failed")
    }
}

/// The name of a ServiceAccount. An empty one, as of a variable that was not set, would run releases as the operator.
fn service_account(name: &str) -> Result<String, String> {
    if is_object_name(name) {
        return Ok(name.to_owned());
    }
    Err("not the name of a ServiceAccount; leave the flag out to run releases with the operator's rights"
        .to_owned())
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

#[cfg(test)]
mod tests {
    //! Unit: flags that must not be taken.

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        run: RunArgs,
    }

    #[test]
    fn an_empty_default_service_account_is_refused() {
        for name in ["", " ", "system:masters"] {
            assert!(Flags::try_parse_from(["run", "--default-service-account", name]).is_err(), "{name:?}");
        }
        let flags = Flags::try_parse_from(["run", "--default-service-account", "deployer"]).unwrap();
        assert_eq!(flags.run.default_service_account.as_deref(), Some("deployer"));
    }
}
