//! Reconciles a ChartRepository: its index is fetched, and what was found is published.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::Instant;
use tracing::{info, warn};

use super::publish::{CHART_REPOSITORY, reference};
use super::store::{Key, Seen};
use super::{Operator, Requeue};
use crate::api::condition::{self, READY, RECONCILING, STALLED, Status};
use crate::api::{ChartRepository, ChartRepositoryStatus, LocalSecretReference, REQUESTED_AT, Reason};
use crate::cluster::{self, Identity, Kind, ObjectRef, Retry, chain};
use crate::release::backoff;
use crate::repository::{Refreshed, RepositorySecrets};

/// When each repository is to be asked again; the echo of our own status write must not be taken for a request.
#[derive(Default)]
pub struct Schedule(Mutex<HashMap<Key, Turn>>);

#[derive(Clone)]
struct Turn {
    generation: Option<i64>,
    requested_at: Option<String>,
    next: Option<Instant>,
    failures: u32,
}

impl Turn {
    fn of(object: &ChartRepository, failures: u32, next: Option<Instant>) -> Self {
        Self {
            generation: object.metadata.generation,
            requested_at: object.annotations().get(REQUESTED_AT).cloned(),
            next,
            failures,
        }
    }
}

impl Schedule {
    /// How long the last answer still counts, when nothing was changed or asked for since.
    fn fresh_for(&self, key: &Key, object: &ChartRepository) -> Option<Duration> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = map.get(key)?;
        let now = Turn::of(object, 0, None);
        let same = turn.generation == now.generation && turn.requested_at == now.requested_at;
        let left = turn.next?.checked_duration_since(Instant::now())?;
        same.then_some(left)
    }

    fn failures(&self, key: &Key) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).map_or(0, |t| t.failures)
    }

    fn set(&self, key: &Key, turn: Turn) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), turn);
    }

    /// Whether the repository was asked since the start of this process, or since its Secrets changed.
    pub fn is_known(&self, key: &Key) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// Makes the repository be asked at its next turn, whatever was answered before.
    pub fn clear(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Why the index could not be had.
struct Failure {
    reason: Reason,
    retry: Retry,
    /// How long the server asked to be left alone.
    retry_after: Option<Duration>,
    message: String,
}

/// Looks at one ChartRepository.
pub async fn reconcile(operator: &Operator, key: &Key) -> Requeue {
    let object = match operator.chart_repositories.see(key) {
        Some(Seen::Valid(object)) => object,
        Some(Seen::Invalid(object, problem)) => {
            return super::invalid::refuse(operator, CHART_REPOSITORY, key, &object, &problem).await;
        }
        None => {
            operator.repositories.forget(&key.namespace, &key.name);
            operator.fetches.clear(key);
            return Requeue::OnChange;
        }
    };
    if object.metadata.deletion_timestamp.is_some() {
        return Requeue::OnChange;
    }
    if object.spec.suspend {
        return restore(operator, key, &object).await;
    }
    if let Some(left) = operator.fetches.fresh_for(key, &object) {
        return Requeue::After(left);
    }
    let outcome = fetch(operator, &object).await;
    let failures = if outcome.is_ok() { 0 } else { operator.fetches.failures(key) + 1 };
    let pause = match &outcome {
        Ok(_) => Some(super::jitter(object.spec.interval.0)),
        Err(failure) => match failure.retry {
            Retry::Soon => {
                let pause = backoff(failures, u64::from(failures)).min(object.spec.interval.0);
                Some(pause.max(failure.retry_after.unwrap_or_default()))
            }
            Retry::Later => Some(super::jitter(object.spec.interval.0)),
            Retry::OnChange => None,
        },
    };
    operator.fetches.set(key, Turn::of(&object, failures, pause.map(|p| Instant::now() + p)));
    publish(operator, key, &object, &outcome).await;
    // Releases that wait for this index are told of a failure, too: they say why they wait.
    if outcome.as_ref().map_or(failures == 1, Refreshed::changed) {
        operator.wake_users_of(key);
    }
    pause.map_or(Requeue::OnChange, Requeue::After)
}

/// Says that the last look at a repository panicked; it is tried again with growing pauses.
pub async fn broke(operator: &Operator, key: &Key, place: &str) -> Requeue {
    let Some(object) = operator.chart_repositories.get(key) else { return Requeue::OnChange };
    let failures = operator.fetches.failures(key) + 1;
    let pause = backoff(failures, u64::from(failures));
    operator.fetches.set(key, Turn::of(&object, failures, Some(Instant::now() + pause)));
    let message = format!("the reconcile panicked at {place}; please report this defect");
    let failure = Failure { reason: Reason::InternalError, retry: Retry::Soon, retry_after: None, message };
    publish(operator, key, &object, &Err(failure)).await;
    Requeue::After(pause)
}

/// A suspended repository is not asked; what the cache has of it stays available.
async fn restore(operator: &Operator, key: &Key, object: &ChartRepository) -> Requeue {
    if operator.repositories.is_open(object) {
        return Requeue::OnChange;
    }
    let restored = match secrets(operator, object).await {
        Ok(secrets) => operator.repositories.restore(object, secrets).await.unwrap_or(false),
        Err(_) => false,
    };
    operator.fetches.set(key, Turn::of(object, 0, None));
    if restored {
        operator.wake_users_of(key);
    }
    Requeue::OnChange
}

async fn secrets(operator: &Operator, object: &ChartRepository) -> Result<RepositorySecrets, Failure> {
    let spec = &object.spec;
    let pgp = spec.verify.as_ref().and_then(|verify| verify.pgp.as_ref());
    let cosign = spec.verify.as_ref().and_then(|verify| verify.cosign.as_ref());
    Ok(RepositorySecrets {
        credentials: secret(operator, object, "secretRef", spec.secret_ref.as_ref()).await?,
        tls: secret(operator, object, "certSecretRef", spec.cert_secret_ref.as_ref()).await?,
        pgp: secret(operator, object, "verify.pgp.secretRef", pgp.map(|keys| &keys.secret_ref)).await?,
        cosign: secret(operator, object, "verify.cosign.secretRef", cosign.map(|keys| &keys.secret_ref))
            .await?,
    })
}

async fn fetch(operator: &Operator, object: &ChartRepository) -> Result<Refreshed, Failure> {
    let secrets = secrets(operator, object).await?;
    operator.repositories.refresh(object, secrets).await.map_err(|error| Failure {
        reason: error.reason(),
        retry: error.retry(),
        retry_after: error.retry_after(),
        message: chain(&error),
    })
}

/// Reads the Secret that a field of the repository names, with the operator's own rights; only this repository's server
/// gets to see it.
async fn secret(
    operator: &Operator,
    object: &ChartRepository,
    field: &str,
    reference: Option<&LocalSecretReference>,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, Failure> {
    let Some(LocalSecretReference { name }) = reference else { return Ok(None) };
    let secret = ObjectRef {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        namespace: object.namespace().unwrap_or_default(),
        name: name.clone(),
    };
    let client = operator.connection.tenant(Identity::operator());
    let found = client.get(&Kind::secret(), &secret).await.map_err(|error| Failure {
        reason: error.reason(),
        retry: error.retry(),
        retry_after: None,
        message: error.to_string(),
    })?;
    let Some(found) = found else {
        // Its creation wakes the repository.
        let message = format!("{secret} does not exist; create it, or remove spec.{field}");
        return Err(Failure {
            reason: Reason::SecretNotFound,
            retry: Retry::Later,
            retry_after: None,
            message,
        });
    };
    Ok(Some(cluster::secret_data(&found).into_iter().map(|(k, v)| (k, v.into_exposed())).collect()))
}

async fn publish(
    operator: &Operator,
    key: &Key,
    object: &ChartRepository,
    outcome: &Result<Refreshed, Failure>,
) {
    let status = next_status(object, outcome, Timestamp::now());
    let news = condition::find(&status.conditions, READY).map(|c| (c.status.clone(), c.reason.clone()));
    let was = object.status.as_ref().and_then(|s| condition::find(&s.conditions, READY));
    let was = was.map(|c| (c.status.clone(), c.reason.clone()));
    if let Err(error) =
        operator.publisher.status(CHART_REPOSITORY, key, object.status.as_ref(), &status).await
    {
        warn!(repository = %key, error = chain(&error), "the status could not be written");
    }
    let regarding = reference(CHART_REPOSITORY, object);
    match outcome {
        Ok(fetched) if is_new(object, fetched) => {
            info!(repository = %key, "{}", ready_message(fetched));
            let note = ready_message(fetched);
            operator.publisher.event(&regarding, true, Reason::Succeeded, "Fetch", &note).await;
        }
        Err(failure) if news != was => {
            warn!(repository = %key, reason = %failure.reason, error = failure.message, "failed to fetch the index");
            operator.publisher.event(&regarding, false, failure.reason, "Fetch", &failure.message).await;
        }
        _ => {}
    }
}

/// Whether this is something else than the status speaks of: other bytes of an index, or a registry not seen before.
fn is_new(object: &ChartRepository, fetched: &Refreshed) -> bool {
    let status = object.status.as_ref();
    match fetched {
        Refreshed::Index(index) => {
            let known = status.and_then(|s| s.artifact.as_ref());
            known.is_none_or(|artifact| artifact.digest != index.artifact.digest)
        }
        Refreshed::Registry { .. } => status.and_then(|s| s.url.as_ref()) != Some(&object.spec.url),
    }
}

fn ready_message(fetched: &Refreshed) -> String {
    let fetched = match fetched {
        Refreshed::Index(index) => index,
        Refreshed::Registry { .. } => {
            return "the registry answers; releases ask it for its charts".to_owned();
        }
    };
    let mut text = format!("{} charts, index {}", fetched.charts, fetched.artifact.digest);
    if fetched.skipped > 0 {
        text.push_str(&format!("; {} entries break a rule and were skipped", fetched.skipped));
    }
    if fetched.duplicates > 0 {
        text.push_str(&format!("; {} versions are listed more than once", fetched.duplicates));
    }
    text
}

fn next_status(
    object: &ChartRepository,
    outcome: &Result<Refreshed, Failure>,
    now: Timestamp,
) -> ChartRepositoryStatus {
    let mut status = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation;
    status.observed_generation = generation;
    if let Some(requested) = object.annotations().get(REQUESTED_AT) {
        status.last_handled_reconcile_at = Some(requested.clone());
    }
    let conditions = &mut status.conditions;
    condition::remove(conditions, RECONCILING);
    condition::remove(conditions, STALLED);
    match outcome {
        Ok(fetched) => {
            let message = ready_message(fetched);
            condition::set(conditions, READY, Status::True, Reason::Succeeded, &message, generation, now);
            // The same bytes came before: what the status says of them stays, and a restart writes nothing.
            match fetched {
                Refreshed::Index(index) => {
                    if is_new(object, fetched) {
                        status.artifact = Some(index.artifact.clone());
                    }
                    status.charts = i64::try_from(index.charts).ok();
                }
                Refreshed::Registry { .. } => {
                    status.artifact = None;
                    status.charts = None;
                }
            }
            status.url = Some(object.spec.url.clone());
        }
        Err(failure) => {
            let kept = status.artifact.as_ref().filter(|_| status.url.as_ref() == Some(&object.spec.url));
            let message = match kept {
                Some(artifact) => {
                    format!("{}; the index of {} stays in use", failure.message, artifact.fetched_at.0)
                }
                None => failure.message.clone(),
            };
            let (reason, message) = (failure.reason, message.as_str());
            condition::set(conditions, READY, Status::False, reason, message, generation, now);
            match failure.retry {
                Retry::OnChange => {
                    condition::set(conditions, STALLED, Status::True, reason, message, generation, now);
                }
                Retry::Soon | Retry::Later => {
                    let retry = Reason::ProgressingWithRetry;
                    condition::set(conditions, RECONCILING, Status::True, retry, message, generation, now);
                }
            }
        }
    }
    status
}
