//! The status of a HelmRelease between the write of it and the watch that brings it back.

use std::sync::PoisonError;

use super::Operator;
use super::store::Key;
use crate::api::{HelmRelease, HelmReleaseStatus};
use crate::cluster::is_as_new;

impl Operator {
    /// The status as written last, or as the watch brought it.
    pub(super) fn known_status(&self, key: &Key) -> Option<HelmReleaseStatus> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let written = memory.get(key).and_then(|memory| Some(memory.status.as_ref()?.0.clone()));
        drop(memory);
        written.or_else(|| self.helm_releases.get(key)?.status.clone())
    }

    /// A status was written, unless the watch has brought it back already.
    pub(super) fn remember_status(
        &self,
        key: &Key,
        uid: Option<&String>,
        status: HelmReleaseStatus,
        version: String,
    ) {
        self.remember(key, uid, |memory| {
            let seen =
                self.helm_releases.get(key).and_then(|object| object.metadata.resource_version.clone());
            let is_back = seen.is_some_and(|seen| is_as_new(&seen, &version));
            memory.status = (!is_back).then_some((status, version));
        });
    }

    /// The watch has brought this version of an object: what was written before it need not be remembered.
    pub(super) fn status_is_back(&self, key: &Key, object: &HelmRelease) {
        let version = object.metadata.resource_version.as_deref().unwrap_or_default();
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = memory.get_mut(key) {
            memory.status.take_if(|(_, written)| is_as_new(version, written));
        }
    }
}
