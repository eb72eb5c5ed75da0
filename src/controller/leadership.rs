//! Leadership: of several operators only the holder of a Lease works.
//!
//! What another process wrote into the Lease as its time is never compared with a clock of this one: a rival counts
//! as gone when the Lease did not change for its whole duration, as seen from here, by the monotonic clock. The
//! holder itself is sure of the Lease for a shorter time than others wait, counted from before its request; the
//! [`Fence`] refuses every write after that.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, PostParams};
use kube::core::ObjectMeta;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::cluster::{Connection, Fence, chain};

/// Name of the Lease.
const NAME: &str = "pintle";
/// A holder that is silent for this long has lost it.
const DURATION: Duration = Duration::from_secs(15);
/// Others wait a moment longer: a write that was let through last may still be on its way.
const GRACE: Duration = Duration::from_secs(1);
/// The holder is sure of it for this long after it asked.
const SURE: Duration = Duration::from_secs(10);
/// Between two renewals.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Between two looks while somebody else holds it, and between two tries of a renewal.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A request for the Lease must be answered within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// The Lease, seen by one candidate.
pub struct Leadership {
    leases: Api<Lease>,
    holder: String,
    fence: Fence,
    /// The Lease as this process wrote it last.
    held: Mutex<Option<Lease>>,
}

/// Why a request for the Lease came to nothing.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the API server did not answer within {} s", ANSWER_WITHIN.as_secs())]
    Silence,
    #[error("the request failed")]
    Request(#[source] kube::Error),
}

impl Leadership {
    /// A candidate. `identity` is made unique: a process that is started again is another one.
    pub fn new(connection: &Connection, namespace: &str, identity: &str) -> Self {
        let fence = connection.fence().clone();
        fence.require_lease();
        Self {
            leases: Api::namespaced(connection.operator().kube(), namespace),
            holder: format!("{identity}_{:016x}", rand::random::<u64>()),
            fence,
            held: Mutex::default(),
        }
    }

