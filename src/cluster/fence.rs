//! The write fence: whether this process may still change something.
//!
//! Every changing request passes it, right before it is sent. It is closed when the leadership lease is no longer
//! known to be held, judged by the monotonic clock alone, and when the process ends: then the requests in flight
//! are awaited and no new one is let through.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

/// Lets changing requests through, or not. Its clones are the same fence.
#[derive(Clone)]
pub struct Fence(Arc<watch::Sender<Gate>>);

/// How a fence stands.
#[derive(Clone, Copy, Default)]
struct Gate {
    draining: bool,
    /// The lease is held until then; none where no lease is asked for.
    valid_until: Option<Instant>,
    in_flight: usize,
}

/// A changing request that was not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The lease is not known to be held.
    #[error("this process does not hold the leadership lease any more, so that it writes nothing")]
    NotLeader,
    /// The process ends.
    #[error("this process is ending, so that it begins no further write")]
    Ending,
}

/// A changing request in flight.
pub struct Pass(Fence);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.0.send_modify(|gate| gate.in_flight = gate.in_flight.saturating_sub(1));
    }
}

impl Default for Fence {
    /// A fence that asks for no lease.
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Gate::default())))
    }
}

impl Fence {
    /// Asks for a lease from now on: nothing passes until [`extend`](Self::extend).
    pub fn require_lease(&self) {
        self.0.send_modify(|gate| gate.valid_until = Some(Instant::now()));
    }

    /// The lease is held until then.
    pub fn extend(&self, until: Instant) {
        self.0.send_modify(|gate| gate.valid_until = Some(until));
    }

    /// Until when the lease is known to be held; none where no lease is asked for.
    pub fn valid_until(&self) -> Option<Instant> {
        self.0.borrow().valid_until
    }

    /// Asks to send a changing request; it is in flight until the pass is dropped.
    ///
    /// # Errors
    /// The request must not be sent.
    pub fn pass(&self) -> Result<Pass, Refused> {
        let mut answer = Ok(());
        self.0.send_if_modified(|gate| {
            if gate.draining {
                answer = Err(Refused::Ending);
            } else if gate.valid_until.is_some_and(|until| Instant::now() >= until) {
                answer = Err(Refused::NotLeader);
            } else {
                gate.in_flight += 1;
            }
            answer.is_ok()
        });
        answer.map(|()| Pass(self.clone()))
    }

    /// Lets nothing through from now on, and resolves when the last request in flight has ended.
    pub async fn drain(&self) {
        self.0.send_modify(|gate| gate.draining = true);
        // The sender is alive as long as `self` is.
        let _ = self.0.subscribe().wait_for(|gate| gate.in_flight == 0).await;
    }

    /// Lets the last words through that an ending process has to write, as long as the lease is held.
    pub fn reopen(&self) {
        self.0.send_modify(|gate| gate.draining = false);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nothing_passes_without_the_lease() {
        let fence = Fence::default();
        assert!(fence.pass().is_ok(), "no lease is asked for");
        fence.require_lease();
        assert_eq!(fence.pass().err(), Some(Refused::NotLeader));
        fence.extend(Instant::now() + Duration::from_secs(10));
        assert!(fence.pass().is_ok());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(fence.pass().err(), Some(Refused::NotLeader), "a process that slept has lost it");
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_waits_for_what_is_in_flight_and_begins_nothing() {
        let fence = Fence::default();
        let pass = fence.pass().ok();
        let draining = tokio::spawn({
            let fence = fence.clone();
            async move { fence.drain().await }
        });
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
        assert!(!draining.is_finished());
        assert_eq!(fence.pass().err(), Some(Refused::Ending));
        drop(pass);
        draining.await.unwrap();
        fence.reopen();
        assert!(fence.pass().is_ok(), "the last words");
    }
}
