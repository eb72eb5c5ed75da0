//! `pintle run`: the operator.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::cluster::{Connection, is_object_name};
use crate::controller::{self, Shares};
use crate::release::FIELD_MANAGER;
use crate::telemetry::{logs, panics};

/// Runs the operator until it is told to stop.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Folder for the cache of charts; a temporary one when absent
    #[arg(long, env = "PINTLE_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// ServiceAccount of releases that name none, in the namespace of their HelmRelease
    #[arg(long, env = "PINTLE_DEFAULT_SERVICE_ACCOUNT", value_name = "NAME", value_parser = service_account)]
    default_service_account: Option<String>,
    /// Releases that are worked on at the same time. Those that wait for their objects do not count
    #[arg(long, env = "PINTLE_CONCURRENCY", value_name = "NUMBER", default_value = "8")]
    concurrency: NonZeroUsize,
    /// Releases of one namespace that are worked on at the same time; three quarters of all when absent
    #[arg(long, env = "PINTLE_NAMESPACE_CONCURRENCY", value_name = "NUMBER")]
    namespace_concurrency: Option<NonZeroUsize>,
    /// Turns of a namespace for each turn of the others, when many wait to be worked on
    #[arg(long, env = "PINTLE_NAMESPACE_WEIGHTS", value_name = "NAMESPACE=NUMBER", value_delimiter = ',', value_parser = weight)]
    namespace_weight: Vec<(String, u32)>,
    /// Bytes that the index of a repository may have
    #[arg(long, env = "PINTLE_MAX_INDEX_BYTES", value_name = "BYTES", default_value_t = 50 << 20)]
    max_index_bytes: u64,
    /// Refuses sources of charts whose address is not public, redirects included
    #[arg(long, env = "PINTLE_DENY_PRIVATE_SOURCES")]
    deny_private_sources: bool,
    /// How this process names itself in the records of the revisions that it makes
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: Option<String>,
    /// Field manager under which the objects of releases are applied; with another one than helm's, the real helm meets
    /// conflicts when it goes on with a release
    #[arg(long, env = "PINTLE_FIELD_MANAGER", value_name = "NAME", default_value = FIELD_MANAGER, value_parser = field_manager)]
    field_manager: String,
    /// Whether only the holder of a Lease works, so that several operators can run
    #[arg(long, env = "PINTLE_LEADER_ELECT", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    leader_elect: bool,
    /// Namespace of that Lease
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", default_value = "default")]
    lease_namespace: String,
    /// Seconds after which the server ends a watch, which is then made again; one on which nothing comes for five
    /// seconds more is given up
    #[arg(long, env = "PINTLE_WATCH_SECONDS", value_name = "SECONDS", default_value_t = 200,
          value_parser = clap::value_parser!(u32).range(1..=290))]
    // Shorter than what proxies grant a silent connection: 240 s is a common limit.
    watch_seconds: u32,
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
        panics::begin();
        let config = kube::Config::infer().await.context("failed to find the cluster's configuration")?;
        let connection = Connection::new(config).context("failed to make a client for the cluster")?;
        // Kept until the operator ends: dropping it removes the folder.
        let temporary = tempfile::tempdir().context("failed to make a folder for the cache")?;
        let shares = self.shares();
        let settings = controller::Settings {
            cache_dir: self.cache_dir.unwrap_or_else(|| temporary.path().to_owned()),
            default_service_account: self.default_service_account,
            concurrency: self.concurrency,
            shares,
            index_bytes: self.max_index_bytes,
            deny_private_sources: self.deny_private_sources,
            identity: self.identity.unwrap_or_else(|| format!("pintle-{}", std::process::id())),
            field_manager: self.field_manager,
            lease_namespace: self.leader_elect.then_some(self.lease_namespace),
            watch_seconds: self.watch_seconds,
        };
        controller::run(connection, settings, stopped()).await.context("the operator failed")
    }

    /// How namespaces share the work. One of many releases leaves a worker to the others.
    fn shares(&self) -> Shares {
        let most = self.concurrency.get().saturating_mul(3) / 4;
        let per_lane = NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN);
        Shares {
            per_lane: self.namespace_concurrency.unwrap_or(per_lane),
            weights: self.namespace_weight.iter().cloned().collect(),
        }
    }
}

/// A namespace and its number of turns.
fn weight(text: &str) -> Result<(String, u32), String> {
    let (namespace, turns) = text.split_once('=').ok_or("as in team-a=3")?;
    match turns.parse() {
        Ok(turns @ 1..=1000) if is_object_name(namespace) => Ok((namespace.to_owned(), turns)),
        _ => Err("the name of a namespace, and a number from 1 to 1000".to_owned()),
    }
}

/// A name that the server takes for a field manager.
fn field_manager(name: &str) -> Result<String, String> {
    if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
        return Err("it has 1 to 128 printable characters".to_owned());
    }
    Ok(name.to_owned())
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
    //! Unit: flags of the operator.

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        run: RunArgs,
    }

    #[test]
    fn the_field_manager_is_helms_unless_another_one_is_named() {
        let parsed = |args: &[&str]| Flags::try_parse_from(args).map(|cli| cli.run.field_manager).ok();
        let long = "m".repeat(129);
        for (args, want) in [
            (vec!["run"], Some("helm")),
            (vec!["run", "--field-manager", "pintle"], Some("pintle")),
            (vec!["run", "--field-manager", ""], None),
            (vec!["run", "--field-manager", "a\nb"], None),
            (vec!["run", "--field-manager", &long], None),
        ] {
            assert_eq!(parsed(&args).as_deref(), want, "{args:?}");
        }
    }

    #[test]
    fn an_empty_default_service_account_is_refused() {
        for name in ["", " ", "system:masters"] {
            assert!(Flags::try_parse_from(["run", "--default-service-account", name]).is_err(), "{name:?}");
        }
        let flags = Flags::try_parse_from(["run", "--default-service-account", "deployer"]).unwrap();
        assert_eq!(flags.run.default_service_account.as_deref(), Some("deployer"));
    }

    #[test]
    fn a_namespace_leaves_a_worker_to_the_others() {
        let shares = |args: &[&str]| {
            let args = [&["run"], args].concat();
            Flags::try_parse_from(args).map(|flags| (flags.run.concurrency.get(), flags.run.shares())).ok()
        };
        for (args, want) in [
            (vec![], Some((8, 6))),
            (vec!["--concurrency", "1"], Some((1, 1))),
            (vec!["--concurrency", "2"], Some((2, 1))),
            (vec!["--concurrency", "2", "--namespace-concurrency", "2"], Some((2, 2))),
            (vec!["--concurrency", "0"], None),
            (vec!["--namespace-concurrency", "0"], None),
            (vec!["--namespace-weight", "a"], None),
            (vec!["--namespace-weight", "a=0"], None),
            (vec!["--namespace-weight", "A=1"], None),
        ] {
            let found = shares(&args).map(|(all, shares)| (all, shares.per_lane.get()));
            assert_eq!(found, want, "{args:?}");
        }
        let (_, shares) = shares(&["--namespace-weight", "a=2,b=3"]).unwrap();
        assert_eq!(shares.weights, [("a".to_owned(), 2), ("b".to_owned(), 3)].into());
    }
}
