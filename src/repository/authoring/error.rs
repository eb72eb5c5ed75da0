//! Why a chart author's command could not be carried out.

use std::io;
use std::path::PathBuf;

use super::super::{Digest, HttpError, index, oci, verify};

/// What went wrong. Texts are Helm's where Helm has one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("failed to read `{}`", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("failed to write `{}`", path.display())]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("failed to parse `{}`: {why}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        why: String,
    },
    /// An index is none.
    #[error("failed to read the index of `{repository}`")]
    Index {
        /// Whose.
        repository: String,
        /// Why.
        source: index::Error,
    },
    /// A fact that needs no more words; often Helm's own text.
    #[error("{0}")]
    Refused(String),
    /// An address, or what else is told of a source.
    #[error(transparent)]
    Source(#[from] super::super::Error),
    /// The certificates cannot be used.
    #[error("the certificates cannot be used")]
    Tls(#[source] super::super::credentials::Error),
    /// The credentials cannot be used.
    #[error("the credentials cannot be used")]
    Credentials(#[source] super::super::credentials::Error),
    /// A server did not give what was asked of it.
    #[error("failed to fetch {what}")]
    Fetch {
        /// What.
        what: String,
        /// Why.
        source: HttpError,
    },
    /// A registry did not give what was asked of it.
    #[error("failed to pull `{what}`")]
    Pull {
        /// What.
        what: String,
        /// Why; boxed, for it is large.
        source: Box<oci::Error>,
    },
    /// A registry did not take what was given to it.
    #[error("failed to push `{what}`")]
    Push {
        /// What.
        what: String,
        /// Why; boxed, for it is large.
        source: Box<oci::Error>,
    },
    /// A registry did not take the credentials.
    #[error("failed to log in to `{host}`")]
    LogIn {
        /// Which.
        host: String,
        /// Why; boxed, for it is large.
        source: Box<oci::Error>,
    },
    /// The archive is another one than the index says.
    #[error("the archive of `{chart}` has the digest {found}, but its index says {expected}")]
    OtherDigest {
        /// Which.
        chart: String,
        /// Of what came.
        found: Digest,
        /// Of what was listed.
        expected: Digest,
    },
    /// A chart cannot be loaded.
    #[error("failed to load `{chart}`")]
    Load {
        /// Which.
        chart: String,
        /// Why.
        source: pintle_helm::chart::Error,
    },
    /// A chart cannot be packaged.
    #[error(transparent)]
    Package(#[from] super::super::package::Error),
    /// Nobody vouches for a chart.
    #[error("failed to verify `{chart}`")]
    Verify {
        /// Which.
        chart: String,
        /// Why.
        source: verify::Error,
    },
}

impl Error {
    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }
}
