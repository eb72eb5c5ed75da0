//! One request of a client, and how its answer is read.

use std::time::Duration;

use http::{Method, Request, StatusCode, header};
use kube::client::Body;
use kube::core::response::Status;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::Identity;
use super::{Error, ObjectRef};

/// A read must answer within this time.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// A read that only explains must answer within this time.
const BRIEF_TIMEOUT: Duration = Duration::from_secs(3);
/// A write must answer within this time: admission webhooks may take 30 s each.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(40);

/// One request, so that it can be sent again.
pub(super) struct Call {
    pub(super) verb: &'static str,
    pub(super) method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    content_type: &'static str,
    /// The form of the answer; JSON when empty.
    accept: &'static str,
    body: Vec<u8>,
    pub(super) object: Option<ObjectRef>,
    /// Whether the answer is a text, not JSON.
    pub(super) is_text: bool,
    /// Whether it is better to go without the answer than to wait for it.
    is_brief: bool,
}

impl Call {
    pub(super) fn new(verb: &'static str, method: Method, path: String) -> Self {
        let (query, body) = (Vec::new(), Vec::new());
        let (is_text, is_brief) = (false, false);
        Self {
            verb,
            method,
            path,
            query,
            content_type: "",
            accept: "",
            body,
            object: None,
            is_text,
            is_brief,
        }
    }

    pub(super) fn text(mut self) -> Self {
        self.is_text = true;
        self
    }

    pub(super) fn briefly(mut self) -> Self {
        self.is_brief = true;
        self
    }

    /// Within which it must be answered.
    pub(super) fn limit(&self) -> Duration {
        match (self.is_brief, &self.method) {
            (true, _) => BRIEF_TIMEOUT,
            (false, &Method::GET) => READ_TIMEOUT,
            (false, _) => WRITE_TIMEOUT,
        }
    }

    pub(super) fn about(mut self, object: &ObjectRef) -> Self {
        self.object = Some(object.clone());
        self
    }

    pub(super) fn query(mut self, query: Vec<(&'static str, String)>) -> Self {
        self.query = query;
        self
    }

    pub(super) fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    pub(super) fn body(mut self, content_type: &'static str, content: &Value) -> Self {
        self.content_type = content_type;
        self.body = content.to_string().into_bytes();
        self
    }

    /// A create that was perhaps carried out must not be sent again: its caller looks at what is there instead.
    pub(super) fn may_repeat(&self, error: &Error) -> bool {
        self.method != Method::POST || error.retry_after.is_some()
    }

    pub(super) fn request(&self, identity: &Identity) -> Result<Request<Body>, Error> {
        let mut uri = self.path.clone();
        if !self.query.is_empty() {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(&self.query);
            uri = format!("{uri}?{}", query.finish());
        }
        let mut request = Request::builder().method(self.method.clone()).uri(uri);
        if !self.content_type.is_empty() {
            request = request.header(header::CONTENT_TYPE, self.content_type);
        }
        if !self.accept.is_empty() {
            request = request.header(header::ACCEPT, self.accept);
        }
        for (name, value) in identity.headers() {
            request = request.header(name, value);
        }
        request
            .body(Body::from(self.body.clone()))
            .map_err(|e| Error::new(self.verb, self.object.clone(), &kube::Error::HttpError(e)))
    }
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// The server's refusal; what is not a `Status` becomes one.
pub(super) fn refusal(code: StatusCode, headers: &http::HeaderMap, bytes: &[u8]) -> Status {
    let mut status = parse::<Status>(bytes).unwrap_or_else(|_| Status {
        message: String::from_utf8_lossy(bytes).trim().to_owned(),
        ..Status::default()
    });
    status.code = code.as_u16();
    let retry_after =
        headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    if let Some(seconds) = retry_after {
        let details = status.details.get_or_insert_with(|| kube::core::response::StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: 0,
        });
        details.retry_after_seconds = seconds;
    }
    status
}

/// The texts of `Warning: 299 - "text"` headers.
pub(super) fn warnings(headers: &http::HeaderMap) -> Vec<String> {
    headers
        .get_all(header::WARNING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter_map(|value| Some(value.split_once('"')?.1.strip_suffix('"')?.replace("\\\"", "\"")))
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn warnings_are_read_from_their_headers() {
        let mut headers = http::HeaderMap::new();
        headers.append(
            header::WARNING,
            HeaderValue::from_static("299 - \"would violate PodSecurity \\\"restricted\\\"\""),
        );
        assert_eq!(warnings(&headers), ["would violate PodSecurity \"restricted\""]);
    }
}
