//! Why a chart or an index could not be had.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;

use super::digest::Digest;
use super::{credentials, http, index, oci, verify};
use crate::api::Reason;
use crate::cluster::Retry;

/// Why a chart or an index could not be had. No message holds a credential, or the query of an address.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The spec names neither a repository with a chart nor an address.
    #[error("the spec names neither a chart of a repository nor the url of a chart")]
    NoSource,
    /// An address is none.
    #[error("`{url}` is not the address of a web server: {why}")]
    InvalidUrl {
        /// As it stands in the spec, without what may be secret.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The digest in the spec is none.
    #[error("the digest in the spec of chart `{chart}` is not `sha256:` and 64 hex digits")]
    InvalidDigest {
        /// The chart.
        chart: String,
    },
    /// The version in the spec is no version and no range.
    #[error("`{constraint}` is neither a version nor a range of versions: {why}")]
    InvalidConstraint {
        /// As it stands in the spec.
        constraint: String,
        /// What the parser says.
        why: String,
    },
    /// A Secret of the repository cannot be used.
    #[error("repository `{repository}` cannot use secret `{secret}`")]
    Secret {
        /// Namespace and name.
        repository: String,
        /// The Secret.
        secret: String,
        /// What is wrong with it.
        source: credentials::Error,
    },
    /// No index of the repository has been fetched yet.
    #[error("the index of repository `{repository}` has not been fetched yet")]
    NotFetched {
        /// Namespace and name.
        repository: String,
    },
    /// The index could not be fetched.
    #[error("failed to fetch the index of repository `{repository}`")]
    FetchIndex {
        /// Namespace and name.
        repository: String,
        /// Why.
        source: http::Error,
    },
    /// The registry is not there, or does not take the credentials.
    #[error("repository `{repository}` cannot use its registry")]
    AskRegistry {
        /// Namespace and name.
        repository: String,
        /// Why.
        source: Arc<oci::Error>,
    },
    /// The chart could not be had from its registry.
    #[error("failed to pull chart `{chart}`")]
    PullChart {
        /// Name and constraint, or the address.
        chart: String,
        /// Why.
        source: Arc<oci::Error>,
    },
    /// The spec asks for a signature where none can be.
    #[error("repository `{repository}` has no registry, and cosign signatures are kept in registries only")]
    CosignWithoutRegistry {
        /// Namespace and name.
        repository: String,
    },
    /// The spec asks for signatures without saying which.
    #[error("spec.verify of repository `{repository}` names neither pgp nor cosign")]
    NothingToVerify {
        /// Namespace and name.
        repository: String,
    },
    /// Nobody who is trusted vouches for the chart.
    #[error("chart `{chart}` is not used")]
    VerifyChart {
        /// Name and version.
        chart: String,
        /// Why.
        source: verify::Error,
    },
    /// What was fetched is no index.
    #[error("failed to read the index of repository `{repository}`")]
    ParseIndex {
        /// Namespace and name.
        repository: String,
        /// Why.
        source: index::Error,
    },
    /// The index does not list the chart.
    #[error("repository `{repository}` has no chart `{chart}`{}", listed("names like it", near))]
    ChartNotFound {
        /// Namespace and name.
        repository: String,
        /// The chart.
        chart: String,
        /// Names like it.
        near: Vec<String>,
    },
    /// The index lists the chart in no version that is asked for.
    #[error(
        "repository `{repository}` has no version of chart `{chart}` that satisfies `{constraint}`{}",
        listed("the newest", newest)
    )]
    VersionNotFound {
        /// Namespace and name.
        repository: String,
        /// The chart.
        chart: String,
        /// What was asked for.
        constraint: String,
        /// The newest versions.
        newest: Vec<String>,
    },
    /// The chart at an address has another version than the spec asks for.
    #[error("the chart at {url} has version {version}, which does not satisfy `{constraint}`")]
    OtherVersion {
        /// The address.
        url: String,
        /// Its version.
        version: String,
        /// What was asked for.
        constraint: String,
    },
    /// The index lists the version without an address.
    #[error("the index lists chart `{chart}` without an address")]
    NoAddress {
        /// Name and version.
        chart: String,
    },
    /// The archive could not be fetched.
    #[error("failed to fetch chart `{chart}`")]
    FetchChart {
        /// Name and version, or the address.
        chart: String,
        /// Why.
        source: http::Error,
    },
    /// The archive is another one than was promised.
    #[error("chart `{chart}` has digest {found}, but {promise} says {expected}")]
    OtherDigest {
        /// Name and version, or the address.
        chart: String,
        /// What came.
        found: Digest,
        /// What should have come.
        expected: Digest,
        /// Who promised it.
        promise: &'static str,
    },
    /// The archive is no chart.
    #[error("failed to load chart `{chart}`")]
    LoadChart {
        /// Name and version, or the address.
        chart: String,
        /// Why.
        source: Arc<pintle_helm::chart::Error>,
    },
    /// Work on the blocking pool did not end; the process is stopping.
    #[error("the work on `{what}` was cut short")]
    Interrupted {
        /// The chart or repository.
        what: String,
    },
}

