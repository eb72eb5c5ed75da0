//! Why a registry did not give what was asked for.

use std::time::Duration;

use reqwest::StatusCode;

use crate::api::Reason;
use crate::cluster::Retry;
use crate::repository::digest::Digest;
use crate::repository::http;

/// Why a registry did not give what was asked for. No message holds a credential, or the query of an address.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An address is none.
    #[error("the address is not oci://host/path[:tag][@sha256:…]: {why}")]
    Reference {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The request itself failed.
    #[error(transparent)]
    Fetch(#[from] http::Error),
    /// The credentials, or the lack of them, were not accepted.
    #[error("{url} refused {with}{}", coded(code))]
    Refused {
        /// Who.
        url: String,
        /// What it was shown.
        with: &'static str,
        /// The registry's code.
        code: Option<String>,
    },
    /// The registry sends its users elsewhere for a token, where credentials must not go.
    #[error("the registry names a token server that is not asked: {why}")]
    Realm {
        /// Why.
        why: &'static str,
    },
    /// The token server did not give a token.
    #[error("the token server {url} answered {status} without a token")]
    Token {
        /// Where.
        url: String,
        /// What it answered.
        status: StatusCode,
    },
    /// The registry wants to be left alone.
    #[error("{host} limits requests{}", after.map(|s| format!("; it is asked again in {} s", s.as_secs())).unwrap_or_default())]
    RateLimited {
        /// Which.
        host: String,
        /// For how long.
        after: Option<Duration>,
    },
    /// An answer that means nothing here.
    #[error("{url} answered {status}{}", coded(code))]
    Status {
        /// Where.
        url: String,
        /// The status.
        status: StatusCode,
        /// The registry's code.
        code: Option<String>,
    },
    /// There is no API at that address.
    #[error("{url} is not a registry: it answered {status}")]
    NotARegistry {
        /// Where.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// The registry knows no such repository.
    #[error("the registry has no repository `{name}`")]
    NoRepository {
        /// Host and path.
        name: String,
    },
    /// The repository has no such tag or manifest.
    #[error("repository `{name}` has no manifest `{reference}`")]
    NoManifest {
        /// Host and path.
        name: String,
        /// The tag or digest.
        reference: String,
    },
    /// The manifest names bytes that the registry has not.
    #[error("the registry has the manifest but not its blob {digest}")]
    NoBlob {
        /// Which.
        digest: Digest,
    },
    /// An upload cannot go on.
    #[error("the registry takes {digest}, but does not say where to: {why}")]
    Upload {
        /// Which bytes.
        digest: Digest,
        /// What is wrong with what it says.
        why: String,
    },
    /// The list of tags cannot be used.
    #[error("the list of tags of `{name}` {why}")]
    Tags {
        /// Host and path.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No tag is a version that is asked for.
    #[error("no tag of `{name}` is a version that satisfies `{constraint}`")]
    NoVersion {
        /// Host and path.
        name: String,
        /// What was asked for.
        constraint: String,
        /// The newest versions.
        newest: Vec<String>,
    },
    /// The version in the spec is no version and no range.
    #[error("`{constraint}` is neither a version nor a range of versions: {why}")]
    Constraint {
        /// As it stands in the spec.
        constraint: String,
        /// What the parser says.
        why: String,
    },
    /// An index of several manifests.
    #[error("`{reference}` is an image index, not a manifest; name the manifest of the chart by its digest")]
    Index {
        /// The tag or digest.
        reference: String,
    },
    /// Something else than a chart.
    #[error("`{reference}` is not a Helm chart: its config has media type `{found}`")]
    NotAChart {
        /// The tag or digest.
        reference: String,
        /// What it is.
        found: String,
    },
    /// A chart without its archive, or with several.
    #[error("the manifest `{reference}` has {count} layers with a chart archive instead of one")]
    Layers {
        /// The tag or digest.
        reference: String,
        /// How many.
        count: usize,
    },
    /// Not a manifest.
    #[error("the manifest `{reference}` cannot be read: {why}")]
    Manifest {
        /// The tag or digest.
        reference: String,
        /// What is wrong with it.
        why: String,
    },
    /// Other bytes than their name says.
    #[error("{what} has digest {found}, but the registry calls it {expected}")]
    OtherDigest {
        /// The manifest or the blob.
        what: &'static str,
        /// What came.
        found: Digest,
        /// What should have come.
        expected: Digest,
    },
    /// More than a chart may have.
    #[error("{what} has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The blob.
        what: &'static str,
        /// Its size as the manifest has it.
        size: u64,
        /// The limit.
        limit: u64,
    },
}

fn coded(code: &Option<String>) -> String {
    code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default()
}

impl Error {
    /// The reason of the condition that shows it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Reference { .. } | Self::Constraint { .. } => Reason::InvalidSpec,
            Self::Fetch(http::Error::Tls { .. }) => Reason::SecretNotFound,
            Self::Fetch(http::Error::Truncated { .. } | http::Error::TooLarge { .. }) => Reason::ChartCorrupt,
            Self::Fetch(_)
            | Self::Token { .. }
            | Self::RateLimited { .. }
            | Self::Status { .. }
            | Self::Tags { .. }
            | Self::Upload { .. }
            | Self::NotARegistry { .. } => Reason::ChartUnavailable,
            Self::Refused { .. } | Self::Realm { .. } => Reason::AuthenticationFailed,
            Self::NoRepository { .. } => Reason::ChartNotFound,
            Self::NoManifest { .. } | Self::NoVersion { .. } => Reason::VersionNotFound,
            Self::NoBlob { .. }
            | Self::Index { .. }
            | Self::NotAChart { .. }
            | Self::Layers { .. }
            | Self::Manifest { .. }
            | Self::OtherDigest { .. }
            | Self::TooLarge { .. } => Reason::ChartCorrupt,
        }
    }

    /// When trying again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Reference { .. } | Self::Constraint { .. } | Self::Fetch(http::Error::Tls { .. }) => {
                Retry::OnChange
            }
            Self::Fetch(
                http::Error::Redirect { .. } | http::Error::TooLarge { .. } | http::Error::Private { .. },
            ) => Retry::Later,
            Self::Fetch(_) | Self::Token { .. } | Self::RateLimited { .. } | Self::Status { .. } => {
                Retry::Soon
            }
            // Somebody may push what is missing, or mend what is broken, at any time.
            _ => Retry::Later,
        }
    }

    /// Whether the registry could not be asked at all, so that its last answer still counts.
    pub fn is_outage(&self) -> bool {
        matches!(self.retry(), Retry::Soon)
    }
}
