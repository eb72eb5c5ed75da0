//! Live objects, read only when something must be done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Error, Release, bounded_until_refused};
use crate::api::Reason;
use crate::cluster::{Class, Kind, ObjectRef, Precondition, Served};

/// What is known of the kinds may be this old when the server says that it has no such path.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);

/// An object as the server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveObject(Arc<Value>);

impl LiveObject {
    /// Wraps an answer of the server.
    pub fn new(object: Value) -> Self {
        Self(Arc::new(object))
    }

    /// The object.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// Its UID.
    pub fn uid(&self) -> Option<&str> {
        self.0.pointer("/metadata/uid")?.as_str().filter(|uid| !uid.is_empty())
    }

    /// Exactly this object, as it was read.
    pub fn as_read(&self) -> Precondition<'_> {
        let version = self.0.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        match (self.uid(), version.filter(|version| !version.is_empty())) {
            (Some(uid), Some(version)) => Precondition::Version { uid, version },
            (uid, _) => uid.into(),
        }
    }

    /// An annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.0.pointer("/metadata/annotations")?.get(key)?.as_str()
    }

    /// A label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.0.pointer("/metadata/labels")?.get(key)?.as_str()
    }

    /// Whether it is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.0.pointer("/metadata/deletionTimestamp").is_some()
    }

    /// Its finalizers.
    pub fn finalizers(&self) -> Vec<&str> {
        let finalizers = self.0.pointer("/metadata/finalizers").and_then(Value::as_array);
        finalizers.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

/// The live objects of a release at one moment; what is absent has no entry.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// By identity.
    pub objects: BTreeMap<ObjectRef, LiveObject>,
    /// When they were read.
    pub read_at: Option<Instant>,
    /// Objects whose kind has just gone.
    pub unserved: Vec<ObjectRef>,
    /// Objects that were not read, because they are known to be as their manifest asks.
    pub proven: BTreeSet<ObjectRef>,
}

impl Live {
    /// The live object.
    pub fn find(&self, object: &ObjectRef) -> Option<&LiveObject> {
        self.objects.get(object)
    }
}

/// Reads objects, a few at a time.
///
/// An object whose kind was not known to be served is absent: its definition comes with the release, or is gone. One
/// whose kind was known to be is listed in [`Live::unserved`].
///
/// # Errors
/// The first refusal.
pub async fn live(cx: &Release<'_>, objects: Vec<(Kind, ObjectRef)>) -> Result<Live, Error> {
    let read_at = Some(Instant::now());
    let known = cx.discovery.served().await?;
    let reads = objects.iter().map(|(kind, object)| find(cx, &known, kind, object)).collect();
    let found = bounded_until_refused(reads).await?;
    let mut live = Live { read_at, ..Live::default() };
    for ((_, object), found) in objects.into_iter().zip(found) {
        match found {
            Found::There(object_there) => drop(live.objects.insert(object, object_there)),
            Found::Absent => {}
            Found::Unserved => live.unserved.push(object),
        }
    }
    Ok(live)
}

/// What a read came to.
enum Found {
    There(LiveObject),
    Absent,
    /// The kind was served when the server was asked last, and is not any more.
    Unserved,
}

async fn find(cx: &Release<'_>, known: &Served, kind: &Kind, object: &ObjectRef) -> Result<Found, Error> {
    match read(cx, kind, object).await {
        Ok(found) => Ok(found.map_or(Found::Absent, Found::There)),
        Err(error) if error.reason != Reason::KindNotFound || error.transient => Err(error),
        Err(_) if known.kind(object).is_none() => Ok(Found::Absent),
        Err(_) => Ok(Found::Unserved),
    }
}

/// Reads one object.
///
/// A path that is not served says nothing of the object: the server is asked again for its kinds then.
///
/// # Errors
/// [`Reason::KindNotFound`], transient while the server still lists the kind, or any other refusal.
pub(super) async fn read(
    cx: &Release<'_>,
    kind: &Kind,
    object: &ObjectRef,
) -> Result<Option<LiveObject>, Error> {
    match cx.tenant.get(kind, object).await {
        Ok(found) => Ok(found.map(LiveObject::new)),
        Err(error) if error.class == Class::KindNotFound => {
            let served = cx.discovery.refresh(REFRESH_PAUSE).await?;
            let mut error = Error::from(crate::cluster::Error::kind_not_found("get", object.clone()));
            error.transient = served.kind(object).is_some();
            Err(error)
        }
        Err(error) => Err(error.into()),
    }
}
