//! The operator: watches and triggers, queues, and one reconcile function a kind.
//!
//! A reconcile makes one decision and returns when to look again; what it waits for wakes it through a watch.
//! See [`helm_release`] for the way of one release.

mod chart_repository;
mod dependencies;
mod dereference;
mod first_look;
mod helm_release;
mod interrupt;
mod invalid;
mod lanes;
mod leadership;
mod lookup;
mod memory;
mod parked;
mod publish;
mod queue;
mod records;
mod store;
mod touched;
mod verdict;
mod watches;
mod work;

use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use kube::ResourceExt;
use kube::core::{DynamicObject, ObjectMeta};
use kube_runtime::watcher;
use tokio::sync::{Notify, Semaphore};
use tracing::{error, info, warn};

use crate::api::{
    APPROVE, ChartRepository, FORCE_AT, HelmRelease, HelmReleaseStatus, REQUESTED_AT, RESET_AT, Reason,
    condition,
};
use crate::cluster::{Connection, Discovery, Kind};
use crate::release::{HealthChecks, History, SeenHooks, SeenObjects};
use crate::repository::{self, Repositories};
use first_look::FirstLook;
pub use lanes::Shares;
use leadership::Leadership;
use parked::Parking;
use publish::{CHART_REPOSITORY, HELM_RELEASE, Publisher};
use queue::Queue;
use records::Records;
use store::{Key, Place, Seen, Store};
use watches::{KindWatches, Metadata, Watching};

/// Changes of a release's objects come in bursts; they are looked at together.
const SETTLE: Duration = Duration::from_millis(100);

/// How far a wait is is told so often.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// helm's own actions are looked at when they are over, which most are by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// The list of records is waited for so long at the start. It spares a request for each release, and no more.
const RECORDS_WITHIN: Duration = Duration::from_secs(10);

/// How the operator runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of the chart cache.
    pub cache_dir: PathBuf,
    /// ServiceAccount of releases that name none.
    pub default_service_account: Option<String>,
    /// Releases that are worked on at the same time.
    pub concurrency: NonZeroUsize,
    /// How namespaces share them.
    pub shares: Shares,
    /// Bytes that the index of a repository may have.
    pub index_bytes: u64,
    /// Whether sources of charts must have public addresses.
    pub deny_private_sources: bool,
    /// How this process names itself in records and events.
    pub identity: String,
    /// The field manager under which the objects of releases are applied.
    pub field_manager: String,
    /// Namespace of the Lease that only one operator at a time holds; none leaves out the election.
    pub lease_namespace: Option<String>,
    /// The server ends each watch after so many seconds, and it is made again.
    pub watch_seconds: u32,
}

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The custom resources could not be listed.
    #[error(
        "the HelmReleases and ChartRepositories could not be listed within {} s; are the CRDs installed (`pintle crds | \
         kubectl apply -f -`), and may the operator list them?",
        watches::SYNC_TIMEOUT.as_secs()
    )]
    Sync,
    /// A watch or a worker ended, which none of them does by itself.
    #[error("a task of the operator ended; this is a defect of Pintle")]
    TaskEnded,
    /// Another process may be the leader by now.
    #[error("the leadership is lost: {0}; this process ends, and the next one goes on")]
    LeadershipLost(String),
}

/// Why a running operator ends.
enum End {
    /// It was asked to.
    Asked,
    /// The leadership is lost, for this reason.
    Lost(String),
    /// A task ended, which none does by itself; without it the operator would run on blind.
    Broken,
}

/// When a key is to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// When something changes.
    OnChange,
    /// After a while, or when something changes.
    After(Duration),
}

/// What all reconciles share.
pub struct Operator {
    settings: Settings,
    connection: Connection,
    discovery: Arc<Discovery>,
    repositories: Repositories,
    publisher: Publisher,
    helm_releases: Arc<Store<HelmRelease>>,
    chart_repositories: Arc<Store<ChartRepository>>,
    release_queue: Queue<Key>,
    repository_queue: Queue<Key>,
    fetches: chart_repository::Schedule,
    parking: Parking,
    kinds: KindWatches,
    hooks: SeenHooks,
    objects: Arc<SeenObjects>,
    records: Records,
    first_look: FirstLook,
    renders: Semaphore,
    memory: Mutex<HashMap<Key, Memory>>,
}

