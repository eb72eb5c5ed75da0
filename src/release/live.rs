//! Live objects, read only when something must be done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::{Error, bounded_until_refused};
use crate::cluster::{Class, Kind, ObjectRef, TenantClient};

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
}

impl Live {
    /// The live object.
    pub fn find(&self, object: &ObjectRef) -> Option<&LiveObject> {
        self.objects.get(object)
    }
}

/// Reads objects, a few at a time. An object whose kind is not served (yet) is absent.
///
/// # Errors
/// The first refusal.
pub async fn live(tenant: &TenantClient, objects: Vec<(Kind, ObjectRef)>) -> Result<Live, Error> {
    let read_at = Some(Instant::now());
    let reads = objects.iter().map(|(kind, object)| read(tenant, kind, object)).collect();
    let found = bounded_until_refused(reads).await?;
    let found = objects.into_iter().zip(found);
    let objects = found.filter_map(|((_, object), live)| Some((object, live?))).collect();
    Ok(Live { objects, read_at })
}

/// Reads one object.
pub(super) async fn read(
    tenant: &TenantClient,
    kind: &Kind,
    object: &ObjectRef,
) -> Result<Option<LiveObject>, Error> {
    match tenant.get(kind, object).await {
        Ok(found) => Ok(found.map(LiveObject::new)),
        Err(error) if error.class == Class::KindNotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
