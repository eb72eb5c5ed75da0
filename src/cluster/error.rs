//! What an answer of the API server means, and what of it may be shown.
//!
//! The classes follow what kube-apiserver 1.37 was measured to answer: a 500 is not always transient, and the
//! text of an error about a Secret can hold the Secret's value, so that it is replaced, never copied.

use std::fmt;
use std::time::Duration;

use kube::core::response::Status;

use super::ObjectRef;
use crate::api::Reason;
use crate::api::condition::truncate;

/// Longest text of the server that is kept. Secrets are taken out of it later, which a short cut would hinder.
const TEXT_LIMIT: usize = 16 << 10;
/// Most fields of an answer that are kept.
const FIELDS: usize = 16;

/// When trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Soon, with backoff: the fault may be gone in seconds.
    Soon,
    /// Slowly: somebody has to do something in the cluster first.
    Later,
    /// Only after the inputs changed.
    OnChange,
}

/// What kind of answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// There is no such object.
    NotFound,
    /// The object exists already.
    AlreadyExists,
    /// Another field manager owns a field.
    FieldConflict,
    /// The object changed, or was replaced by another one of its name, since it was read.
    Stale,
    /// A field that cannot be changed was changed.
    Immutable,
    /// An admission policy or webhook refused.
    AdmissionDenied,
    /// The identity lacks a right.
    Forbidden,
    /// A ResourceQuota is exhausted.
    QuotaExceeded,
    /// An admission webhook takes no dry runs: nothing is known of what it would say.
    NoDryRun,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// The namespace does not exist.
    NamespaceMissing,
    /// The server has no such kind.
    KindNotFound,
    /// The request or the object is too large.
    TooLarge,
    /// The object breaks its schema.
    Invalid,
    /// The credentials were refused.
    Unauthorized,
    /// The server is overloaded, unreachable, or failed for a moment.
    Transient,
}

/// A refused or failed request.
#[derive(Clone, Debug)]
pub struct Error {
    /// What kind of answer it is.
    pub class: Class,
    /// The object that the request was about.
    pub object: Option<Box<ObjectRef>>,
    /// What was being done: `get`, `apply`, `delete`.
    pub verb: &'static str,
    /// The server's words, or a replacement for them.
    pub text: String,
    /// The fields that the server names.
    pub fields: Vec<String>,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// Classifies an error of the client.
    pub fn new(verb: &'static str, object: Option<ObjectRef>, error: &kube::Error) -> Self {
        let secret = object.as_ref().is_some_and(ObjectRef::is_secret);
        let object = object.map(Box::new);
        match error {
            kube::Error::Api(status) => {
                let class = classify(status);
                let text = if secret { secret_text(class, status) } else { status.message.clone() };
                let retry_after = status
                    .details
                    .as_ref()
                    .map(|d| d.retry_after_seconds)
                    .filter(|s| *s > 0)
                    .map(|s| Duration::from_secs(s.into()));
                let causes = status.details.iter().flat_map(|d| &d.causes);
                let mut fields: Vec<String> =
                    causes.map(|c| c.field.clone()).filter(|f| !f.is_empty()).collect();
                fields.dedup();
                fields.truncate(FIELDS);
                Self { class, object, verb, text: truncate(&text, TEXT_LIMIT), fields, retry_after }
            }
            kube::Error::SerdeError(_) => Self {
                class: Class::Transient,
                object,
                verb,
                text: "the server's answer is not the JSON that was expected".to_owned(),
                fields: Vec::new(),
                retry_after: None,
            },
            other => {
                let text = crate::cluster::chain(other);
                Self {
                    class: Class::Transient,
                    object,
                    verb,
                    text: truncate(&text, TEXT_LIMIT),
                    fields: Vec::new(),
                    retry_after: None,
                }
            }
        }
    }

    /// A request that took longer than `limit`.
    pub fn timed_out(verb: &'static str, object: Option<ObjectRef>, limit: Duration) -> Self {
        let text = format!("the API server did not answer within {} s", limit.as_secs());
        Self::of(Class::Transient, object, verb, text)
    }

    /// A write that was not sent, because this process may not write any more.
    pub fn refused(verb: &'static str, object: Option<ObjectRef>, refused: super::Refused) -> Self {
        Self::of(Class::Transient, object, verb, refused.to_string())
    }

    fn of(class: Class, object: Option<ObjectRef>, verb: &'static str, text: String) -> Self {
        Self { class, object: object.map(Box::new), verb, text, fields: Vec::new(), retry_after: None }
    }

