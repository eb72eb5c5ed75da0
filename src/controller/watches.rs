//! What wakes the controllers: watches, each with its own backoff.
//!
//! A watch may break in every way without a change being missed for good. One that is cut goes on where it was; one
//! that the server cannot go on with begins anew with a list; one on which nothing comes any more, though it is open, is
//! given up a few seconds after the server should have ended it.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use kube::api::{Api, ApiResource};
use kube::core::{DynamicObject, GroupVersionKind, ObjectMeta, PartialObjectMeta};
use kube_runtime::{WatchStreamExt, watcher};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::{debug, info, warn};

use super::store::{Key, Placed, Store};
use crate::cluster::{Discovery, Kind, ObjectRef, OperatorClient, chain};
use crate::release::{HOOK_LABEL, Noticed, SeenObjects, is_ready_at_once};

/// A path that is not served is tried again after this, while the server still lists its kind.
const UNSERVED_PAUSE: Duration = Duration::from_secs(5);

/// Whole objects asked for at once by a list: an object may have a megabyte and more.
const WHOLE_PAGE: u32 = 50;

/// How a watch is made.
#[derive(Clone)]
pub struct Watching {
    /// Who asks.
    pub client: OperatorClient,
    /// The server ends each watch after so many seconds, and it is made again.
    pub seconds: u32,
}

impl Watching {
    /// The changes of what `api` reaches, for ever, with a pause after each error.
    fn follow<K>(&self, api: Api<K>, labels: &str) -> BoxStream<'static, watcher::Result<watcher::Event<K>>>
    where
        K: kube::Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let mut config = watcher::Config::default().timeout(self.seconds);
        if !K::metadata_api() {
            config = config.page_size(WHOLE_PAGE);
        }
        if !labels.is_empty() {
            config = config.labels(labels);
        }
        let begin = move || watcher(api.clone(), config.clone()).boxed();
        let events = stream::unfold((begin(), begin), |(mut events, begin)| async move {
            let event = events.next().await?;
            // kube asks for the same place again and again, which would never be served.
            if matches!(&event, Err(error) if is_lost(error)) {
                events = begin();
            }
            Some((event, (events, begin)))
        });
        events.default_backoff().boxed()
    }
}

/// Whether a watch cannot go on where it was. The server does not know the place, any more or yet: 410 when its memory
/// does not reach so far back, 400 and 504 when it was restored from a backup and is not so far. Or it refuses the one who
/// asks (401, 403): what was listed may not be believed any longer, and a list that begins says so.
fn is_lost(error: &watcher::Error) -> bool {
    let watcher::Error::WatchStartFailed(kube::Error::Api(status)) = error else { return false };
    matches!(status.code, 400 | 401 | 403 | 410 | 504)
}

/// Keeps `store` as the server has the kind, and calls `touched` for every key that changed. Runs for ever.
pub async fn mirror<K: DeserializeOwned + Placed>(
    watching: Watching,
    kind: &'static str,
    plural: &'static str,
    store: Arc<Store<K>>,
    synced: Arc<tokio::sync::Notify>,
    touched: impl Fn(Key),
) {
    let gvk = GroupVersionKind::gvk(crate::api::GROUP, "v1alpha1", kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    let api: Api<DynamicObject> = Api::all_with(watching.client.kube(), &resource);
    let mut events = watching.follow(api, "");
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

/// Calls `touched` with the metadata of every object of `kind` that changes, and whether it is gone. Runs for ever.
pub async fn metadata(watching: Watching, kind: Kind, labels: &str, touched: impl Fn(&Kind, Metadata, bool)) {
    let mut listed = false;
    loop {
        let touched = |object, gone| touched(&kind, object, gone);
        follow(&watching, &kind, labels, &mut listed, touched, |_| ()).await;
        tokio::time::sleep(UNSERVED_PAUSE).await;
    }
}

/// Calls `told` with everything that a watch on the metadata of helm's and our records tells. Runs for ever.
///
/// Who may not list them is told so and not waited for: `listed` is notified then, too.
pub async fn records(
    watching: Watching,
    listed: Arc<tokio::sync::Notify>,
    told: impl Fn(&watcher::Event<Metadata>),
) {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Secret"), "secrets");
    let api: Api<Metadata> = Api::all_with(watching.client.kube(), &resource);
    let mut events = watching.follow(api, "owner in (helm,pintle)");
    let mut failing = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                failing &= matches!(event, watcher::Event::Init);
                told(&event);
                if matches!(event, watcher::Event::InitDone) {
                    listed.notify_one();
                }
            }
            Err(error) => {
                listed.notify_one();
                if !std::mem::replace(&mut failing, true) {
                    warn!(
                        error = chain(&error),
                        "the watch of records failed; it is tried again with backoff"
                    );
                }
            }
        }
    }
}

