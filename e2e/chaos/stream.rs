//! What goes wrong with a watch: something in place of one event, and what comes after it.

use std::future::pending;
use std::sync::Arc;

use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};

use super::fault::Fault;
use super::faultproxy::{Answer, Cut, Shared};

/// How an event begins that tells of no change.
const BOOKMARK: &[u8] = b"{\"type\":\"BOOKMARK\"";
/// What the server says on a watch that it cannot go on with.
const EXPIRED: &str = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\
    \"status\":\"Failure\",\"message\":\"too old resource version\",\"reason\":\"Expired\",\"code\":410}}\n";

/// The answer to the watch of that number, up to the event in whose place something goes wrong.
pub fn watched(shared: Arc<Shared>, number: usize, body: Answer) -> Answer {
    let frames = stream::unfold(Some((body, true)), move |state| {
        let shared = Arc::clone(&shared);
        async move {
            // An event can come in several frames; only at its beginning can another one take its place.
            let (mut body, begins) = state?;
            let Ok(frame) = body.frame().await? else { return Some((Err(Cut.into()), None)) };
            let data = frame.data_ref();
            let is_event = data.is_some_and(|data| begins && !data.starts_with(BOOKMARK));
            match is_event.then(|| shared.strike(number)).flatten() {
                None => {
                    let ends = data.is_none_or(|data| data.ends_with(b"\n"));
                    Some((Ok(frame), Some((body, ends))))
                }
                Some(Fault::WatchExpired) => {
                    Some((Ok(Frame::data(Bytes::from_static(EXPIRED.as_bytes()))), None))
                }
                Some(Fault::WatchSilent) => pending().await,
                Some(_) => Some((Err(Cut.into()), None)),
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}