/// What is remembered of a HelmRelease between two looks at it; all of it can be lost.
#[derive(Default)]
struct Memory {
    /// The UID that it is about.
    uid: Option<String>,
    /// The status as written last, and the version of the object that has it, until the watch brings it back.
    status: Option<(HelmReleaseStatus, String)>,
    /// Whether the finalizer was written, likewise.
    finalizer: bool,
    /// Whether a revision was begun: the watch may not have told of its record yet.
    begun: bool,
    /// Whether the release was removed and the finalizer with it, likewise.
    is_over: bool,
    /// The history of a release that waits, as it was at the last look.
    history: Option<History>,
    /// What the spec says about which objects are ready, parsed.
    health: Option<Arc<HealthChecks>>,
    /// Failures in a row, and of which generation.
    failures: (Option<i64>, u32),
    /// What was last told of a source that does not offer what runs.
    told: Option<String>,
}

/// Runs the operator until `stop` resolves, as soon as it leads.
///
/// # Errors
/// When the custom resources cannot be watched, or the leadership is lost.
pub async fn run(
    connection: Connection,
    settings: Settings,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let Some(namespace) = settings.lease_namespace.clone() else {
        return operate(connection, settings, stop.map(|()| End::Asked)).await;
    };
    let leadership = Arc::new(Leadership::new(&connection, &namespace, &settings.identity));
    let mut stop = std::pin::pin!(stop);
    tokio::select! {
        () = &mut stop => {}
        () = leadership.acquire() => {
            // A task of its own: the Lease is kept while what is in flight ends.
            let mut held = tokio::spawn({
                let leadership = Arc::clone(&leadership);
                async move { leadership.hold().await }
            });
            let end = async {
                tokio::select! {
                    () = &mut stop => End::Asked,
                    lost = &mut held => End::Lost(lost.unwrap_or_else(|_| "the renewal failed".to_owned())),
                }
            };
            let ended = operate(connection, settings, end).await;
            held.abort();
            if !matches!(ended, Err(Error::LeadershipLost(_))) {
                leadership.release().await;
            }
            return ended;
        }
    }
    // A request that was just answered may have made this process the leader.
    leadership.release().await;
    Ok(())
}

/// Watches and works until `end` says why not any longer.
async fn operate(
    connection: Connection,
    settings: Settings,
    end: impl Future<Output = End>,
) -> Result<(), Error> {
    let concurrency = settings.concurrency.get();
    let operator = Operator::new(connection, settings);
    let mut tasks = tokio::task::JoinSet::new();
    let [releases, repositories, records] = watch(&operator, &mut tasks);
    let listed = async {
        releases.notified().await;
        repositories.notified().await;
    };
    tokio::time::timeout(watches::SYNC_TIMEOUT, listed).await.map_err(|_| Error::Sync)?;
    if tokio::time::timeout(RECORDS_WITHIN, records.notified()).await.is_err() {
        warn!("the records of releases are not listed yet; until they are, each release asks for its own");
    }
    info!(identity = operator.settings.identity, "the operator runs");
    operator.first_look.begin(operator.helm_releases.all_keys());
    for _ in 0..concurrency {
        tasks.spawn(Arc::clone(&operator).work_on_releases());
    }
    for _ in 0..concurrency.min(4) {
        tasks.spawn(Arc::clone(&operator).work_on_repositories());
    }
    let end = tokio::select! {
        end = end => end,
        _ = tasks.join_next() => End::Broken,
    };
    match end {
        End::Asked => {
            info!("the operator stops");
            interrupt::shut_down(&operator, tasks).await;
            Ok(())
        }
        End::Lost(why) => {
            error!(why, "the operator does not lead any more");
            interrupt::cut_off(&operator, tasks).await;
            Err(Error::LeadershipLost(why))
        }
        End::Broken => {
            interrupt::shut_down(&operator, tasks).await;
            Err(Error::TaskEnded)
        }
    }
}

