//! What wakes the controllers: watches, each with its own backoff.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, ApiResource};
use kube::core::{DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube_runtime::{WatchStreamExt, watcher};
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use super::store::{Key, Store};
use crate::cluster::{Kind, OperatorClient, chain};

/// A watch ends by itself before proxies cut silent connections (240 s is a common limit).
const WATCH_SECONDS: u32 = 200;

fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

/// Keeps `store` as the server has the kind, and calls `touched` for every key that changed. Runs for ever.
pub async fn mirror<K: DeserializeOwned>(
    client: OperatorClient,
    kind: &'static str,
    plural: &'static str,
    store: Arc<Store<K>>,
    synced: Arc<tokio::sync::Notify>,
    touched: impl Fn(Key),
) {
    let gvk = GroupVersionKind::gvk(crate::api::GROUP, "v1alpha1", kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    let api: Api<DynamicObject> = Api::all_with(client.kube(), &resource);
    let mut events = watcher(api, config()).default_backoff().boxed();
    let mut listed = HashSet::new();
    let mut failing = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                // A list that begins has not succeeded yet.
                if !matches!(event, watcher::Event::Init) && std::mem::take(&mut failing) {
                    debug!(kind, "the watch is back");
                }
                match event {
                    watcher::Event::Init => listed.clear(),
                    watcher::Event::InitApply(object) => {
                        let key = store.apply(object);
                        listed.insert(key.clone());
                        touched(key);
                    }
                    watcher::Event::InitDone => {
                        store.retain(&listed).into_iter().for_each(&touched);
                        synced.notify_one();
                    }
                    watcher::Event::Apply(object) => touched(store.apply(object)),
                    watcher::Event::Delete(object) => touched(store.delete(&object)),
                }
            }
            // One line when it begins, not one for each try.
            Err(error) if !std::mem::replace(&mut failing, true) => {
                warn!(kind, error = chain(&error), "the watch failed; it is tried again with backoff");
            }
            Err(_) => {}
        }
    }
}

/// The metadata of an object that changed.
pub type Metadata = PartialObjectMeta<DynamicObject>;

/// Calls `touched` with the metadata of every object of `kind` that changes. Runs for ever.
pub async fn metadata(client: OperatorClient, kind: Kind, labels: &str, touched: impl Fn(&Kind, Metadata)) {
    let gvk = GroupVersionKind::gvk(&kind.group, &kind.version, &kind.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &kind.plural);
    let api: Api<Metadata> = Api::all_with(client.kube(), &resource);
    let mut events = watcher(api, config().labels(labels)).default_backoff().boxed();
    let mut failing = false;
    while let Some(event) = events.next().await {
        match event {
            // A list that begins has not succeeded yet.
            Ok(watcher::Event::Init) => {}
            Ok(event) => {
                failing = false;
                match event {
                    watcher::Event::Apply(object)
                    | watcher::Event::InitApply(object)
                    | watcher::Event::Delete(object) => touched(&kind, object),
                    watcher::Event::Init | watcher::Event::InitDone => {}
                }
            }
            Err(error) if !std::mem::replace(&mut failing, true) => {
                warn!(
                    kind = kind.kind,
                    error = chain(&error),
                    "the watch failed; it is tried again with backoff"
                );
            }
            Err(_) => {}
        }
    }
}

/// What is done with a changed object.
type Touched = dyn Fn(&Kind, Metadata) + Send + Sync;

/// Watches on the kinds that releases wait for, begun when the first release waits for one.
pub struct KindWatches {
    client: OperatorClient,
    begun: Mutex<HashSet<(String, String)>>,
    touched: Arc<Touched>,
}

impl KindWatches {
    /// None yet; `touched` is called for every object of a release that changes.
    pub fn new(client: OperatorClient, touched: impl Fn(&Kind, Metadata) + Send + Sync + 'static) -> Self {
        Self { client, begun: Mutex::default(), touched: Arc::new(touched) }
    }

    /// Begins the watch on `kind`, unless it runs already. Only objects that Helm manages are watched.
    pub fn ensure(&self, kind: &Kind) {
        let name = (kind.group.clone(), kind.kind.clone());
        if !self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(name) {
            return;
        }
        let (client, kind, touched) = (self.client.clone(), kind.clone(), Arc::clone(&self.touched));
        tokio::spawn(async move {
            metadata(client, kind, "app.kubernetes.io/managed-by=Helm", move |kind, object| {
                touched(kind, object)
            })
            .await;
        });
    }
}

/// How long a controller waits for its first lists.
pub const SYNC_TIMEOUT: Duration = Duration::from_secs(60);