    /// Resolves when this process is the leader.
    pub async fn acquire(&self) {
        let mut seen = Seen::default();
        let mut waiting = false;
        loop {
            match self.try_acquire(&mut seen).await {
                Ok(true) => {
                    info!(holder = self.holder, "this process leads");
                    return;
                }
                Ok(false) if !std::mem::replace(&mut waiting, true) => {
                    info!(leader = seen.holder(), "another process leads; this one waits");
                }
                Ok(false) => {}
                Err(error) => warn!(error = chain(&error), "the Lease could not be acquired"),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn try_acquire(&self, seen: &mut Seen) -> Result<bool, Error> {
        let mut lease = match answer(self.leases.get_opt(NAME)).await? {
            Some(lease) => lease,
            None => Lease {
                metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
                spec: None,
            },
        };
        let now = Instant::now();
        if !seen.may_take(lease.spec.as_ref(), now) {
            return Ok(false);
        }
        lease.spec = Some(taken(lease.spec.as_ref(), &self.holder, Timestamp::now()));
        self.write(lease).await
    }

    /// Renews the Lease until it is lost; says why.
    pub async fn hold(&self) -> String {
        let mut next = Instant::now() + RENEW_EVERY;
        loop {
            sleep_until(next).await;
            let now = Instant::now();
            match self.renew().await {
                Ok(true) => next = now + RENEW_EVERY,
                Ok(false) => {
                    self.fence.require_lease();
                    return "another process took the Lease".to_owned();
                }
                Err(error) => {
                    warn!(error = chain(&error), "the Lease could not be renewed");
                    next = Instant::now() + LOOK_EVERY;
                }
            }
            if self.fence.valid_until().is_none_or(|until| Instant::now() >= until) {
                return format!("the Lease was not renewed for {} s", SURE.as_secs());
            }
        }
    }

    /// Whether the Lease is still this process's.
    async fn renew(&self) -> Result<bool, Error> {
        let Some(mut lease) = self.held.lock().await.clone() else { return Ok(false) };
        if let Some(spec) = &mut lease.spec {
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        if self.write(lease).await? {
            return Ok(true);
        }
        // Somebody else touched it, or the answer to the last renewal was lost.
        let Some(mut lease) = answer(self.leases.get_opt(NAME)).await? else { return Ok(false) };
        match &mut lease.spec {
            Some(spec) if spec.holder_identity.as_deref() == Some(&self.holder) => {
                spec.renew_time = Some(MicroTime(Timestamp::now()));
            }
            _ => return Ok(false),
        }
        self.write(lease).await
    }

    /// Writes the Lease as this process's; `false` when it is not what was read any more.
    async fn write(&self, lease: Lease) -> Result<bool, Error> {
        let sent = Instant::now();
        let params = PostParams { field_manager: Some("pintle".to_owned()), ..PostParams::default() };
        let written = if lease.metadata.resource_version.is_some() {
            answer(self.leases.replace(NAME, &params, &lease)).await
        } else {
            answer(self.leases.create(&params, &lease)).await
        };
        match written {
            Ok(lease) => {
                debug!(holder = self.holder, "the Lease is renewed");
                *self.held.lock().await = Some(lease);
                self.fence.extend(sent + SURE);
                Ok(true)
            }
            Err(Error::Request(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives the Lease up, so that the next process need not wait; failing to is no more than that wait.
    pub async fn release(&self) {
        self.fence.require_lease();
        let result = async {
            let Some(mut lease) = answer(self.leases.get_opt(NAME)).await? else { return Ok(()) };
            match &mut lease.spec {
                Some(spec) if spec.holder_identity.as_deref() == Some(&self.holder) => {
                    spec.holder_identity = None;
                }
                _ => return Ok(()),
            }
            answer(self.leases.replace(NAME, &PostParams::default(), &lease)).await.map(drop)
        };
        if let Err(error) = result.await {
            warn!(error = chain(&error), "the Lease could not be released");
        }
    }
}

async fn answer<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Error> {
    match timeout(ANSWER_WITHIN, request).await {
        Ok(answer) => answer.map_err(Error::Request),
        Err(_) => Err(Error::Silence),
    }
}

/// The Lease in the hand of `holder`.
fn taken(old: Option<&LeaseSpec>, holder: &str, now: Timestamp) -> LeaseSpec {
    let mut spec = old.cloned().unwrap_or_default();
    let transitions = spec.lease_transitions.unwrap_or_default();
    spec.lease_transitions = Some(if old.is_some() { transitions.saturating_add(1) } else { 0 });
    spec.holder_identity = Some(holder.to_owned());
    spec.lease_duration_seconds = Some(i32::try_from(DURATION.as_secs()).unwrap_or(i32::MAX));
    spec.acquire_time = Some(MicroTime(now));
    spec.renew_time = Some(MicroTime(now));
    spec
}

/// The Lease as a rival wrote it, and since when it is so.
#[derive(Default)]
struct Seen(Option<(LeaseSpec, Instant)>);

impl Seen {
    /// Whether the Lease is free, or its holder silent for too long.
    fn may_take(&mut self, spec: Option<&LeaseSpec>, now: Instant) -> bool {
        let Some(spec) = spec else { return true };
        if spec.holder_identity.as_deref().unwrap_or_default().is_empty() {
            return true;
        }
        let since = match &self.0 {
            Some((seen, since)) if seen == spec => *since,
            _ => {
                self.0 = Some((spec.clone(), now));
                now
            }
        };
        let said = u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default();
        now.duration_since(since) >= DURATION.max(Duration::from_secs(said)) + GRACE
    }

    fn holder(&self) -> &str {
        self.0.as_ref().and_then(|(spec, _)| spec.holder_identity.as_deref()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    //! Unit: who may take the Lease, and when.

    use super::*;

    fn lease(holder: &str, renewed: i64, seconds: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(seconds),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            ..LeaseSpec::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rival_is_judged_by_its_silence_and_not_by_its_clock() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        for (name, looks, want) in [
            ("there is no Lease", vec![(None, 0)], true),
            ("it was released", vec![(Some(lease("", 0, 15)), 0)], true),
            ("a renewal of long ago, by its own clock", vec![(Some(lease("a", 0, 15)), 0)], false),
            ("a silent holder", vec![(Some(lease("a", 0, 15)), 0), (Some(lease("a", 0, 15)), 16)], true),
            (
                "a clock in the future",
                vec![(Some(lease("a", 9_999_999_999, 15)), 0), (Some(lease("a", 9_999_999_999, 15)), 16)],
                true,
            ),
            ("not yet", vec![(Some(lease("a", 0, 15)), 0), (Some(lease("a", 0, 15)), 15)], false),
            (
                "it moves, be it backwards",
                vec![
                    (Some(lease("a", 50, 15)), 0),
                    (Some(lease("a", 7, 15)), 14),
                    (Some(lease("a", 7, 15)), 20),
                ],
                false,
            ),
            ("another rival came", vec![(Some(lease("a", 0, 15)), 0), (Some(lease("b", 0, 15)), 16)], false),
            (
                "a holder that asked for longer",
                vec![(Some(lease("a", 0, 60)), 0), (Some(lease("a", 0, 60)), 30)],
                false,
            ),
        ] {
            let mut seen = Seen::default();
            let mut may = false;
            for (spec, at) in looks {
                may = seen.may_take(spec.as_ref(), after(at));
            }
            assert_eq!(may, want, "{name}");
        }
    }

    #[test]
    fn a_taken_lease_names_its_holder_and_counts() {
        let now = Timestamp::from_second(1000).unwrap();
        let first = taken(None, "a_1", now);
        assert_eq!((first.holder_identity.as_deref(), first.lease_transitions), (Some("a_1"), Some(0)));
        assert_eq!(
            (first.lease_duration_seconds, first.renew_time.clone()),
            (Some(15), Some(MicroTime(now)))
        );
        assert_eq!(taken(Some(&first), "b_1", now).lease_transitions, Some(1));
    }
}
