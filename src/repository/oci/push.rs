//! Pushing: what the registry has not yet, then the manifest that names it, under its tag.

use hyper::body::Bytes;
use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode, Url};

use super::error::Error;
use super::session::{Session, unexpected};
use super::{MANIFEST_BYTES, Registries, Registry};
use crate::cluster::chain;
use crate::repository::digest::Digest;
use crate::repository::http::{self, Http};

/// What a pushed manifest is.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const BLOB: &str = "application/octet-stream";

impl Registries {
    /// Puts `blobs` into repository `name`, and then `manifest`, which names them, under `tag`.
    ///
    /// # Errors
    /// See [`Error`].
    pub(in crate::repository) async fn push(
        &self,
        http: &Http,
        registry: &Registry,
        name: &str,
        tag: &str,
        blobs: &[Bytes],
        manifest: Bytes,
    ) -> Result<(), Error> {
        let session = Session { actions: "pull,push", ..registry.session(http, &self.talks, name) };
        let push = async {
            for blob in blobs {
                upload(&session, blob).await?;
            }
            let url = place(&session, &format!("manifests/{tag}"))?;
            let content = Some((MANIFEST, manifest));
            let answer = session.send(Method::PUT, url, "*/*", MANIFEST_BYTES, content).await?;
            if answer.status.is_success() { Ok(()) } else { Err(unexpected(session.base, &answer)) }
        };
        registry.within(push).await
    }
}

/// An address below that of the repository.
fn place(session: &Session<'_>, path: &str) -> Result<Url, Error> {
    let path = format!("v2/{}/{path}", session.name);
    session.base.join(&path).map_err(|_| Error::Reference { why: "its host is none" })
}

/// Puts one blob into the repository, unless it is there.
async fn upload(session: &Session<'_>, blob: &Bytes) -> Result<(), Error> {
    let digest = Digest::of(blob);
    let there = place(session, &format!("blobs/{digest}"))?;
    let answer = session.send(Method::HEAD, there, "*/*", 0, None).await?;
    match answer.status {
        status if status.is_success() => return Ok(()),
        StatusCode::NOT_FOUND => {}
        _ => return Err(unexpected(session.base, &answer)),
    }
    let begin = place(session, "blobs/uploads/")?;
    let nothing = Some((BLOB, Bytes::new()));
    let answer = session.send(Method::POST, begin.clone(), "*/*", MANIFEST_BYTES, nothing).await?;
    if answer.status != StatusCode::ACCEPTED {
        return Err(unexpected(session.base, &answer));
    }
    let lost = |why: String| Error::Upload { digest, why };
    let location = answer.headers.get(LOCATION).ok_or_else(|| lost("there is no address".to_owned()))?;
    let mut to = http::redirect(&begin, location).map_err(|error| lost(chain(&error)))?;
    to.query_pairs_mut().append_pair("digest", &digest.to_string());
    let content = Some((BLOB, blob.clone()));
    let answer = session.send(Method::PUT, to, "*/*", MANIFEST_BYTES, content).await?;
    if answer.status.is_success() { Ok(()) } else { Err(unexpected(session.base, &answer)) }
}
