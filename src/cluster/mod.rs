//! The API server: clients, kinds, what its answers mean, and what of them may be shown.

mod call;
mod client;
mod discovery;
mod error;
mod fence;
pub mod masking;
mod object;
mod readiness;

pub use client::{
    Applied, ApplyOptions, Connection, Deletion, Identity, OperatorClient, Precondition, TenantClient,
    is_object_name,
};
pub use discovery::{Discovery, Kind, Served};
pub use error::{Class, Error, Retry};
pub use fence::{Fence, Pass, Refused};
pub use object::{ObjectRef, is_as_new};
pub use readiness::{Readiness, not_yet_seen, pod as pod_readiness, readiness};

/// An error and its causes in one line, each part once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let part = cause.to_string();
        // kube's errors print their source, too.
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = cause.source();
    }
    text
}

/// The data of a Secret by key; what is not base64 is left out.
pub fn secret_data(
    secret: &serde_json::Value,
) -> std::collections::BTreeMap<String, masking::Masked<Vec<u8>>> {
    use base64::Engine;
    let data = secret.get("data").and_then(serde_json::Value::as_object);
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
    let entries = data.into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), masking::Masked::new(decode(value.as_str()?)?))))
        .collect()
}
