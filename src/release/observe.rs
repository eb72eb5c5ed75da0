//! What there is: the history of a release, read with one request.
//!
//! Live objects are read later and only when something must be done; see [`live`](super::live()).

use super::{Error, History, ReleaseKey};
use crate::cluster::TenantClient;

/// What was read of a release.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Its revisions.
    pub history: History,
}

/// Reads what is needed to decide.
///
/// # Errors
/// The server's refusal.
pub async fn observe(tenant: &TenantClient, key: &ReleaseKey) -> Result<Observation, Error> {
    Ok(Observation { history: History::load(tenant, key).await? })
}
