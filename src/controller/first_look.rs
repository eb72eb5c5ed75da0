//! When all releases that there were at the start have been looked at.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tracing::info;

use super::store::Key;

/// The releases that still have to be looked at for the first time.
#[derive(Default)]
pub struct FirstLook(Mutex<Option<Left>>);

struct Left {
    keys: HashSet<Key>,
    releases: usize,
    since: Instant,
}

impl FirstLook {
    /// These are there.
    pub fn begin(&self, keys: Vec<Key>) {
        let left = Left { releases: keys.len(), keys: keys.into_iter().collect(), since: Instant::now() };
        *self.lock() = Some(left);
        self.tell();
    }

    /// This one was looked at, or is gone.
    pub fn seen(&self, key: &Key) {
        if let Some(left) = self.lock().as_mut() {
            left.keys.remove(key);
        }
        self.tell();
    }

    /// Says it once, when none is left.
    fn tell(&self) {
        let mut left = self.lock();
        if let Some(done) = left.take_if(|left| left.keys.is_empty()) {
            let milliseconds = u64::try_from(done.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            info!(releases = done.releases, milliseconds, "all releases are checked");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Left>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_when_the_last_one_was_seen() {
        let look = FirstLook::default();
        look.seen(&Key::new("ns", "early"));
        look.begin(vec![Key::new("ns", "a"), Key::new("ns", "b")]);
        look.seen(&Key::new("ns", "a"));
        look.seen(&Key::new("ns", "other"));
        assert!(look.lock().is_some());
        look.seen(&Key::new("ns", "b"));
        assert!(look.lock().is_none());
    }
}
