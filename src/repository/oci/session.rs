//! Talking to one registry: tokens are fetched when it asks for them, kept until they run out, and renewed once when
//! it stops taking them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use hyper::body::Bytes;
use k8s_openapi::jiff::Timestamp;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::challenge::Challenge;
use super::error::Error;
use super::exchange::{Answer, Request, exchange};
use crate::repository::address::shown;
use crate::repository::credentials::{Credentials, TlsSettings};
use crate::repository::digest::Digest;
use crate::repository::http::{self, Http};
use crate::repository::lock;

/// How long a token is good for when its server does not say: the specification's word.
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// How long before its end a token is not used any more.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);
/// A token for longer than this is asked for again all the same.
const LONGEST_LIFE: Duration = Duration::from_secs(3600);
/// Bytes of a token server's answer.
const TOKEN_BYTES: u64 = 256 << 10;
/// More tokens than this are not worth keeping.
const MAX_TOKENS: usize = 1000;

/// What is known of registries from talking to them.
#[derive(Debug, Default)]
pub struct Talks {
    /// The `Authorization` header that was last taken, by registry, credentials and scope.
    passes: Mutex<HashMap<String, Pass>>,
    /// Until when a registry wants to be left alone.
    pauses: Mutex<HashMap<String, Instant>>,
}

#[derive(Clone)]
struct Pass {
    header: String,
    until: Option<Instant>,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass").field("until", &self.until).finish_non_exhaustive()
    }
}

/// A registry as one client sees it.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    /// The clients.
    pub http: &'a Http,
    /// What is known already.
    pub talks: &'a Talks,
    /// The address of its API, with a slash at its end.
    pub base: &'a Url,
    /// How it is verified.
    pub tls: &'a TlsSettings,
    /// What is shown to it.
    pub credentials: Option<&'a Credentials>,
    /// The repository whose tokens are used; empty for the registry as a whole.
    pub name: &'a str,
    /// What its tokens allow, as a scope says it.
    pub actions: &'static str,
}

