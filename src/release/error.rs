//! Why a step of the release engine failed, in the words of a condition.

use std::fmt;
use std::time::Duration;

use crate::api::Reason;
use crate::cluster::{self, Class, ObjectRef, Retry};

/// A server that asks for more patience than this is asked again all the same.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A failed step: what a condition needs, and when trying again can help.
#[derive(Clone, Debug)]
pub struct Error {
    /// The condition's reason.
    pub reason: Reason,
    /// What failed, on which object, why, and what to do.
    pub message: String,
    /// When trying again can help.
    pub retry: Retry,
    /// The object that it is about.
    pub object: Option<Box<ObjectRef>>,
    /// Whether the fault may be gone within the same action, which then goes on instead of failing.
    pub transient: bool,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error that is not about one request.
    pub fn new(reason: Reason, retry: Retry, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry, object: None, transient: false, retry_after: None }
    }

    /// Names the object.
    #[must_use]
    pub fn about(mut self, object: &ObjectRef) -> Self {
        self.object = Some(Box::new(object.clone()));
        self
    }

    /// A refused request, with the template that the object comes from, and advice where there is some.
    pub fn from_template(error: cluster::Error, source: &str) -> Self {
        let mut error = Self::from(error);
        if !source.is_empty() {
            error.message = format!("{} (from {source})", error.message);
        }
        error
    }

    /// The stored record cannot be used.
    pub(super) fn record(number: u32, error: &dyn std::error::Error) -> Self {
        Self::new(
            Reason::InternalError,
            Retry::Later,
            format!(
                "failed to read the record of revision {number}: {}; restore its Secret from a backup, or delete it",
                cluster::chain(error)
            ),
        )
    }
}

impl From<cluster::Error> for Error {
    fn from(error: cluster::Error) -> Self {
        let advice = match error.class {
            Class::Immutable => "; delete the object yourself, or undo the change of the field",
            Class::FieldConflict => {
                "; remove the field from the chart's values, or set spec.conflicts to Force to take it over"
            }
            Class::NamespaceMissing => "; create the namespace, or set spec.install.createNamespace",
            Class::Forbidden => "; grant the right to the identity that the release runs under",
            Class::QuotaExceeded => "; raise the quota, or lower what the values ask for",
            _ => "",
        };
        Self {
            reason: error.reason(),
            message: format!("{error}{advice}"),
            retry: error.retry(),
            transient: matches!(error.class, Class::Transient | Class::Stale | Class::Unauthorized),
            retry_after: error.retry_after.map(|asked| asked.min(LONGEST_PAUSE)),
            object: error.object,
        }
    }
}

/// `1 object`, `2 objects`.
pub(super) fn objects(number: usize) -> String {
    if number == 1 { "1 object".to_owned() } else { format!("{number} objects") }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
