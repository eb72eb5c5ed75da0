//! The workers: each takes the next key, lets it be reconciled, and says when to look again. A panic stays with the key
//! that it came from.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use super::queue::Queue;
use super::store::Key;
use super::{Operator, Requeue, chart_repository, helm_release};
use crate::telemetry::panics;

/// A key whose panics cannot even be told of is looked at again after this.
const AFTER_PANIC: Duration = Duration::from_secs(60);

impl Operator {
    pub(super) async fn work_on_releases(self: Arc<Self>) {
        loop {
            let key = self.release_queue.next().await;
            // Boxed, or the compiler cannot see that so deep a future is `Send`.
            let requeue = match guard(helm_release::reconcile(&self, &key).boxed()).await {
                Ok(requeue) => requeue,
                Err(place) => told(guard(helm_release::broke(&self, &key, &place).boxed()).await),
            };
            settle(&self.release_queue, &key, requeue);
        }
    }

    pub(super) async fn work_on_repositories(self: Arc<Self>) {
        loop {
            let key = self.repository_queue.next().await;
            let requeue = match guard(chart_repository::reconcile(&self, &key)).await {
                Ok(requeue) => requeue,
                Err(place) => told(guard(chart_repository::broke(&self, &key, &place)).await),
            };
            settle(&self.repository_queue, &key, requeue);
        }
    }
}

/// Keeps a panic of one reconcile from the others; where it was.
async fn guard(reconcile: impl Future<Output = Requeue>) -> Result<Requeue, String> {
    // What a reconcile shares with others are maps behind locks, which each change leaves whole.
    std::panic::AssertUnwindSafe(reconcile).catch_unwind().await.map_err(|_| panics::last_place())
}

/// When to look again after a panic, which was told of, unless that panicked, too.
fn told(told: Result<Requeue, String>) -> Requeue {
    told.unwrap_or(Requeue::After(AFTER_PANIC))
}

fn settle(queue: &Queue<Key>, key: &Key, requeue: Requeue) {
    if let Requeue::After(pause) = requeue {
        queue.add_after(key.clone(), pause);
    }
    queue.done(key);
}