fn listed(what: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; {what}: {}", names.join(", ")) }
}

impl Error {
    /// The reason of the condition that shows it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NoSource
            | Self::InvalidUrl { .. }
            | Self::InvalidDigest { .. }
            | Self::CosignWithoutRegistry { .. }
            | Self::NothingToVerify { .. }
            | Self::InvalidConstraint { .. } => Reason::InvalidSpec,
            Self::VerifyChart { .. } => Reason::VerificationFailed,
            Self::Secret { .. } => Reason::SecretNotFound,
            Self::NotFetched { .. } | Self::ParseIndex { .. } => Reason::ChartUnavailable,
            Self::ChartNotFound { .. } => Reason::ChartNotFound,
            Self::VersionNotFound { .. } | Self::OtherVersion { .. } => Reason::VersionNotFound,
            Self::NoAddress { .. } | Self::OtherDigest { .. } | Self::LoadChart { .. } => {
                Reason::ChartCorrupt
            }
            Self::FetchIndex { source, .. } => match source {
                http::Error::Status { status, .. } if refused(*status) => Reason::AuthenticationFailed,
                http::Error::Tls { .. } => Reason::SecretNotFound,
                _ => Reason::ChartUnavailable,
            },
            Self::FetchChart { source, .. } => match source {
                http::Error::Status { status, .. } if refused(*status) => Reason::AuthenticationFailed,
                http::Error::Status { status, .. } if gone(*status) => Reason::ChartNotFound,
                http::Error::Truncated { .. } | http::Error::TooLarge { .. } => Reason::ChartCorrupt,
                http::Error::Tls { .. } => Reason::SecretNotFound,
                _ => Reason::ChartUnavailable,
            },
            Self::AskRegistry { source, .. } | Self::PullChart { source, .. } => source.reason(),
            Self::Interrupted { .. } => Reason::InternalError,
        }
    }

    /// How long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::FetchIndex { source: http::Error::Status { retry_after, .. }, .. }
            | Self::FetchChart { source: http::Error::Status { retry_after, .. }, .. } => *retry_after,
            Self::AskRegistry { source, .. } | Self::PullChart { source, .. } => match &**source {
                oci::Error::RateLimited { after, .. } => *after,
                _ => None,
            },
            _ => None,
        }
    }

    /// When trying again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::NoSource
            | Self::InvalidUrl { .. }
            | Self::InvalidDigest { .. }
            | Self::InvalidConstraint { .. }
            | Self::CosignWithoutRegistry { .. }
            | Self::NothingToVerify { .. }
            | Self::Secret { .. } => Retry::OnChange,
            // Somebody may publish what is missing, or mend what is broken, at any time.
            Self::ChartNotFound { .. }
            | Self::VersionNotFound { .. }
            | Self::OtherVersion { .. }
            | Self::NoAddress { .. }
            | Self::OtherDigest { .. }
            | Self::LoadChart { .. }
            | Self::VerifyChart { .. }
            | Self::ParseIndex { .. } => Retry::Later,
            Self::FetchIndex { source, .. } | Self::FetchChart { source, .. } => match source {
                http::Error::Tls { .. } => Retry::OnChange,
                http::Error::Status { status, .. } if refused(*status) || gone(*status) => Retry::Later,
                http::Error::Redirect { .. } | http::Error::TooLarge { .. } | http::Error::Private { .. } => {
                    Retry::Later
                }
                _ => Retry::Soon,
            },
            Self::AskRegistry { source, .. } | Self::PullChart { source, .. } => source.retry(),
            Self::NotFetched { .. } | Self::Interrupted { .. } => Retry::Soon,
        }
    }
}

fn refused(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED
    )
}

fn gone(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}
