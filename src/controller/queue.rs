//! The work queue: which objects are to be looked at, and when.
//!
//! As client-go's: a key waits at most once, is never given to two workers at a time, and what comes in for a
//! key that is being worked on makes it run once more afterwards. Of the keys that are ready each namespace has its
//! turn; see [`Lanes`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::lanes::{Lane, Lanes, Shares};

/// A queue of keys.
pub struct Queue<K> {
    inner: Mutex<Inner<K>>,
    changed: Notify,
}

struct Inner<K> {
    ready: Lanes<K>,
    waiting: HashSet<K>,
    running: HashSet<K>,
    again: HashSet<K>,
    /// Keys by the time they come back; the number tells two of the same instant apart.
    timers: BTreeMap<(Instant, u64), K>,
    timer_of: HashMap<K, (Instant, u64)>,
    next_timer: u64,
}

impl<K: Clone + Eq + Hash + Lane> Queue<K> {
    /// An empty queue whose work is shared like this.
    pub fn new(shares: Shares) -> Self {
        let inner = Inner {
            ready: Lanes::new(shares),
            waiting: HashSet::new(),
            running: HashSet::new(),
            again: HashSet::new(),
            timers: BTreeMap::new(),
            timer_of: HashMap::new(),
            next_timer: 0,
        };
        Self { inner: Mutex::new(inner), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K>> {
        // Each method leaves the queue whole, so a panic elsewhere cannot have torn it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for `key` now.
    pub fn add(&self, key: K) {
        self.lock().add(key);
        self.changed.notify_one();
    }

    /// Asks for `key` after a while; of several such requests the soonest counts.
    pub fn add_after(&self, key: K, after: Duration) {
        let at = Instant::now() + after;
        let mut inner = self.lock();
        if inner.timer_of.get(&key).is_none_or(|(earlier, _)| *earlier > at) {
            inner.set_timer(key, at);
            drop(inner);
            self.changed.notify_one();
        }
    }

    /// The next key; it belongs to the caller until [`done`](Self::done).
    pub async fn next(&self) -> K {
        loop {
            let due = {
                let mut inner = self.lock();
                inner.fire(Instant::now());
                if let Some(key) = inner.ready.take() {
                    inner.waiting.remove(&key);
                    inner.running.insert(key.clone());
                    inner.clear_timer(&key);
                    if !inner.ready.is_empty() {
                        self.changed.notify_one();
                    }
                    return key;
                }
                inner.timers.keys().next().map(|(at, _)| *at)
            };
            match due {
                Some(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = self.changed.notified() => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// Whether somebody works on `key` now.
    pub fn is_running(&self, key: &K) -> bool {
        self.lock().running.contains(key)
    }

    /// Gives `key` back.
    pub fn done(&self, key: &K) {
        let mut inner = self.lock();
        inner.running.remove(key);
        inner.ready.done(key);
        if inner.again.remove(key) {
            inner.add(key.clone());
        }
        // Another key of its lane may have waited for its worker.
        let more = !inner.ready.is_empty();
        drop(inner);
        if more {
            self.changed.notify_one();
        }
    }
}

impl<K: Clone + Eq + Hash + Lane> Inner<K> {
    fn add(&mut self, key: K) {
        if self.running.contains(&key) {
            self.again.insert(key);
        } else if self.waiting.insert(key.clone()) {
            self.ready.push(key);
        }
    }

    fn set_timer(&mut self, key: K, at: Instant) {
        self.clear_timer(&key);
        let id = (at, self.next_timer);
        self.next_timer += 1;
        self.timers.insert(id, key.clone());
        self.timer_of.insert(key, id);
    }

    fn clear_timer(&mut self, key: &K) {
        if let Some(id) = self.timer_of.remove(key) {
            self.timers.remove(&id);
        }
    }

    fn fire(&mut self, now: Instant) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let key = entry.remove();
            self.timer_of.remove(&key);
            self.add(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Lane for &str {
        fn lane(&self) -> &str {
            self.split('/').next().unwrap_or_default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_given_once_and_again_when_it_changed_meanwhile() {
        let queue = Queue::new(Shares::unlimited());
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.add("a");
        queue.add("b");
        assert_eq!(queue.next().await, "b");
        queue.done(&"a");
        assert_eq!(queue.next().await, "a");
        queue.done(&"a");
        queue.done(&"b");
        assert!(tokio::time::timeout(Duration::from_secs(1), queue.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn timers_fire_in_order_and_the_soonest_one_counts() {
        let queue = Queue::new(Shares::unlimited());
        let start = Instant::now();
        queue.add_after("late", Duration::from_secs(60));
        queue.add_after("soon", Duration::from_secs(90));
        queue.add_after("soon", Duration::from_secs(5));
        queue.add_after("soon", Duration::from_secs(30));
        assert_eq!(queue.next().await, "soon");
        // What is asked for while the key is worked on is not lost.
        queue.add_after("soon", Duration::from_secs(10));
        queue.done(&"soon");
        assert_eq!(queue.next().await, "soon");
        assert_eq!(queue.next().await, "late");
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_waits_is_told_when_a_share_is_free_again() {
        let shares = Shares { per_lane: std::num::NonZeroUsize::MIN, ..Shares::unlimited() };
        let queue = Queue::new(shares);
        for key in ["crowd/a", "crowd/b", "single/a"] {
            queue.add(key);
        }
        assert_eq!(queue.next().await, "crowd/a");
        assert_eq!(queue.next().await, "single/a", "the crowd has its worker");
        let (next, ()) = tokio::join!(queue.next(), async { queue.done(&"crowd/a") });
        assert_eq!(next, "crowd/b");
    }
}