    /// A kind that the server does not serve.
    pub fn kind_not_found(verb: &'static str, object: ObjectRef) -> Self {
        let text = format!(
            "the server has no kind {} in {}; is its CRD installed, or was this API version removed?",
            object.kind,
            object.api_version()
        );
        Self::of(Class::KindNotFound, Some(object), verb, text)
    }

    /// The condition's reason.
    pub fn reason(&self) -> Reason {
        match self.class {
            Class::FieldConflict => Reason::ApplyConflict,
            Class::AlreadyExists => Reason::OwnershipConflict,
            Class::Immutable => Reason::ImmutableField,
            Class::AdmissionDenied => Reason::AdmissionDenied,
            Class::Forbidden => Reason::Forbidden,
            Class::QuotaExceeded => Reason::QuotaExceeded,
            Class::NamespaceTerminating => Reason::NamespaceTerminating,
            Class::KindNotFound => Reason::KindNotFound,
            Class::TooLarge | Class::Invalid | Class::NoDryRun => Reason::InvalidManifest,
            Class::NotFound
            | Class::NamespaceMissing
            | Class::Stale
            | Class::Transient
            | Class::Unauthorized => Reason::ProgressingWithRetry,
        }
    }

    /// When trying again can help.
    pub fn retry(&self) -> Retry {
        match self.class {
            // A definition may come at any moment, often by the same hand.
            Class::Transient | Class::Stale | Class::NotFound | Class::KindNotFound | Class::Unauthorized => {
                Retry::Soon
            }
            Class::Forbidden
            | Class::QuotaExceeded
            | Class::NamespaceTerminating
            | Class::NamespaceMissing => Retry::Later,
            Class::FieldConflict
            | Class::AlreadyExists
            | Class::Immutable
            | Class::AdmissionDenied
            | Class::TooLarge
            | Class::Invalid
            | Class::NoDryRun => Retry::OnChange,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            Some(object) => write!(f, "failed to {} {object}: {}", self.verb, self.text),
            None => write!(f, "failed to {}: {}", self.verb, self.text),
        }
    }
}

impl std::error::Error for Error {}

/// How the kinds say that a field cannot be changed.
const IMMUTABLE: [&str; 5] = [
    "field is immutable",
    "updates to statefulset spec",
    "spec is immutable after creation",
    "cannot change roleRef",
    "updates to parameters are forbidden",
];

/// How admission refuses: Pod Security, policies, the limits of a namespace, what the cluster allows nobody.
const ADMISSION: [&str; 4] =
    ["violates PodSecurity", "denied request", " usage per ", "disallowed by cluster policy"];

/// How the server says that an object is over one of its limits: a Secret's data, the annotations, etcd's two.
const TOO_LARGE: [&str; 4] = [
    "may not be more than 1048576 bytes",
    "may not be more than 262144 bytes",
    "request is too large",
    "message larger than max",
];

/// Sorts an answer into its class.
fn classify(status: &Status) -> Class {
    let message = status.message.as_str();
    let causes = status.details.iter().flat_map(|d| &d.causes);
    let has_cause = |reason: &str| causes.clone().any(|c| c.reason == reason);
    match status.code {
        401 => Class::Unauthorized,
        // k8s.io/apiserver pkg/admission/plugin/webhook/errors: ToDryRunUnsupportedErr.
        400 if message.contains("does not support dry run") => Class::NoDryRun,
        // A webhook may answer with any code.
        _ if message.contains("denied the request") => Class::AdmissionDenied,
        403 if has_cause("NamespaceTerminating") => Class::NamespaceTerminating,
        403 if message.contains("exceeded quota") => Class::QuotaExceeded,
        403 if ADMISSION.iter().any(|words| message.contains(words)) => Class::AdmissionDenied,
        403 => Class::Forbidden,
        404 if message.starts_with("namespaces ") => Class::NamespaceMissing,
        404 if status.reason.is_empty() || message.contains("could not find the requested resource") => {
            Class::KindNotFound
        }
        404 => Class::NotFound,
        409 if status.reason == "AlreadyExists" => Class::AlreadyExists,
        409 if has_cause("FieldManagerConflict") => Class::FieldConflict,
        // A list whose next page is of a moment that the server has forgotten.
        409 | 410 => Class::Stale,
        413 => Class::TooLarge,
        422 if TOO_LARGE.iter().any(|words| message.contains(words)) => Class::TooLarge,
        422 if ADMISSION.iter().any(|words| message.contains(words)) => Class::AdmissionDenied,
        422 if causes.clone().any(|c| c.field == "metadata.uid") => Class::Stale,
        422 if IMMUTABLE.iter().any(|words| message.contains(words)) => Class::Immutable,
        400 | 422 => Class::Invalid,
        // Not every 500 is transient: these come from the object itself and would fail for ever.
        500 if TOO_LARGE.iter().any(|words| message.contains(words)) => Class::TooLarge,
        500 if message.contains("failed to create typed")
            || message.contains("failed to convert new object")
            || message.contains("failed to create manager for existing fields") =>
        {
            Class::Invalid
        }
        _ => Class::Transient,
    }
}

