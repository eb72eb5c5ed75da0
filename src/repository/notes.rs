//! What is kept on disk beside archives, for the next run of the operator: what tags and addresses led to, and who
//! vouched for what. All of it can be lost.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Shared;
use super::digest::Digest;

impl Shared {
    /// What was kept as `key`. A key may hold a secret: only its digest is on disk.
    pub(super) async fn kept<T: DeserializeOwned>(self: &Arc<Self>, key: &str) -> Option<T> {
        let (shared, name) = (self.clone(), Digest::of(key.as_bytes()));
        let bytes = tokio::task::spawn_blocking(move || shared.disk.note(name)).await.ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps `value` as `key`, if that is possible.
    pub(super) async fn keep(self: &Arc<Self>, key: &str, value: &impl Serialize) {
        let Ok(bytes) = serde_json::to_vec(value) else { return };
        let (shared, name) = (self.clone(), Digest::of(key.as_bytes()));
        // Without it the next run asks again.
        let _ = tokio::task::spawn_blocking(move || shared.disk.write_note(name, &bytes)).await;
    }
}
