//! The end of the process: what is in flight ends, waits are cut, and what was cut says so.
//!
//! No revision stays pending for a process that is gone on purpose: it is marked as failed, interrupted, and the
//! next process begins it anew at once.

use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use super::Operator;
use super::helm_release::{Account, Work};
use super::store::Key;
use crate::api::Reason;
use crate::cluster::Retry;
use crate::release::{self, Action, Policy, ReleaseKey};

/// The writes in flight must end within this time; Kubernetes kills a Pod after 30 s.
const DRAIN_WITHIN: Duration = Duration::from_secs(14);
/// The interrupted revisions must be marked within this time.
const MARK_WITHIN: Duration = Duration::from_secs(7);
/// Revisions that are marked at the same time.
const CONCURRENCY: usize = 8;

/// Ends the work of an operator that was asked to stop.
pub(super) async fn shut_down(operator: &Operator, tasks: JoinSet<()>) {
    cut_off(operator, tasks).await;
    operator.connection.fence().reopen();
    let marks = stream::iter(operator.parking.keys())
        .for_each_concurrent(CONCURRENCY, |key| async move { mark(operator, &key).boxed().await });
    if timeout(MARK_WITHIN, marks).await.is_err() {
        warn!(
            "not all interrupted revisions could be marked; the next process resumes them from their records"
        );
    }
}

/// Ends the work without a word: what is in flight ends, and nothing is begun.
pub(super) async fn cut_off(operator: &Operator, mut tasks: JoinSet<()>) {
    if timeout(DRAIN_WITHIN, operator.connection.fence().drain()).await.is_err() {
        warn!("a write was not answered for {} s; it is given up", DRAIN_WITHIN.as_secs());
    }
    tasks.shutdown().await;
}

/// Marks the revision that is being worked on for a HelmRelease as interrupted.
async fn mark(operator: &Operator, key: &Key) {
    let Some(object) = operator.helm_releases.get(key) else { return };
    let work = Work::new(operator, key, &object);
    let Ok(client) = work.tenant() else { return };
    let (release, owner) = (ReleaseKey::from(&work.target), work.owner());
    let policy = Policy::new(&object.spec, Action::Upgrade);
    let cx = work.release(&client, &release, &policy, &owner);
    let mut history = match release::observe(&client, &release).await {
        Ok(observed) => observed.history,
        Err(error) => return warn!(release = %key, %error, "the revision could not be marked as interrupted"),
    };
    let ours = |facts: &release::Facts| facts.owner == owner.uid || facts.owner_name == owner.name;
    let pending = history.latest().filter(|r| r.status.is_pending() && r.facts.as_ref().is_some_and(ours));
    let Some(number) = pending.map(|r| r.number) else { return };
    let message =
        format!("the operator was stopped while it worked on revision {number}; its next start begins anew");
    let error = release::Error::new(Reason::Interrupted, Retry::Soon, message);
    match release::give_up(&cx, &mut history, number, &error).await {
        Ok(()) => {
            info!(release = %key, revision = number, "interrupted");
            work.publish(Account::failed(error, Some(history))).await;
        }
        Err(error) => warn!(release = %key, %error, "the revision could not be marked as interrupted"),
    }
}