/// What may be said of a refused Secret: which fields, never their values.
fn secret_text(class: Class, status: &Status) -> String {
    match class {
        // These texts are made of names and rights only.
        Class::NotFound
        | Class::AlreadyExists
        | Class::FieldConflict
        | Class::Forbidden
        | Class::QuotaExceeded
        | Class::NamespaceTerminating
        | Class::NamespaceMissing
        | Class::Unauthorized
        | Class::Stale => status.message.clone(),
        Class::Immutable => "a field of it is immutable".to_owned(),
        Class::TooLarge => "it is too large: the data of a Secret may be 1 MiB at most".to_owned(),
        // A webhook may quote what it refuses; its name is what helps.
        Class::AdmissionDenied | Class::Transient if webhook(&status.message).is_some() => {
            let name = webhook(&status.message).unwrap_or_default();
            let what = if class == Class::Transient { "could not be called" } else { "denied it" };
            format!("the admission webhook {name} {what} (its words are withheld)")
        }
        Class::Transient => format!("the server failed for a moment, with code {}", status.code),
        _ => {
            let fields: Vec<&str> = status
                .details
                .iter()
                .flat_map(|d| &d.causes)
                .map(|c| c.field.as_str())
                .filter(|f| !f.is_empty())
                .collect();
            if fields.is_empty() {
                format!(
                    "the server refused it with code {}; its words are withheld because they can quote the Secret: \
                     check that every value under data is base64 and every value under stringData is text",
                    status.code
                )
            } else {
                format!("the server refused it because of {} (values withheld)", fields.join(", "))
            }
        }
    }
}