impl Operator {
    fn new(connection: Connection, settings: Settings) -> Arc<Self> {
        let client = connection.operator();
        Arc::new_cyclic(|operator: &std::sync::Weak<Operator>| {
            let weak = operator.clone();
            let touched = move |kind: &Kind, metadata: &ObjectMeta, noticed| {
                if let Some(operator) = weak.upgrade() {
                    operator.object_touched(kind, metadata, noticed);
                }
            };
            let weak = operator.clone();
            let missed = move |kind: &Kind, first| {
                if let Some(operator) = weak.upgrade() {
                    operator.listed(kind, first);
                }
            };
            let watching = Watching { client: client.clone(), seconds: settings.watch_seconds };
            let discovery = Arc::new(Discovery::new(client.clone()));
            let objects = Arc::new(SeenObjects::default());
            Operator {
                publisher: Publisher::new(client.clone(), &settings.identity),
                repositories: Repositories::new(repository::Options {
                    cache_dir: Some(settings.cache_dir.clone()),
                    index_bytes: settings.index_bytes,
                    http: repository::HttpLimits {
                        private: !settings.deny_private_sources,
                        ..repository::HttpLimits::default()
                    },
                    ..repository::Options::default()
                }),
                kinds: KindWatches::new(
                    watching,
                    Arc::clone(&discovery),
                    Arc::clone(&objects),
                    touched,
                    missed,
                ),
                discovery,
                connection,
                helm_releases: Arc::default(),
                chart_repositories: Arc::default(),
                release_queue: Queue::new(settings.shares.clone()),
                repository_queue: Queue::new(settings.shares.clone()),
                fetches: chart_repository::Schedule::default(),
                parking: Parking::default(),
                hooks: SeenHooks::default(),
                objects,
                records: Records::default(),
                first_look: FirstLook::default(),
                renders: Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)),
                memory: Mutex::default(),
                settings,
            }
        })
    }
}

/// Begins the watches; each [`Notify`] fires when its first list is in.
fn watch(operator: &Arc<Operator>, tasks: &mut tokio::task::JoinSet<()>) -> [Arc<Notify>; 3] {
    let client = operator.connection.operator();
    let watching = Watching { client, seconds: operator.settings.watch_seconds };
    let synced = [(); 3].map(|()| Arc::new(Notify::new()));
    let touched = {
        let operator = Arc::clone(operator);
        let seen = Mutex::new(HashMap::new());
        move |key: Key| operator.release_touched(&seen, key)
    };
    let store = Arc::clone(&operator.helm_releases);
    let (kind, plural) = (HELM_RELEASE.kind, HELM_RELEASE.plural);
    tasks.spawn(watches::mirror(watching.clone(), kind, plural, store, Arc::clone(&synced[0]), touched));
    let touched = {
        let operator = Arc::clone(operator);
        move |key: Key| {
            operator.wake_users_of(&key);
            operator.repository_queue.add(key);
        }
    };
    let store = Arc::clone(&operator.chart_repositories);
    let (kind, plural) = (CHART_REPOSITORY.kind, CHART_REPOSITORY.plural);
    tasks.spawn(watches::mirror(watching.clone(), kind, plural, store, Arc::clone(&synced[1]), touched));
    // Helm's own records change with every action and are nobody's values.
    for kind in [Kind::secret(), Kind::core("ConfigMap", "configmaps", true)] {
        let operator = Arc::clone(operator);
        let touched = move |kind: &Kind, object: Metadata, _| operator.reference_touched(kind, &object);
        let watching = watching.clone();
        tasks.spawn(
            async move { watches::metadata(watching, kind, "owner notin (helm,pintle)", touched).await },
        );
    }
    for kind in [Kind::core("Pod", "pods", true), Kind::job()] {
        let operator = Arc::clone(operator);
        let waking = Arc::clone(&operator);
        let touched =
            move |kind: &Kind, object: DynamicObject, gone| operator.hook_touched(kind, &object, gone);
        tasks.spawn(watches::hooks(watching.clone(), kind, touched, move || waking.wake_parked()));
    }
    let operator = Arc::clone(operator);
    let told = move |event: &watcher::Event<Metadata>| {
        operator.records.take(event);
        match event {
            watcher::Event::InitApply(secret) | watcher::Event::Apply(secret) => {
                operator.record_touched(secret, false);
            }
            watcher::Event::Delete(secret) => operator.record_touched(secret, true),
            watcher::Event::Init | watcher::Event::InitDone => {}
        }
    };
    tasks.spawn(watches::records(watching, Arc::clone(&synced[2]), told));
    synced
}

