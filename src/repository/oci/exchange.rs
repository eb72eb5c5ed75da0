//! One request to a registry and its answer, whatever its status, over the clients and limits of [`Http`].

use hyper::body::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, Url};

use crate::repository::address::{shown, strip_user_information};
use crate::repository::credentials::TlsSettings;
use crate::repository::http::{self, Http, Response};

/// Bytes of the body of a refusal that are read.
const REFUSAL_BYTES: u64 = 64 << 10;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// How.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// How the server is verified.
    pub tls: &'a TlsSettings,
    /// The media types that are understood.
    pub accept: &'static str,
    /// What is shown to that server, and to no other one.
    pub authorization: Option<&'a str>,
    /// Most bytes of the answer.
    pub max_bytes: u64,
    /// What is sent along, with its media type.
    pub content: Option<(&'static str, Bytes)>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub bytes: Vec<u8>,
}

/// Sends `request`, and follows where its answer leads. Credentials never go along to another server: registries keep
/// their blobs in stores that take an `Authorization` header for an attempt to log in.
pub async fn exchange(http: &Http, request: Request<'_>) -> Result<Answer, http::Error> {
    let mut url = request.url.clone();
    strip_user_information(&mut url);
    let origin = url.origin();
    let _turn = http.host(&url).acquire_owned().await;
    for _ in 0..=http.limits.redirects {
        let authorization = request.authorization.filter(|_| url.origin() == origin);
        let response = send(http, &request, &url, authorization).await?;
        let status = response.status();
        let location = response.headers().get(LOCATION).filter(|_| leads_on(&request.method, status));
        if let Some(location) = location {
            url = http::redirect(&url, location)?;
            continue;
        }
        let headers = response.headers().clone();
        let bytes = if request.method == Method::HEAD {
            Vec::new()
        } else if status.is_success() {
            body(http.read(&url, response, request.max_bytes, Vec::new()).await?)
        } else {
            // A refusal without a readable body is still one.
            http.read(&url, response, REFUSAL_BYTES, Vec::new()).await.map(body).unwrap_or_default()
        };
        return Ok(Answer { status, headers, bytes });
    }
    Err(http::Error::TooManyRedirects { url: shown(&url), limit: http.limits.redirects })
}

/// Whether an answer leads elsewhere. What changes something is repeated there only if the server asks for just that.
fn leads_on(method: &Method, status: StatusCode) -> bool {
    match *method {
        Method::GET | Method::HEAD => status.is_redirection(),
        _ => matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT),
    }
}

fn body(response: Response) -> Vec<u8> {
    match response {
        Response::Body { bytes, .. } => bytes,
        Response::NotModified => Vec::new(),
    }
}

async fn send(
    http: &Http,
    request: &Request<'_>,
    url: &Url,
    authorization: Option<&str>,
) -> Result<reqwest::Response, http::Error> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(request.accept));
    if let Some(Ok(mut value)) = authorization.map(HeaderValue::from_str) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    if let Some((kind, _)) = &request.content {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    let body = request.content.as_ref().map(|(_, bytes)| bytes.clone());
    http.request(request.method.clone(), url, request.tls, headers, body).await
}