/// The name of the webhook that an answer speaks of: the first word in quotes after `webhook`.
fn webhook(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("webhook \"")?;
    let (name, _) = rest.split_once('"')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    Some(name).filter(|name| !name.is_empty() && name.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str, message: &str, causes: serde_json::Value) -> Status {
        serde_json::from_value(serde_json::json!({
            "status": "Failure", "code": code, "reason": reason, "message": message, "details": {"causes": causes},
        }))
        .unwrap()
    }

    #[test]
    fn answers_are_classified_as_measured() {
        let none = serde_json::json!([]);
        for (code, reason, message, causes, class) in [
            (
                409,
                "Conflict",
                "Apply failed with 1 conflict",
                serde_json::json!([{"reason": "FieldManagerConflict", "message": "", "field": ".data.k"}]),
                Class::FieldConflict,
            ),
            (409, "Conflict", "the object has been modified", none.clone(), Class::Stale),
            (409, "AlreadyExists", "configmaps \"x\" already exists", none.clone(), Class::AlreadyExists),
            (
                422,
                "Invalid",
                "Deployment.apps \"d\" is invalid: spec.selector: Invalid value: field is immutable",
                none.clone(),
                Class::Immutable,
            ),
            (
                422,
                "Invalid",
                "is invalid: metadata.uid: Invalid value",
                serde_json::json!([{"reason": "FieldValueInvalid", "message": "", "field": "metadata.uid"}]),
                Class::Stale,
            ),
            (
                422,
                "Invalid",
                "ValidatingAdmissionPolicy 'deny' with binding 'deny' denied request: no",
                none.clone(),
                Class::AdmissionDenied,
            ),
            (403, "Forbidden", "forbidden: exceeded quota: q, requested", none.clone(), Class::QuotaExceeded),
            (
                403,
                "Forbidden",
                "is being terminated",
                serde_json::json!([{"reason": "NamespaceTerminating", "message": "", "field": "metadata.namespace"}]),
                Class::NamespaceTerminating,
            ),
            (
                403,
                "Forbidden",
                "admission webhook \"w\" denied the request: no",
                none.clone(),
                Class::AdmissionDenied,
            ),
            (
                422,
                "Invalid",
                "spec: Forbidden: spec is immutable after creation except resources",
                none.clone(),
                Class::Immutable,
            ),
            (403, "Forbidden", "User \"x\" cannot patch resource", none.clone(), Class::Forbidden),
            (
                400,
                "BadRequest",
                "admission webhook \"w\" does not support dry run",
                none.clone(),
                Class::NoDryRun,
            ),
            (404, "NotFound", "namespaces \"x\" not found", none.clone(), Class::NamespaceMissing),
            (404, "", "404 page not found", none.clone(), Class::KindNotFound),
            (404, "NotFound", "configmaps \"x\" not found", none.clone(), Class::NotFound),
            (500, "InternalError", "etcdserver: request is too large", none.clone(), Class::TooLarge),
            (
                500,
                "",
                "failed to create typed patch object (ns/x; v1, Kind=Secret)",
                none.clone(),
                Class::Invalid,
            ),
            (
                500,
                "InternalError",
                "failed calling webhook \"down.example.io\"",
                none.clone(),
                Class::Transient,
            ),
            (
                409,
                "Conflict",
                "Precondition failed: UID in precondition: a, UID in object meta: ; uid mismatch: the provided object \
                 specified uid a, and no existing object was found",
                none.clone(),
                Class::Stale,
            ),
            (
                409,
                "Conflict",
                "the UID in the precondition (a) does not match the UID in record (b)",
                none.clone(),
                Class::Stale,
            ),
            (
                422,
                "Invalid",
                "Pod \"p\" is invalid: spec.containers[0].securityContext.privileged: Forbidden: disallowed by cluster policy",
                none.clone(),
                Class::AdmissionDenied,
            ),
            (
                403,
                "Forbidden",
                "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\"",
                none.clone(),
                Class::AdmissionDenied,
            ),
            (
                403,
                "Forbidden",
                "pods \"p\" is forbidden: maximum cpu usage per Container is 1, but limit is 2",
                none.clone(),
                Class::AdmissionDenied,
            ),
            (
                422,
                "Invalid",
                "Secret \"s\" is invalid: data: Too long: may not be more than 1048576 bytes",
                none.clone(),
                Class::TooLarge,
            ),
            (
                422,
                "Invalid",
                "metadata.annotations: Too long: may not be more than 262144 bytes",
                none.clone(),
                Class::TooLarge,
            ),
            (
                422,
                "Invalid",
                "metadata.name: Too long: may not be more than 63 bytes",
                none.clone(),
                Class::Invalid,
            ),
            (413, "RequestEntityTooLarge", "limit is 3145728", none.clone(), Class::TooLarge),
            (
                500,
                "",
                "rpc error: code = ResourceExhausted desc = trying to send message larger than max",
                none.clone(),
                Class::TooLarge,
            ),
            (500, "", "failed to convert new object (ns/x; /v1, Kind=Secret)", none.clone(), Class::Invalid),
            (500, "InternalError", "an error on the server has prevented", none.clone(), Class::Transient),
            (504, "Timeout", "request did not complete", none.clone(), Class::Transient),
            (410, "Expired", "The provided continue parameter is too old", none.clone(), Class::Stale),
            (401, "Unauthorized", "Unauthorized", none.clone(), Class::Unauthorized),
            (429, "TooManyRequests", "slow down", none.clone(), Class::Transient),
            (503, "ServiceUnavailable", "", none, Class::Transient),
        ] {
            assert_eq!(classify(&status(code, reason, message, causes)), class, "{code} {message}");
        }
    }

    #[test]
    fn the_words_about_a_secret_never_quote_it() {
        let secret = ObjectRef {
            group: String::new(),
            version: "v1".into(),
            kind: "Secret".into(),
            namespace: "ns".into(),
            name: "db".into(),
        };
        for (code, message) in [
            (500, "failed to create typed patch object: .stringData.password: expected string, got hunter2"),
            (422, "Secret \"db\" is invalid: data[a]: Invalid value: \"hunter2\": bad"),
            (400, "illegal base64 data: hunter2"),
            (500, "Internal error occurred: failed calling webhook \"w.example.io\": Post hunter2"),
            (400, "admission webhook \"w.example.io\" denied the request: hunter2 is no password"),
            (400, "admission webhook \"hunter2 w\" denied the request: no"),
            (503, "hunter2"),
        ] {
            let status = status(
                code,
                "Invalid",
                message,
                serde_json::json!([{"reason": "x", "message": "hunter2", "field": "data[a]"}]),
            );
            let error = Error::new("apply", Some(secret.clone()), &kube::Error::Api(Box::new(status)));
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(error.to_string().contains("Secret ns/db"), "{error}");
            assert_eq!(
                error.to_string().contains("w.example.io"),
                message.contains("w.example.io"),
                "{error}"
            );
        }
    }
}