/// What of a HelmRelease asks for a reconcile when it changes; a status does not.
type Fingerprint = (Option<String>, Option<i64>, [Option<String>; 4], bool);

/// What is known of a HelmRelease, and whether it is ready.
type Touched = (Fingerprint, bool);

impl Operator {
    fn release_touched(&self, seen: &Mutex<HashMap<Key, Touched>>, key: Key) {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match self.helm_releases.see(&key) {
            Some(Seen::Valid(object)) => {
                self.status_is_back(&key, &object);
                (fingerprint(&*object), helm_release::is_ready(&object))
            }
            // Its status is written, too, and no reason to look again.
            Some(Seen::Invalid(object, _)) => (fingerprint(&*object), false),
            None => {
                seen.remove(&key);
                drop(seen);
                self.release_queue.add(key.clone());
                self.wake_dependents_of(&key);
                self.wake_claimants();
                return;
            }
        };
        let before = seen.insert(key.clone(), now.clone());
        drop(seen);
        if before.as_ref().map(|(fingerprint, _)| fingerprint) != Some(&now.0) {
            self.release_queue.add(key.clone());
        }
        // All else that a status tells is nothing to them: two that depend on each other would wake each other for ever.
        if before.as_ref() != Some(&now) {
            self.wake_dependents_of(&key);
        }
    }

    /// Wakes the releases that wait for this one.
    fn wake_dependents_of(&self, key: &Key) {
        let place = Place::Dependency(&key.namespace, &key.name);
        let waiting = self.helm_releases.keys_at(&place, |release| {
            release.spec.depends_on.iter().any(|d| d.name == key.name) && !helm_release::is_ready(release)
        });
        waiting.into_iter().for_each(|key| self.release_queue.add(key));
    }

    /// Wakes the releases that another HelmRelease has: the one that went may have been it.
    fn wake_claimants(&self) {
        let claimants = self.helm_releases.keys(|release| {
            let conditions = release.status.as_ref().map(|status| &status.conditions);
            let ready = conditions.and_then(|all| condition::find(all, condition::READY));
            ready.is_some_and(|ready| ready.reason == Reason::ReleaseClaimed.as_str())
        });
        claimants.into_iter().for_each(|key| self.release_queue.add(key));
    }

    /// Wakes the releases whose chart comes from a repository.
    fn wake_users_of(&self, repository: &Key) {
        let place = Place::Repository(&repository.namespace, &repository.name);
        let users = self.helm_releases.keys_at(&place, |release| {
            release.spec.chart.repository.as_ref().is_some_and(|r| r.name == repository.name)
        });
        users.into_iter().for_each(|key| self.release_queue.add(key));
    }

    /// A Secret or ConfigMap changed: whoever reads it is woken.
    fn reference_touched(&self, kind: &Kind, object: &Metadata) {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let place = Place::Values(&kind.kind, namespace, name);
        let readers = self
            .helm_releases
            .keys_at(&place, |release| dereference::refers_to(&release.spec, &kind.kind, name));
        readers.into_iter().for_each(|key| self.release_queue.add(key));
        if kind.kind != "Secret" {
            return;
        }
        let repositories = self.chart_repositories.keys(|repository| {
            let spec = &repository.spec;
            let refers =
                |r: &Option<crate::api::LocalSecretReference>| r.as_ref().is_some_and(|r| r.name == name);
            repository.metadata.namespace.as_deref() == Some(namespace)
                && (refers(&spec.secret_ref)
                    || refers(&spec.cert_secret_ref)
                    || spec.verify.as_ref().is_some_and(|verify| verify.refers_to(name)))
        });
        for key in repositories {
            self.fetches.clear(&key);
            self.repository_queue.add(key);
        }
    }