impl Session<'_> {
    /// Asks for `path` below the API's address.
    ///
    /// # Errors
    /// As [`Session::send`].
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        max_bytes: u64,
    ) -> Result<Answer, Error> {
        let url = self.base.join(path).map_err(|_| Error::Reference { why: "its host is none" })?;
        self.send(method, url, accept, max_bytes, None).await
    }

    /// Sends a request to `url`, with content and its media type.
    ///
    /// # Errors
    /// The registry cannot be asked, or does not want to be. A status that is the caller's to judge is no error.
    pub async fn send(
        &self,
        method: Method,
        url: Url,
        accept: &'static str,
        max_bytes: u64,
        content: Option<(&'static str, Bytes)>,
    ) -> Result<Answer, Error> {
        self.check_pause(self.base)?;
        let is_own = url.origin() == self.base.origin();
        let mut pass = self.known_pass();
        // The second time is for a token: the first one, or a new one in place of one that ran out.
        for renewed in [false, true] {
            let request = Request {
                method: method.clone(),
                url: url.clone(),
                tls: self.tls,
                accept,
                authorization: pass.as_deref().filter(|_| is_own),
                max_bytes,
                content: content.clone(),
            };
            let answer = exchange(self.http, request).await?;
            self.note_pause(self.base, &answer)?;
            match answer.status {
                StatusCode::UNAUTHORIZED if !renewed && is_own => {
                    pass = Some(self.new_pass(&url, &answer).await?)
                }
                StatusCode::UNAUTHORIZED => {
                    lock(&self.talks.passes).remove(&self.key());
                    return Err(self.refused(&url, &answer));
                }
                StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                    return Err(self.refused(&url, &answer));
                }
                _ => return Ok(answer),
            }
        }
        Err(Error::Refused { url: shown(&url), with: self.shown_credentials(), code: None })
    }

    fn refused(&self, url: &Url, answer: &Answer) -> Error {
        Error::Refused { url: shown(url), with: self.shown_credentials(), code: code(&answer.bytes) }
    }

    fn shown_credentials(&self) -> &'static str {
        if self.credentials.is_some() { "the credentials" } else { "a request without credentials" }
    }

    /// Who the pass is for: the credentials are told apart by their digest, so that no two tenants share one.
    fn key(&self) -> String {
        let credentials = self.credentials.map_or("", Credentials::header);
        format!("{} {} {} {}", self.base, Digest::of(credentials.as_bytes()), self.name, self.actions)
    }

    fn known_pass(&self) -> Option<String> {
        let passes = lock(&self.talks.passes);
        let known =
            passes.get(&self.key()).filter(|pass| pass.until.is_none_or(|until| Instant::now() < until));
        let fixed =
            || self.credentials.map(Credentials::header).filter(|header| header.starts_with("Bearer "));
        known.map(|pass| pass.header.as_str()).or_else(fixed).map(str::to_owned)
    }

    /// What the registry asks for in its refusal of `url`.
    async fn new_pass(&self, url: &Url, answer: &Answer) -> Result<String, Error> {
        let pass = match (Challenge::find(&answer.headers), self.credentials) {
            (Some(Challenge::Bearer { realm, service, scope }), _) => {
                self.fetch_token(&realm, service.as_deref(), scope.as_deref()).await?
            }
            (Some(Challenge::Basic), Some(credentials)) => {
                Pass { header: credentials.header().to_owned(), until: None }
            }
            _ => return Err(self.refused(url, answer)),
        };
        let header = pass.header.clone();
        let mut passes = lock(&self.talks.passes);
        if passes.len() >= MAX_TOKENS {
            passes.clear();
        }
        passes.insert(self.key(), pass);
        Ok(header)
    }

    async fn fetch_token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<Pass, Error> {
        let mut url = self.realm(realm)?;
        self.check_pause(&url)?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            if !self.name.is_empty() {
                // A registry may know the repository by another name, but we never want more than we need.
                let (own, allowed) =
                    (format!("repository:{}:{}", self.name, self.actions), format!(":{}", self.actions));
                let asked =
                    scope.filter(|scope| scope.starts_with("repository:") && scope.ends_with(&allowed));
                query.append_pair("scope", asked.filter(|scope| !scope.contains(' ')).unwrap_or(&own));
            }
        }
        let basic = self.credentials.map(Credentials::header).filter(|header| header.starts_with("Basic "));
        let request = Request {
            method: Method::GET,
            url: url.clone(),
            tls: self.tls,
            accept: "application/json",
            authorization: basic,
            max_bytes: TOKEN_BYTES,
            content: None,
        };
        let answer = exchange(self.http, request).await?;
        self.note_pause(&url, &answer)?;
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.refused(&url, &answer)),
            status if !status.is_success() => return Err(Error::Token { url: shown(&url), status }),
            _ => {}
        }
        let token: Option<Token> = serde_json::from_slice(&answer.bytes).ok();
        let usable = |token: &String| !token.is_empty() && token.bytes().all(|b| (0x21..0x7f).contains(&b));
        let life = token.as_ref().and_then(|token| token.expires_in).map_or(TOKEN_LIFE, Duration::from_secs);
        let text = token.and_then(|token| token.token.or(token.access_token)).filter(usable);
        let text = text.ok_or(Error::Token { url: shown(&url), status: answer.status })?;
        let life = life.min(LONGEST_LIFE).saturating_sub(TOKEN_MARGIN);
        Ok(Pass { header: format!("Bearer {text}"), until: Some(Instant::now() + life) })
    }

    /// The address of the token server. Credentials go there, so it must be one that nobody can listen to; a registry
    /// that is talked to in the open may only name its own host.
    fn realm(&self, realm: &str) -> Result<Url, Error> {
        let url = Url::parse(realm).map_err(|_| Error::Realm { why: "its address is none" })?;
        let own = url.scheme() == "http" && self.base.scheme() == "http" && url.host() == self.base.host();
        if url.scheme() == "https" || own {
            Ok(url)
        } else {
            Err(Error::Realm { why: "it does not use https" })
        }
    }

    fn check_pause(&self, server: &Url) -> Result<(), Error> {
        let until = lock(&self.talks.pauses).get(&place(server)).copied();
        match until.and_then(|until| until.checked_duration_since(Instant::now())) {
            Some(left) if !left.is_zero() => {
                Err(Error::RateLimited { host: place(server), after: Some(left.max(Duration::from_secs(1))) })
            }
            _ => Ok(()),
        }
    }

    /// Remembers how long the server wants to be left alone.
    fn note_pause(&self, server: &Url, answer: &Answer) -> Result<(), Error> {
        let after = http::retry_after(&answer.headers, Timestamp::now());
        let busy = match answer.status {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::SERVICE_UNAVAILABLE => after.is_some(),
            _ => false,
        };
        if !busy {
            return Ok(());
        }
        if let Some(after) = after {
            let mut pauses = lock(&self.talks.pauses);
            pauses.retain(|_, until| *until > Instant::now());
            pauses.insert(place(server), Instant::now() + after);
        }
        Err(Error::RateLimited { host: place(server), after })
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

/// Host and port.
fn place(server: &Url) -> String {
    let host = server.host_str().unwrap_or_default();
    server.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The code of a registry's refusal: its message is anybody's text, and is not told.
pub fn code(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        errors: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        code: String,
    }
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    let code = refusal.errors.into_iter().next()?.code;
    let plain =
        !code.is_empty() && code.len() <= 40 && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    plain.then_some(code)
}

/// What a status that nobody expected is told as.
pub fn unexpected(url: &Url, answer: &Answer) -> Error {
    Error::Status { url: shown(url), status: answer.status, code: code(&answer.bytes) }
}

/// A download that took too long as a whole.
pub fn timed_out(base: &Url, limit: Duration) -> Error {
    http::Error::TimedOut { url: shown(base), seconds: limit.as_secs_f64() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_are_told_of_a_refusal() {
        let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"hunter2","detail":{"x":1}}]}"#;
        assert_eq!(code(body).as_deref(), Some("MANIFEST_UNKNOWN"));
        assert_eq!(code(br#"{"errors":[{"code":"look: hunter2"}]}"#), None);
        assert_eq!(code(b"<html>"), None);
    }
}
