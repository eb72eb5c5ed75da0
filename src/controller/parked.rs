//! Releases whose objects are on their way: they wait for a change, without a worker.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::store::Key;
use crate::release::ReleaseKey;

/// Which release is being worked on for which HelmRelease.
///
/// A release is entered before its first write, so that no change of an object is missed between the look at it
/// and the wait for it.
#[derive(Default)]
pub struct Parking(Mutex<HashMap<(String, String), Key>>);

impl Parking {
    /// Changes of the release's objects wake `key` from now on.
    pub fn enter(&self, release: &ReleaseKey, key: &Key) {
        self.lock().insert((release.namespace.clone(), release.name.clone()), key.clone());
    }

    /// `key` does not wait for the release any more; another HelmRelease that does goes on waiting.
    pub fn leave(&self, release: &ReleaseKey, key: &Key) {
        let release = (release.namespace.clone(), release.name.clone());
        let mut parked = self.lock();
        if parked.get(&release) == Some(key) {
            parked.remove(&release);
        }
    }

    /// Everybody who works on a release, or waits for one.
    pub fn keys(&self) -> Vec<Key> {
        self.lock().values().cloned().collect()
    }

    /// The HelmRelease is gone.
    pub fn leave_all(&self, key: &Key) {
        self.lock().retain(|_, waiting| waiting != key);
    }

    /// Who waits for objects of the release `name` in `namespace`.
    pub fn waiting_for(&self, namespace: &str, name: &str) -> Option<Key> {
        self.lock().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Key>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