    /// A revision's Secret changed, or is gone: whoever has the release is woken, when it was not Pintle that wrote it.
    fn record_touched(&self, secret: &Metadata, gone: bool) {
        let labels = secret.labels();
        let (Some(name), Some(version)) = (labels.get("name"), labels.get("version")) else { return };
        let Ok(version) = version.parse::<i64>() else { return };
        let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
        let owners = self.helm_releases.keys_at(&Place::Record(namespace, name), |release| {
            let target = release.target();
            target.storage_namespace == namespace && target.release_name == *name
        });
        for key in owners {
            let known = self.known_status(&key);
            let Some(newest) = known.as_ref().and_then(|status| status.history.first()) else { continue };
            let applied = known.as_ref().and_then(|status| status.last_applied_revision);
            let changed = match version.cmp(&newest.revision) {
                // Pintle itself removes older ones only, until it removes all.
                _ if gone => version == newest.revision || applied == Some(version),
                std::cmp::Ordering::Less => false,
                // helm removes its records at the end of an uninstall, which changes no label.
                std::cmp::Ordering::Equal => {
                    let status = labels.get("status");
                    status != Some(&newest.status) || status.is_some_and(|s| s == "uninstalling")
                }
                std::cmp::Ordering::Greater => true,
            };
            // What a worker writes is told of when it is done.
            if changed && !self.release_queue.is_running(&key) && !self.parking.has(&key) {
                self.release_queue.add_after(key, PATIENCE);
            }
        }
    }

    /// Changes what is remembered of an object; an older object of the same name is forgotten.
    fn remember<T>(&self, key: &Key, uid: Option<&String>, f: impl FnOnce(&mut Memory) -> T) -> T {
        let mut all = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = all.entry(key.clone()).or_default();
        if uid.is_some() && memory.uid.as_ref() != uid {
            *memory = Memory { uid: uid.cloned(), ..Memory::default() };
        }
        f(memory)
    }

    /// Whether there is no HelmRelease of this `namespace/name`.
    fn is_gone(&self, name: &str) -> bool {
        name.split_once('/')
            .is_some_and(|(namespace, name)| self.helm_releases.see(&Key::new(namespace, name)).is_none())
    }

    fn forget_release(&self, key: &Key) {
        self.first_look.seen(key);
        self.parking.leave_all(key);
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Counts failures in a row of one generation.
    fn count_failure(&self, key: &Key, object: &HelmRelease, verdict: &verdict::Verdict) -> u32 {
        self.remember(key, object.metadata.uid.as_ref(), |memory| {
            let generation = object.metadata.generation;
            let before = if memory.failures.0 == generation { memory.failures.1 } else { 0 };
            let now = match verdict {
                verdict::Verdict::Failed(failure) if failure.is_wait() => before,
                verdict::Verdict::Failed(_) => before + 1,
                verdict::Verdict::Settled { .. } | verdict::Verdict::Done { .. } => 0,
                verdict::Verdict::Waiting { .. }
                | verdict::Verdict::Awaiting { .. }
                | verdict::Verdict::Again(_) => before,
            };
            memory.failures = (generation, now);
            now
        })
    }
}

fn fingerprint(object: &impl ResourceExt) -> Fingerprint {
    let annotation = |key| object.annotations().get(key).cloned();
    (
        object.uid(),
        object.meta().generation,
        [REQUESTED_AT, FORCE_AT, APPROVE, RESET_AT].map(annotation),
        object.meta().deletion_timestamp.is_some(),
    )
}

/// A duration give or take a tenth, so that what began together does not stay together.
///
/// No interval is shorter than a second: one release must not keep a worker busy.
fn jitter(duration: Duration) -> Duration {
    duration.max(Duration::from_secs(1)).mul_f64(rand::random_range(0.9..1.1))
}
