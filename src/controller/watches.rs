//! What wakes the controllers: watches, each with its own backoff.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, ApiResource};
use kube::core::{DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube_runtime::{WatchStreamExt, watcher};
use serde::de::DeserializeOwned;
use tracing::{debug, info, warn};

use super::store::{Key, Store};
use crate::cluster::{Discovery, Kind, OperatorClient, chain};
use crate::release::HOOK_LABEL;

/// A path that is not served is tried again after this, while the server still lists its kind.
const UNSERVED_PAUSE: Duration = Duration::from_secs(5);

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
    loop {
        follow(&client, &kind, labels, |object, _| touched(&kind, object)).await;
        tokio::time::sleep(UNSERVED_PAUSE).await;
    }
}

/// Calls `touched` with every object of `kind` that is a hook's and changes, and whether it is gone. Runs for ever.
///
/// The whole object, because its metadata do not tell how it ended, and a Job with a time to live may be gone right
/// after that.
pub async fn hooks(client: OperatorClient, kind: Kind, touched: impl Fn(&Kind, DynamicObject, bool)) {
    loop {
        follow(&client, &kind, HOOK_LABEL, |object, gone| touched(&kind, object, gone)).await;
        tokio::time::sleep(UNSERVED_PAUSE).await;
    }
}

/// Calls `touched` with every object of `kind` that changes, and whether it is gone, until the server has no such path
/// any more.
async fn follow<K>(client: &OperatorClient, kind: &Kind, labels: &str, touched: impl Fn(K, bool))
where
    K: kube::Resource<DynamicType = ApiResource> + DeserializeOwned + Clone + Debug + Send + 'static,
{
    let gvk = GroupVersionKind::gvk(&kind.group, &kind.version, &kind.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &kind.plural);
    let api: Api<K> = Api::all_with(client.kube(), &resource);
    let mut events = watcher::<K>(api, config().labels(labels)).default_backoff().boxed();
    let mut failing = false;
    while let Some(event) = events.next().await {
        match event {
            // A list that begins has not succeeded yet.
            Ok(watcher::Event::Init) => {}
            Ok(event) => {
                failing = false;
                match event {
                    watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                        touched(object, false)
                    }
                    watcher::Event::Delete(object) => touched(object, true),
                    watcher::Event::Init | watcher::Event::InitDone => {}
                }
            }
            Err(error) if is_unserved(&error) => return,
            Err(error) if !std::mem::replace(&mut failing, true) => {
                let kind = kind.kind.as_str();
                warn!(kind, error = chain(&error), "the watch failed; it is tried again with backoff");
            }
            Err(_) => {}
        }
    }
}

/// Whether the server has no such path.
fn is_unserved(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        watcher::Error::WatchError(status) => status.code == 404,
        _ => false,
    }
}

/// The label of what Helm manages.
const MANAGED_BY_HELM: &str = "app.kubernetes.io/managed-by=Helm";

/// What is done with a changed object.
type Touched = dyn Fn(&Kind, Metadata) + Send + Sync;

/// Watches on the kinds that releases wait for, begun when the first release waits for one.
pub struct KindWatches {
    client: OperatorClient,
    discovery: Arc<Discovery>,
    begun: Mutex<HashSet<(String, String, String)>>,
    touched: Arc<Touched>,
}

impl KindWatches {
    /// None yet; `touched` is called for every object of a release that changes.
    pub fn new(
        client: OperatorClient,
        discovery: Arc<Discovery>,
        touched: impl Fn(&Kind, Metadata) + Send + Sync + 'static,
    ) -> Self {
        Self { client, discovery, begun: Mutex::default(), touched: Arc::new(touched) }
    }

    /// Begins the watch on `kind`, unless it runs already. Only objects that Helm manages are watched.
    pub fn ensure(&self, kind: &Kind) {
        let name = (kind.group.clone(), kind.version.clone(), kind.kind.clone());
        if !self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(name) {
            return;
        }
        let (client, discovery) = (self.client.clone(), Arc::clone(&self.discovery));
        let (kind, touched) = (kind.clone(), Arc::clone(&self.touched));
        tokio::spawn(async move {
            loop {
                follow(&client, &kind, MANAGED_BY_HELM, |object, _| touched(&kind, object)).await;
                if discovery.refresh(UNSERVED_PAUSE).await.is_ok_and(|served| !served.lists(&kind)) {
                    info!(kind = kind.kind, group = kind.group, "not served any more; its watch rests");
                    discovery.until_listed(&kind).await;
                    info!(kind = kind.kind, group = kind.group, "served again; its watch goes on");
                } else {
                    tokio::time::sleep(UNSERVED_PAUSE).await;
                }
            }
        });
    }
}

/// How long a controller waits for its first lists.
pub const SYNC_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    //! Unit: which errors end a watch.

    use super::*;

    #[test]
    fn a_watch_ends_when_its_path_is_gone() {
        let status = |code| {
            let status = serde_json::json!({"status": "Failure", "code": code, "message": "page not found"});
            Box::new(serde_json::from_value::<kube::core::Status>(status).unwrap())
        };
        let list = |code| watcher::Error::InitialListFailed(kube::Error::Api(status(code)));
        assert!(is_unserved(&list(404)));
        assert!(is_unserved(&watcher::Error::WatchError(status(404))));
        assert!(!is_unserved(&list(503)), "an aggregated API that is down comes back by itself");
        assert!(!is_unserved(&watcher::Error::NoResourceVersion));
    }
}
