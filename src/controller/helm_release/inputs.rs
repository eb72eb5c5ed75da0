//! resolve and dereference: what a release is made of.

use std::sync::Arc;
use std::time::Duration;

use pintle_helm::values::Values;
use tracing::warn;

use super::Work;
use crate::api::Reason;
use crate::cluster::masking::Redactions;
use crate::cluster::{Retry, TenantClient, chain};
use crate::controller::dereference;
use crate::controller::store::Key;
use crate::controller::verdict::{Failure, Verdict};
use crate::release::HealthChecks;
use crate::repository::ResolvedChart;

/// A repository that was not asked yet wakes its releases; this is for the case that it cannot.
const UNTIL_FETCHED: Duration = Duration::from_secs(60);

/// Chart and user values.
#[derive(Clone)]
pub(super) struct Inputs {
    pub(super) chart: ResolvedChart,
    pub(super) values: Values,
    /// The objects that the values come from, each with its version.
    pub(super) sources: Vec<String>,
}

impl Work<'_> {
    /// resolve and dereference: what the release is made of.
    pub(super) async fn inputs(&mut self, client: &TenantClient) -> Result<Inputs, Verdict> {
        let chart = self.resolve().await?;
        self.verified = Some(chart.verified.clone());
        let read = dereference::dereference(client, &self.key.namespace, &self.object.spec).await;
        let dereference::Dereferenced { values, redactions, sources } = match read {
            Ok(read) => read,
            Err(error) => {
                let failure = Failure::new(error.reason(), error.retry(), chain(&error));
                return Err(Verdict::Failed(self.explain_failure(failure).await));
            }
        };
        self.redactions = redactions;
        Ok(Inputs { chart, values, sources })
    }

    /// Parses what the spec says about which objects are ready, once for each spec.
    pub(super) async fn learn_health(&mut self) -> Result<(), Failure> {
        let exprs = &self.object.spec.health_check_exprs;
        if exprs.is_empty() {
            return Ok(());
        }
        let uid = self.object.metadata.uid.as_ref();
        let known = self.operator.remember(self.key, uid, |memory| memory.health.clone());
        self.health = match known.filter(|known| known.is_of(exprs)) {
            Some(known) => known,
            None => {
                let parsed = Arc::new(HealthChecks::new(exprs).await);
                self.operator.remember(self.key, uid, |memory| memory.health = Some(Arc::clone(&parsed)));
                parsed
            }
        };
        match self.health.problem() {
            Some(problem) => Err(Failure::new(Reason::InvalidSpec, Retry::OnChange, problem)),
            None => Ok(()),
        }
    }

    /// Reads the Secrets of `valuesFrom` for what must not be told, where the values themselves are not needed.
    pub(super) async fn learn_secrets(&mut self, client: &TenantClient) {
        let read = dereference::secrets(client, &self.key.namespace, &self.object.spec).await;
        self.redactions = read.unwrap_or_else(|_| Redactions::unknown());
    }

    pub(super) async fn resolve(&self) -> Result<ResolvedChart, Verdict> {
        let spec = &self.object.spec;
        let mut repository = None;
        if let Some(reference) = &spec.chart.repository {
            let key = Key::new(&self.key.namespace, &reference.name);
            let Some(found) = self.operator.chart_repositories.get(&key) else {
                let message = format!("ChartRepository {key} does not exist; create it, or name another one");
                return Err(Verdict::Failed(Failure::new(Reason::ChartUnavailable, Retry::Later, message)));
            };
            // After a start the repositories are asked first; the answer wakes this release.
            if !self.operator.repositories.is_open(&found) && !self.operator.fetches.is_known(&key) {
                return Err(Verdict::Again(UNTIL_FETCHED));
            }
            repository = Some(found);
        }
        let max_age = if self.force_at().is_some() { Duration::ZERO } else { spec.interval.0 };
        let resolved = self.operator.repositories.resolve(&spec.chart, repository.as_deref(), max_age).await;
        let resolved = resolved.map_err(|error| {
            let failure = Failure::new(error.reason(), error.retry(), chain(&error));
            Verdict::Failed(failure.no_sooner_than(error.retry_after()))
        })?;
        if let Some(error) = &resolved.stale {
            warn!(release = %self.key, url = resolved.url, error = chain(error), "the last good chart is used");
        }
        Ok(resolved)
    }
}
