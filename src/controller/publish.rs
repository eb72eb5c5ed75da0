//! Writes what became of an object: status and events. The status is a view of storage, written after it.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1 as events;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ApiResource, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, GroupVersionKind, Request};
use kube_runtime::events::{Event, EventType, Recorder, Reporter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::warn;

use super::store::Key;
use crate::api::condition::truncate;
use crate::api::{GROUP, Reason};
use crate::cluster::{OperatorClient, Pass, chain};

/// The field manager of the operator's own fields: finalizer and status.
const MANAGER: &str = "pintle";
/// Who events are from.
const REPORTER: &str = "pintle";
/// The server drops an event whose reporting instance is longer.
const INSTANCE_LIMIT: usize = 128;
/// The server drops an event whose note is longer than 1,024 bytes.
const NOTE_LIMIT: usize = 1000;

/// A kind of the operator's own.
#[derive(Clone, Copy, Debug)]
pub struct OwnKind {
    /// Kind.
    pub kind: &'static str,
    /// Its plural.
    pub plural: &'static str,
}

/// `HelmRelease`.
pub const HELM_RELEASE: OwnKind = OwnKind { kind: "HelmRelease", plural: "helmreleases" };
/// `ChartRepository`.
pub const CHART_REPOSITORY: OwnKind = OwnKind { kind: "ChartRepository", plural: "chartrepositories" };

impl OwnKind {
    fn resource(self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1alpha1", self.kind), self.plural)
    }
}

/// Writes status, finalizers and events of the operator's own objects.
#[derive(Clone)]
pub struct Publisher {
    client: OperatorClient,
    reporter: Reporter,
}

impl Publisher {
    /// `instance` names this process in the events.
    pub fn new(client: OperatorClient, instance: &str) -> Self {
        let reporter = Reporter { controller: REPORTER.to_owned(), instance: Some(instance.to_owned()) };
        Self { reporter, client }
    }

    fn api(&self, own: OwnKind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.kube(), namespace, &own.resource())
    }

    /// Leave to write, until it is dropped.
    fn pass(&self) -> Result<Pass, kube::Error> {
        self.client.fence().pass().map_err(|refused| kube::Error::Service(Box::new(refused)))
    }

    /// Writes what of a status is not as in `old`; the version of the object then, when something was written.
    ///
    /// # Errors
    /// The server's refusal; an object that is gone is none.
    pub async fn status<S: Serialize>(
        &self,
        own: OwnKind,
        key: &Key,
        old: Option<&S>,
        new: &S,
    ) -> Result<Option<String>, kube::Error> {
        let old = old.and_then(|s| serde_json::to_value(s).ok()).unwrap_or_default();
        let mut new = serde_json::to_value(new).map_err(kube::Error::SerdeError)?;
        // Compared as written: the server's times are coarser than ours, and a restart must not write them again.
        if old == new {
            return Ok(None);
        }
        // A merge patch only adds and changes: what left the status is set to null.
        if let (Some(old), Some(new)) = (old.as_object(), new.as_object_mut()) {
            for gone in old.keys() {
                new.entry(gone.clone()).or_insert(Value::Null);
            }
            new.retain(|field, value| old.get(field) != Some(value));
        }
        let patch = json!({ "status": new });
        let _pass = self.pass()?;
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let request = Request::new(self.api(own, &key.namespace).resource_url());
        let request = request.patch_subresource("status", &key.name, &params, &Patch::Merge(&patch));
        self.write(request).await
    }

    /// Sends a change; the version of the object then. No more of the answer is read: it is long, and a watch brings it.
    async fn write(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Option<String>, kube::Error> {
        let client = self.client.kube();
        let request = request.map_err(kube::Error::BuildRequest)?;
        match OperatorClient::timed(client.request::<Written>(request)).await {
            Ok(written) => Ok(written.metadata.resource_version),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the finalizers.
    ///
    /// # Errors
    /// The server's refusal; an object that is gone is none.
    pub async fn finalizers(
        &self,
        own: OwnKind,
        key: &Key,
        finalizers: &[String],
        version: &str,
    ) -> Result<(), kube::Error> {
        // With the version, because a list is replaced whole: another controller's finalizer must not be lost.
        let _pass = self.pass()?;
        let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": version}});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let request = Request::new(self.api(own, &key.namespace).resource_url());
        self.write(request.patch(&key.name, &params, &Patch::Merge(&patch))).await.map(drop)
    }

    /// Publishes the event of something that happens once, under a name that it always has: one that was published
    /// before, by a process that ended right after it, is not published again.
    pub async fn event_once(
        &self,
        name: &str,
        regarding: &ObjectReference,
        reason: Reason,
        action: &str,
        note: &str,
    ) {
        let namespace = regarding.namespace.clone().unwrap_or_default();
        let event = events::Event {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(Timestamp::now())),
            action: Some(action.to_owned()),
            reason: Some(reason.as_str().to_owned()),
            note: Some(truncate(note, NOTE_LIMIT)),
            regarding: Some(regarding.clone()),
            reporting_controller: Some(self.reporter.controller.clone()),
            reporting_instance: self.reporter.instance.as_deref().map(|name| truncate(name, INSTANCE_LIMIT)),
            type_: Some("Normal".to_owned()),
            ..events::Event::default()
        };
        let api: Api<events::Event> = Api::namespaced(self.client.kube(), &namespace);
        let published = match self.pass() {
            Ok(_pass) => OperatorClient::timed(api.create(&PostParams::default(), &event)).await.map(drop),
            Err(refused) => Err(refused),
        };
        match published {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => warn!(error = chain(&error), %reason, "an event was lost"),
            Ok(()) => {}
        }
    }

    /// Publishes an event. An event that cannot be written never fails the work that it tells of.
    pub async fn event(
        &self,
        regarding: &ObjectReference,
        good: bool,
        reason: Reason,
        action: &str,
        note: &str,
    ) {
        let event = Event {
            type_: if good { EventType::Normal } else { EventType::Warning },
            reason: reason.as_str().to_owned(),
            note: Some(truncate(note, NOTE_LIMIT)),
            action: action.to_owned(),
            secondary: None,
        };
        // A recorder of its own: one that remembers counts events of one reason, and drops the later ones' notes.
        let recorder = Recorder::new(self.client.kube(), self.reporter.clone());
        let published = match self.pass() {
            Ok(_pass) => OperatorClient::timed(recorder.publish(&event, regarding)).await,
            Err(refused) => Err(refused),
        };
        if let Err(error) = published {
            warn!(error = chain(&error), %reason, "an event was lost");
        }
    }
}

/// What events refer to.
pub fn reference<K>(own: OwnKind, object: &K) -> ObjectReference
where
    K: kube::Resource<DynamicType = ()>,
{
    let metadata = object.meta();
    ObjectReference {
        api_version: Some(format!("{GROUP}/v1alpha1")),
        kind: Some(own.kind.to_owned()),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// As much of a changed object as is read.
#[derive(Deserialize)]
struct Written {
    metadata: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    resource_version: Option<String>,
}