/// Calls `touched` with every object of `kind` that is a hook's and changes, and whether it is gone, and `missed` as
/// [`follow`] does. Runs for ever.
///
/// The whole object, because its metadata do not tell how it ended, and a Job with a time to live may be gone right
/// after that.
pub async fn hooks(
    watching: Watching,
    kind: Kind,
    touched: impl Fn(&Kind, DynamicObject, bool),
    missed: impl Fn(),
) {
    let mut listed = false;
    loop {
        let touched = |object, gone| touched(&kind, object, gone);
        let lists = |list| {
            if list == List::Anew {
                missed();
            }
        };
        follow(&watching, &kind, HOOK_LABEL, &mut listed, touched, lists).await;
        tokio::time::sleep(UNSERVED_PAUSE).await;
    }
}

/// How far the list is with which a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    /// It begins.
    Begins,
    /// It is whole, for the first time.
    First,
    /// It is whole, not for the first time.
    Anew,
}

/// Calls `touched` with every object of `kind` that changes, and whether it is gone, until the server has no such path
/// any more. Calls `lists` when a list begins and when it is whole. Objects may have gone untold when the watch, which
/// `listed` them before, had to begin anew.
async fn follow<K>(
    watching: &Watching,
    kind: &Kind,
    labels: &str,
    listed: &mut bool,
    touched: impl Fn(K, bool),
    lists: impl Fn(List),
) where
    K: kube::Resource<DynamicType = ApiResource> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
{
    let gvk = GroupVersionKind::gvk(&kind.group, &kind.version, &kind.kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, &kind.plural);
    let api: Api<K> = Api::all_with(watching.client.kube(), &resource);
    let mut events = watching.follow(api, labels);
    let mut failing = false;
    while let Some(event) = events.next().await {
        match event {
            // A list that begins has not succeeded yet.
            Ok(watcher::Event::Init) => lists(List::Begins),
            Ok(event) => {
                failing = false;
                match event {
                    watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                        touched(object, false)
                    }
                    watcher::Event::Delete(object) => touched(object, true),
                    watcher::Event::InitDone if std::mem::replace(listed, true) => lists(List::Anew),
                    watcher::Event::InitDone => lists(List::First),
                    watcher::Event::Init => {}
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

/// As much of an object as tells how it stands. What a list holds does not say what it is.
fn judgeable(kind: &Kind, metadata: &ObjectMeta, mut data: Value) -> Value {
    let mut part = |name: &str| data.get_mut(name).map(Value::take).unwrap_or_default();
    let (spec, status) = (part("spec"), part("status"));
    let mut short = json!({"name": metadata.name, "generation": metadata.generation});
    if metadata.deletion_timestamp.is_some() {
        short["deletionTimestamp"] = json!(metadata.deletion_timestamp);
    }
    json!({
        "apiVersion": kind.api_version(), "kind": kind.kind, "metadata": short, "spec": spec, "status": status,
    })
}

/// Which object it is that changed.
pub fn identity(kind: &Kind, metadata: &ObjectMeta) -> ObjectRef {
    ObjectRef {
        group: kind.group.clone(),
        version: kind.version.clone(),
        kind: kind.kind.clone(),
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

/// What is done with a changed object.
type Touched = dyn Fn(&Kind, &ObjectMeta, Noticed) + Send + Sync;

/// What is done when a list of a kind is in, the first one or a later one: objects may have gone untold before it.
type Missed = dyn Fn(&Kind, bool) + Send + Sync;

/// Watches on the kinds that releases wait for, begun when the first release waits for one. Where an object's status
/// tells whether it is ready, the whole object is watched, so that nobody has to read it while it is waited for.
pub struct KindWatches {
    watching: Watching,
    discovery: Arc<Discovery>,
    begun: Mutex<HashSet<(String, String, String)>>,
    objects: Arc<SeenObjects>,
    touched: Arc<Touched>,
    missed: Arc<Missed>,
}

impl KindWatches {
    /// None yet; `touched` is called for every object of a release that changes, and every definition, `missed` when one may
    /// have gone untold: before the first list of its kind, or between two.
    pub fn new(
        watching: Watching,
        discovery: Arc<Discovery>,
        objects: Arc<SeenObjects>,
        touched: impl Fn(&Kind, &ObjectMeta, Noticed) + Send + Sync + 'static,
        missed: impl Fn(&Kind, bool) + Send + Sync + 'static,
    ) -> Self {
        let begun = Mutex::default();
        Self { watching, discovery, begun, objects, touched: Arc::new(touched), missed: Arc::new(missed) }
    }

    /// Begins the watch on `kind`, unless it runs already. Only objects that Helm manages are watched, and definitions:
    /// those of `crds/` have no marks.
    pub fn ensure(&self, kind: &Kind) {
        let name = (kind.group.clone(), kind.version.clone(), kind.kind.clone());
        if !self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(name) {
            return;
        }
        let (watching, discovery) = (self.watching.clone(), Arc::clone(&self.discovery));
        let (kind, touched, missed) = (kind.clone(), Arc::clone(&self.touched), Arc::clone(&self.missed));
        let objects = Arc::clone(&self.objects);
        tokio::spawn(async move {
            let mut listed = false;
            loop {
                let told = |metadata: &ObjectMeta, object: Option<&Value>, gone| {
                    touched(&kind, metadata, objects.see(&kind, metadata, object, gone));
                };
                let lists = |list| match list {
                    List::Begins => objects.list_begins(&kind),
                    List::First | List::Anew => {
                        objects.list_ends(&kind);
                        missed(&kind, list == List::First);
                    }
                };
                if is_definition(&kind.group, &kind.kind) {
                    // Those of `crds/` have no marks: it is not known whose they are.
                    let told = |object: Metadata, _| touched(&kind, &object.metadata, Noticed::Turn);
                    let lists = |list| match list {
                        List::Begins => {}
                        List::First | List::Anew => missed(&kind, list == List::First),
                    };
                    follow(&watching, &kind, "", &mut listed, told, lists).await;
                } else if is_ready_at_once(&kind.group, &kind.kind) {
                    let told = |object: Metadata, gone| told(&object.metadata, None, gone);
                    follow(&watching, &kind, MANAGED_BY_HELM, &mut listed, told, lists).await;
                } else {
                    let told = |object: DynamicObject, gone| {
                        let DynamicObject { metadata, data, .. } = object;
                        told(&metadata, Some(&judgeable(&kind, &metadata, data)), gone);
                    };
                    follow(&watching, &kind, MANAGED_BY_HELM, &mut listed, told, lists).await;
                }
                objects.list_begins(&kind);
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

/// Whether it is the kind of the definitions.
pub fn is_definition(group: &str, kind: &str) -> bool {
    group == "apiextensions.k8s.io" && kind == "CustomResourceDefinition"
}

/// How long a controller waits for its first lists.
pub const SYNC_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    //! Unit: which errors end a watch, and which make it begin anew.

    use super::*;

    fn refused(code: u16) -> kube::Error {
        kube::Error::Api(Box::new(kube::core::Status { code, ..Default::default() }))
    }

    #[test]
    fn a_watch_begins_anew_only_when_its_place_is_lost() {
        let refusals = [(401, true), (403, true), (429, false), (500, false)];
        for (code, lost) in [(410, true), (400, true), (504, true)].into_iter().chain(refusals) {
            assert_eq!(is_lost(&watcher::Error::WatchStartFailed(refused(code))), lost, "{code}");
        }
        assert!(!is_lost(&watcher::Error::InitialListFailed(refused(410))), "a list begins anew by itself");
    }

    #[test]
    fn a_watch_ends_when_its_path_is_gone() {
        let list = |code| watcher::Error::InitialListFailed(refused(code));
        assert!(is_unserved(&list(404)));
        let status = kube::core::Status { code: 404, ..Default::default() };
        assert!(is_unserved(&watcher::Error::WatchError(Box::new(status))));
        assert!(!is_unserved(&list(503)), "an aggregated API that is down comes back by itself");
        assert!(!is_unserved(&watcher::Error::NoResourceVersion));
    }
}
