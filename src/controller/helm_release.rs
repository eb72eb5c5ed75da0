//! Reconciles a HelmRelease: one decision, carried out as far as it goes without waiting.
//!
//! The way of one reconcile is drawn in the crate's documentation; [`forward`] reads like it. What waits (for a
//! dependency, a chart, readiness) is woken by a watch and comes through here again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use kube::core::DynamicObject;
use pintle_helm::manifest::Manifest;
use pintle_helm::render::{Capabilities, KubeVersion, Lookup, ReleaseFacts, RenderOptions, render};
use pintle_helm::values::{CoalesceOptions, Coalesced, Values, coalesce, merge_layers};
use tracing::{debug, error, info, warn};

use super::lookup::ClusterLookup;
use super::publish::{HELM_RELEASE, reference};
use super::store::{Key, Seen};
use super::verdict::{self, Failure, Verdict, View, status};
use super::{Operator, Requeue, dereference, jitter};
use crate::api::condition::{self, READY, STALLED};
use crate::api::{
    DeletionPolicy, FINALIZER, HelmRelease, HelmReleaseStatus, InventoryEntry, OnTargetChange, Reason,
    Target, ValuesKind,
};
use crate::cluster::masking::Redactions;
use crate::cluster::{Identity, Kind, ObjectRef, Retry, TenantClient, chain};
use crate::release::{
    self, Action, Decision, Desired, Draft, History, Outcome, Owner, Plan, Policy, Release, ReleaseKey,
    ReleaseState,
};
use crate::repository::ResolvedChart;

/// Rendering may take this long.
const RENDER_TIMEOUT: Duration = Duration::from_secs(10);
/// A repository that was not asked yet wakes its releases; this is for the case that it cannot.
const UNTIL_FETCHED: Duration = Duration::from_secs(60);
/// Rendering sees no older picture of the served kinds than this.
const DISCOVERY_AGE: Duration = Duration::from_secs(60);
/// A pending revision that met a fault of the moment is resumed after this.
const RESUME_PAUSE: Duration = Duration::from_secs(2);
/// An action that takes longer than this is told of before it ends.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

/// Whether the release is as its current generation asks.
pub fn is_ready(release: &HelmRelease) -> bool {
    release.status.as_ref().is_some_and(|status| {
        status.observed_generation == release.metadata.generation
            && condition::is_true(&status.conditions, READY)
    })
}

/// Looks at one HelmRelease.
pub async fn reconcile(operator: &Operator, key: &Key) -> Requeue {
    let object = match operator.helm_releases.see(key) {
        Some(Seen::Valid(object)) => object,
        Some(Seen::Invalid(object, problem)) => return refuse(operator, key, &object, &problem).await,
        None => {
            operator.forget_release(key);
            return Requeue::OnChange;
        }
    };
    let work = Work::new(operator, key, &object);
    if object.metadata.deletion_timestamp.is_some() {
        return work.delete().await;
    }
    if object.spec.suspend {
        return Requeue::OnChange;
    }
    work.reconcile().await
}

/// An object that does not fit its type: nothing is done for it, and its status says so.
async fn refuse(operator: &Operator, key: &Key, object: &DynamicObject, problem: &str) -> Requeue {
    error!(release = %key, problem, "the object does not fit its schema; is the CRD current?");
    let mut status =
        HelmReleaseStatus { observed_generation: object.metadata.generation, ..Default::default() };
    let (generation, now) = (object.metadata.generation, Timestamp::now());
    let message = format!("the object does not fit its schema: {problem}");
    for (type_, value) in [(READY, condition::Status::False), (STALLED, condition::Status::True)] {
        condition::set(&mut status.conditions, type_, value, Reason::InvalidSpec, &message, generation, now);
    }
    // The rest of the status stays as it is: only what is set here is merged in.
    if let Err(error) = operator.publisher.status(HELM_RELEASE, key, None, &status).await {
        warn!(release = %key, error = chain(&error), "the status could not be written");
    }
    Requeue::OnChange
}

/// One look at one HelmRelease.
pub(super) struct Work<'a> {
    pub(super) operator: &'a Operator,
    pub(super) key: &'a Key,
    pub(super) object: &'a HelmRelease,
    pub(super) target: Target,
    redactions: Redactions,
}

/// What a reconcile came to: the verdict, and the history as it is now, when it could be read.
pub(super) struct Account {
    verdict: Verdict,
    history: Option<History>,
}

impl Account {
    pub(super) fn failed(failure: impl Into<Failure>, history: Option<History>) -> Self {
        Self { verdict: Verdict::Failed(failure.into()), history }
    }
}

impl<'a> Work<'a> {
    /// A look at `object`, which is the one of `key`.
    pub(super) fn new(operator: &'a Operator, key: &'a Key, object: &'a HelmRelease) -> Self {
        Self { operator, key, object, target: object.target(), redactions: Redactions::default() }
    }
}

impl Work<'_> {
    async fn reconcile(mut self) -> Requeue {
        let account = match self.prepare().await {
            Ok(client) => self.forward(&client).await,
            Err(failure) => Account::failed(failure, None),
        };
        self.publish(account).await
    }

    /// What must hold before anything is done: the finalizer, the identity, the target.
    async fn prepare(&self) -> Result<TenantClient, Failure> {
        self.ensure_finalizer().await?;
        let client = self.tenant()?;
        let Some(old) = self.last_status().and_then(|s| s.target).filter(|old| *old != self.target) else {
            return Ok(client);
        };
        match self.object.spec.on_target_change {
            OnTargetChange::Deny => Err(Failure::new(
                Reason::TargetChanged,
                Retry::OnChange,
                format!(
                    "the release was deployed as {}/{} (record in {}); releaseName, targetNamespace and storageNamespace \
                     cannot change any more: set them back, or set onTargetChange: Reinstall",
                    old.target_namespace, old.release_name, old.storage_namespace
                ),
            )),
            OnTargetChange::Reinstall => {
                self.uninstall(&client, &ReleaseKey::from(&old)).await?;
                Ok(client)
            }
        }
    }

    /// The pipeline: resolve → dereference → observe → assess → decide, and then the action.
    async fn forward(&mut self, client: &TenantClient) -> Account {
        let release = ReleaseKey::from(&self.target);
        let owner = self.owner();
        let spec = &self.object.spec;
        if let Some(to) = self.held() {
            let history = match release::observe(client, &release).await {
                Ok(observed) => observed,
                Err(error) => return Account::failed(self.explain(error).await, None),
            };
            let desired = Desired::held(&owner, to).forced(self.is_forced()).settled(self.is_settled());
            return self.act(client, &release, history.history, desired, None).await;
        }
        let inputs = match self.inputs(client).await {
            Ok(inputs) => inputs,
            Err(verdict) => return self.without_inputs(client, &release, &owner, verdict).await,
        };
        let history = match release::observe(client, &release).await {
            Ok(observed) => observed.history,
            Err(error) => return Account::failed(self.explain(error).await, None),
        };
        let spec_digest = pintle_helm::manifest::digest_object(&dereference::relevant_spec(spec));
        let digest = &inputs.chart.digest;
        let desired = Desired::forward(&history, &owner, digest, &inputs.values, &spec_digest)
            .forced(self.is_forced())
            .settled(self.is_settled());
        self.act(client, &release, history, desired, Some(inputs)).await
    }

    /// The inputs cannot be had now; what is pending goes on all the same, from its record.
    async fn without_inputs(
        &self,
        client: &TenantClient,
        key: &ReleaseKey,
        owner: &Owner,
        verdict: Verdict,
    ) -> Account {
        let mut history = match release::observe(client, key).await {
            Ok(observed) => observed.history,
            Err(_) => return Account { verdict, history: None },
        };
        let pending = history.latest().filter(|r| {
            r.status.is_pending() && r.facts.as_ref().is_some_and(|f| f.owner_name == owner.name)
        });
        let Some(number) = pending.map(|r| r.number) else { return Account { verdict, history: None } };
        let policy = Policy::new(&self.object.spec, Action::Upgrade);
        let cx = Release { tenant: client, discovery: &self.operator.discovery, key, policy: &policy, owner };
        let verdict = self.resume(&cx, &mut history, number).await.unwrap_or_else(Verdict::Failed);
        Account { verdict, history: Some(history) }
    }

    /// resolve and dereference: what the release is made of.
    async fn inputs(&mut self, client: &TenantClient) -> Result<Inputs, Verdict> {
        let chart = self.resolve().await?;
        let read = dereference::dereference(client, &self.key.namespace, &self.object.spec).await;
        let (values, redactions) = match read {
            Ok(read) => read,
            Err(error) => {
                let failure = Failure::new(error.reason(), error.retry(), chain(&error));
                return Err(Verdict::Failed(self.explain_failure(failure).await));
            }
        };
        self.redactions = redactions;
        Ok(Inputs { chart, values })
    }

    async fn resolve(&self) -> Result<ResolvedChart, Verdict> {
        let spec = &self.object.spec;
        let mut repository = None;
        if let Some(reference) = &spec.chart.repository {
            let key = Key::new(&self.key.namespace, &reference.name);
            let Some(found) = self.operator.chart_repositories.get(&key) else {
                let message = format!("ChartRepository {key} does not exist; create it, or name another one");
                return Err(Verdict::Failed(Failure::new(Reason::ChartUnavailable, Retry::Later, message)));
            };
            // After a start the repositories are asked first; the answer wakes this release.
            if self.operator.repositories.index(&found).is_none() && !self.operator.fetches.is_known(&key) {
                return Err(Verdict::Again(UNTIL_FETCHED));
            }
            repository = Some(found);
        }
        let max_age = if self.is_forced() { Duration::ZERO } else { spec.interval.0 };
        let resolved = self.operator.repositories.resolve(&spec.chart, repository.as_deref(), max_age).await;
        let resolved =
            resolved.map_err(|e| Verdict::Failed(Failure::new(e.reason(), e.retry(), chain(&e))))?;
        if let Some(error) = &resolved.stale {
            warn!(release = %self.key, url = resolved.url, error = chain(error), "the last good chart is used");
        }
        Ok(resolved)
    }

    /// assess and decide, and what follows from it.
    async fn act(
        &self,
        client: &TenantClient,
        key: &ReleaseKey,
        mut history: History,
        desired: Desired,
        inputs: Option<Inputs>,
    ) -> Account {
        let observed = release::Observation { history };
        let mut state = release::assess(&observed, &desired);
        if let ReleaseState::Claimed { owner, .. } = &state
            && self.operator.is_gone(owner)
        {
            // A HelmRelease that was removed without its release (deletionPolicy Orphan) has no claim any more.
            state = release::assess(&observed, &desired.clone().taking_over(true));
        }
        if matches!(state, ReleaseState::Unmanaged { .. })
            && let Some(rival) = self.rival()
        {
            state = ReleaseState::Claimed { owner: rival.to_string(), holder: "helm".to_owned() };
        }
        let decision = release::decide(&state, &desired, Timestamp::now());
        history = observed.history;
        // Without the texts of old failures: those are redacted where they are published.
        debug!(release = %self.key, action = ?decision.action(), "decided");
        let action = decision.action().unwrap_or(Action::Upgrade);
        let policy = Policy::new(&self.object.spec, action);
        let owner = self.owner();
        let cx = Release {
            tenant: client,
            discovery: &self.operator.discovery,
            key,
            policy: &policy,
            owner: &owner,
        };
        let done = match &decision {
            Decision::Nothing => self.rest(&cx, &mut history, &desired).await,
            Decision::Install | Decision::Upgrade => match inputs {
                Some(inputs) => self.advance(&cx, &mut history, &desired, inputs, action).await,
                None => Err(Failure::defect("an install or upgrade was decided for a release that is held")),
            },
            Decision::Adopt { revision } => match inputs {
                Some(inputs) => match self.adopt(&cx, &mut history, &desired, &inputs, *revision).await {
                    Ok(None) => self.advance(&cx, &mut history, &desired, inputs, action).await,
                    Ok(Some(verdict)) => Ok(verdict),
                    Err(failure) => Err(failure),
                },
                None => Err(Failure::defect("an adoption was decided for a release that is held")),
            },
            Decision::Rollback { to } => self.roll_back(&cx, &mut history, *to).await,
            Decision::Resume { revision } => self.resume(&cx, &mut history, *revision).await,
            Decision::Supersede { revision, reason, message } => {
                let error = release::Error::new(*reason, Retry::Soon, message.clone());
                match history.fail(&cx, *revision, &error).await {
                    Ok(()) => Ok(Verdict::Again(Duration::ZERO)),
                    Err(error) => Err(error.into()),
                }
            }
            Decision::Uninstall => match self.uninstall(client, key).await {
                Ok(()) => Ok(Verdict::Again(Duration::ZERO)),
                Err(failure) => Err(failure),
            },
            Decision::Stall { reason, message } => {
                Err(Failure::new(*reason, Retry::OnChange, message.clone()))
            }
            Decision::Later { after, reason, message } => {
                Err(Failure::new(*reason, Retry::Soon, message.clone()).again_after(*after))
            }
        };
        let verdict = match done {
            Ok(verdict) => verdict,
            Err(failure) => Verdict::Failed(failure),
        };
        // Who is entered here is asked, when the process ends, to write down that it was interrupted.
        if !history.latest().is_some_and(|r| r.status.is_pending()) {
            self.operator.parking.leave(key, self.key);
        }
        Account { verdict, history: Some(history) }
    }

    /// Nothing is to be done but what an earlier process may have left over.
    async fn rest(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        desired: &Desired,
    ) -> Result<Verdict, Failure> {
        release::tidy(cx, history, desired.rollback_to).boxed().await?;
        Ok(Verdict::Settled { inventory: self.missed_inventory(cx, history).await })
    }

    /// The inventory, when the status does not have that of the deployed revision: the process that deployed it ended
    /// before it could tell, or somebody else did.
    async fn missed_inventory(&self, cx: &Release<'_>, history: &History) -> Option<Vec<InventoryEntry>> {
        let deployed = history.deployed()?;
        let is_known = self.last_status().is_some_and(|status| {
            status.last_applied_revision == Some(i64::from(deployed.number)) && !status.inventory.is_empty()
        });
        if is_known {
            return None;
        }
        // What cannot be read any more, such as a kind that is gone, must not keep a release from being ready.
        release::recorded_inventory(cx, deployed).boxed().await.ok()
    }

    /// coalesce → render → plan → preflight → begin → execute: a new revision with new content.
    async fn advance(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        desired: &Desired,
        inputs: Inputs,
        action: Action,
    ) -> Result<Verdict, Failure> {
        self.check_dependencies()?;
        let (coalesced, manifest) = self.render(cx, history.next_number(), inputs, action).await?;
        let draft = Draft::forward(
            history,
            cx.key,
            cx.owner,
            action,
            &coalesced.chart,
            coalesced.config,
            &manifest,
            desired,
        )?;
        let plan = release::prepare(cx, history, draft.number(), action, &manifest).boxed().await?;
        if action == Action::Upgrade {
            release::preflight(cx, &plan).boxed().await?;
        }
        self.begin(cx, history, draft, &plan).await
    }

    async fn roll_back(&self, cx: &Release<'_>, history: &mut History, to: u32) -> Result<Verdict, Failure> {
        let draft = Draft::rollback(history, cx.key, cx.owner, to)?;
        let manifest = draft.manifest()?;
        let plan = release::prepare(cx, history, draft.number(), Action::Rollback, &manifest).boxed().await?;
        release::preflight(cx, &plan).boxed().await?;
        self.begin(cx, history, draft, &plan).await
    }

    async fn begin(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        draft: Draft,
        plan: &Plan,
    ) -> Result<Verdict, Failure> {
        self.wait_for(cx.key, plan);
        let action = plan.action;
        let summary = self.summary(plan);
        info!(release = %self.key, revision = draft.number(), action = action.as_str(), plan = %summary, "begins");
        let number = history.begin(cx, draft.with_plan(plan, summary, cx.policy)).await?;
        let outcome = release::execute(cx, history, number, plan).boxed().await;
        self.conclude(cx, history, number, outcome, plan).await
    }

    /// Goes on with a revision from its record: after a wait, or after another process ended in the middle.
    async fn resume(&self, cx: &Release<'_>, history: &mut History, number: u32) -> Result<Verdict, Failure> {
        let revision = history.find(number).ok_or_else(|| Failure::defect("the pending revision is gone"))?;
        let facts = revision.facts.clone().unwrap_or_default();
        let manifest = revision.manifest()?;
        let action = facts.action;
        let policy = Policy::new(&self.object.spec, action);
        let cx = &Release { policy: &policy, ..*cx };
        let plan = match release::prepare(cx, history, number, action, &manifest).boxed().await {
            Ok(plan) => plan,
            Err(error) if error.transient => return Err(error.into()),
            // What cannot be planned will never be carried out: the revision must not stay pending.
            Err(error) => {
                let outcome = Outcome::Failed { error: error.clone() };
                release::conclude(cx, history, number, &outcome).boxed().await?;
                return Err(error.into());
            }
        };
        self.wait_for(cx.key, &plan);
        let outcome = if facts.applied {
            release::resume_wait(cx, history, number, &plan).boxed().await
        } else {
            release::execute(cx, history, number, &plan).boxed().await
        };
        self.conclude(cx, history, number, outcome, &plan).await
    }

    async fn conclude(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        number: u32,
        outcome: Outcome,
        plan: &Plan,
    ) -> Result<Verdict, Failure> {
        let outcome = match outcome {
            // Before it is stored: the status shows the record's message as it is.
            Outcome::Failed { mut error } => {
                error.message = self.redactions.apply(&error.message);
                Outcome::Failed { error }
            }
            other => other,
        };
        release::conclude(cx, history, number, &outcome).boxed().await?;
        let inventory = release::inventory(plan);
        match outcome {
            Outcome::Parked { waiting, deadline, .. } => {
                let begun = history.find(number).and_then(|r| r.facts.as_ref()?.started_at);
                Ok(Verdict::Waiting { waiting, deadline, begun, inventory })
            }
            // The revision stays pending, and turns into a failed one by itself when its deadline is over.
            Outcome::Retry { error } => Err(Failure::from(error).again_after(RESUME_PAUSE)),
            Outcome::Failed { error } => Err(error.into()),
            Outcome::Done { warnings, .. } => {
                self.warn_of(&warnings).await;
                release::tidy(cx, history, self.held()).boxed().await?;
                let recorded = history.find(number).and_then(|r| Some(r.facts.as_ref()?.summary.clone()));
                let summary = recorded.filter(|s| !s.is_empty()).unwrap_or_else(|| self.summary(plan));
                Ok(Verdict::Done { action: plan.action, revision: number, summary, inventory })
            }
        }
    }

    /// What a plan changes. With Secrets among its values no value is shown: a chart may copy them anywhere, and the
    /// old ones are known to nobody here.
    fn summary(&self, plan: &Plan) -> String {
        let secret = self.object.spec.values_from.iter().any(|r| r.kind == ValuesKind::Secret);
        if secret { plan.outline() } else { plan.summary() }
    }

    /// The server's warnings, such as those of Pod Security, become an event.
    async fn warn_of(&self, warnings: &[String]) {
        if !warnings.is_empty() {
            self.event(false, Reason::AdmissionWarning, &warnings.join("; ")).await;
        }
    }

    /// Changes of the release's objects wake it from here on.
    fn wait_for(&self, key: &ReleaseKey, plan: &Plan) {
        self.operator.parking.enter(key, self.key);
        for (kind, _) in plan.inventory() {
            self.operator.kinds.ensure(&kind);
        }
    }

    /// coalesce and render, on the blocking pool.
    pub(super) async fn render(
        &self,
        cx: &Release<'_>,
        revision: u32,
        inputs: Inputs,
        action: Action,
    ) -> Result<(Coalesced, Manifest), Failure> {
        // Charts ask for kinds that may have been installed since.
        let served = self.operator.discovery.refresh(DISCOVERY_AGE).await.map_err(release::Error::from)?;
        let (git, major, minor) = &served.version;
        let capabilities = Capabilities {
            kube_version: KubeVersion::served(git, major, minor),
            api_versions: served.api_versions.iter().cloned().collect(),
        };
        let spec = &self.object.spec;
        let skip_schema = match action {
            Action::Install => spec.install.disable_schema_validation,
            _ => spec.upgrade.disable_schema_validation,
        };
        let facts = ReleaseFacts {
            name: cx.key.name.clone(),
            namespace: cx.key.namespace.clone(),
            revision,
            is_upgrade: action != Action::Install,
        };
        let lookup: Arc<dyn Lookup> =
            Arc::new(ClusterLookup::new(cx.tenant.clone(), Arc::clone(&self.operator.discovery)));
        let files = spec.chart.values_files.clone();
        let compat = spec.helm_compat.into();
        let redactions = self.redactions.clone();
        let work = move || {
            let layers = with_values_files(&inputs, &files)?;
            let options = CoalesceOptions { skip_schema_validation: skip_schema, compat };
            let coalesced = coalesce(&layers.0, [layers.1], options).map_err(|e| Failure::of_values(&e))?;
            let options = RenderOptions {
                deadline: Some(Instant::now() + RENDER_TIMEOUT),
                compat,
                ..RenderOptions::default()
            };
            let manifest =
                render(&coalesced.chart, &coalesced.values, &facts, &capabilities, &lookup, &options)
                    .map_err(|e| Failure::of_render(&e))?;
            Ok((coalesced, manifest))
        };
        let rendered = tokio::task::spawn_blocking(work).await;
        let rendered = rendered.unwrap_or_else(|_| Err(Failure::defect("rendering was cut short")));
        rendered.map_err(|failure: Failure| failure.redacted(&redactions))
    }

    /// The releases of `dependsOn` are ready, and do not wait for this one in turn.
    fn check_dependencies(&self) -> Result<(), Failure> {
        let releases = &self.operator.helm_releases;
        if let Some(cycle) = super::dependencies::cycle(self.key, |key| releases.get(key)) {
            let path: Vec<&str> = cycle.iter().map(|key| key.name.as_str()).collect();
            let message =
                format!("dependsOn leads in a circle: {}; remove one of these references", path.join(" → "));
            return Err(Failure::new(Reason::DependencyCycle, Retry::OnChange, message));
        }
        for dependency in &self.object.spec.depends_on {
            let key = Key::new(&self.key.namespace, &dependency.name);
            let problem = match releases.get(&key) {
                None => "does not exist",
                Some(release) if !is_ready(&release) => "is not ready",
                Some(_) => continue,
            };
            let message = format!("HelmRelease {key}, on which this one depends, {problem}");
            return Err(Failure::new(Reason::DependencyNotReady, Retry::Later, message));
        }
        Ok(())
    }

    pub(super) fn owner(&self) -> Owner {
        Owner {
            uid: self.object.metadata.uid.clone().unwrap_or_default(),
            name: self.key.to_string(),
            holder: self.operator.settings.identity.clone(),
        }
    }

    fn is_settled(&self) -> bool {
        verdict::is_settled(self.last_status().as_ref(), self.object.metadata.generation)
    }

    /// The revision that `rollbackTo` names.
    fn held(&self) -> Option<u32> {
        self.object.spec.rollback_to.and_then(|to| u32::try_from(to).ok())
    }

    fn is_forced(&self) -> bool {
        let asked = self.object.annotation(crate::api::FORCE_AT);
        asked.is_some() && asked != self.last_status().and_then(|s| s.last_handled_force_at).as_deref()
    }

    /// The client under whose name everything of the release is done.
    pub(super) fn tenant(&self) -> Result<TenantClient, Failure> {
        let identity = match self.service_account() {
            Some(name) => Identity::service_account(&self.key.namespace, name).ok_or_else(|| {
                let message = format!("serviceAccountName `{name}` cannot be the name of a ServiceAccount");
                Failure::new(Reason::InvalidSpec, Retry::OnChange, message)
            })?,
            None => Identity::operator(),
        };
        Ok(self.operator.connection.tenant(identity))
    }

    fn service_account(&self) -> Option<&str> {
        let named = self.object.spec.service_account_name.as_deref();
        named.or(self.operator.settings.default_service_account.as_deref())
    }

    /// The server does not say that an impersonated ServiceAccount is missing; it only refuses.
    async fn explain(&self, error: release::Error) -> Failure {
        self.explain_failure(error.into()).await
    }

    async fn explain_failure(&self, failure: Failure) -> Failure {
        if failure.reason == Reason::Forbidden && self.is_service_account_missing().await {
            let name = self.service_account().unwrap_or_default();
            let namespace = &self.key.namespace;
            let message =
                format!("ServiceAccount {namespace}/{name} does not exist; create it and give it its rights");
            return Failure::new(Reason::ServiceAccountNotFound, Retry::Later, message);
        }
        failure
    }

    async fn is_service_account_missing(&self) -> bool {
        let Some(name) = self.service_account() else { return false };
        let account = ObjectRef {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "ServiceAccount".to_owned(),
            namespace: self.key.namespace.clone(),
            name: name.to_owned(),
        };
        let client = self.operator.connection.tenant(Identity::operator());
        let kind = Kind::core("ServiceAccount", "serviceaccounts", true);
        matches!(client.get(&kind, &account).await, Ok(None))
    }

    async fn ensure_finalizer(&self) -> Result<(), Failure> {
        let finalizers = self.object.metadata.finalizers.clone().unwrap_or_default();
        let uid = self.object.metadata.uid.as_ref();
        if finalizers.iter().any(|f| f == FINALIZER)
            || self.operator.remember(self.key, uid, |memory| memory.finalizer)
        {
            return Ok(());
        }
        let mut with = finalizers;
        with.push(FINALIZER.to_owned());
        self.write_finalizers(&with).await?;
        self.operator.remember(self.key, uid, |memory| memory.finalizer = true);
        Ok(())
    }

    async fn write_finalizers(&self, finalizers: &[String]) -> Result<(), Failure> {
        let version = self.object.metadata.resource_version.clone().unwrap_or_default();
        let written = self.operator.publisher.finalizers(HELM_RELEASE, self.key, finalizers, &version).await;
        written.map_err(|e| {
            let message = format!("failed to write the finalizer of HelmRelease {}: {}", self.key, chain(&e));
            Failure::new(Reason::ProgressingWithRetry, Retry::Soon, message)
        })
    }

    /// Removes the release `key` whole.
    async fn uninstall(&self, client: &TenantClient, key: &ReleaseKey) -> Result<(), Failure> {
        let owner = self.owner();
        let policy = Policy::new(&self.object.spec, Action::Uninstall);
        let cx = Release {
            tenant: client,
            discovery: &self.operator.discovery,
            key,
            policy: &policy,
            owner: &owner,
        };
        let mut history = match release::observe(client, key).await {
            Ok(observed) => observed.history,
            Err(error) => return Err(self.explain(error).await),
        };
        self.operator.parking.enter(key, self.key);
        match release::uninstall(&cx, &mut history).boxed().await {
            Outcome::Parked { waiting, deadline, .. } => {
                for (object, _) in &waiting {
                    if let Ok(kind) = self.operator.discovery.kind(object).await {
                        self.operator.kinds.ensure(&kind);
                    }
                }
                Err(Failure::waiting(Reason::Progressing, &waiting, deadline))
            }
            Outcome::Retry { error } | Outcome::Failed { error } => {
                self.operator.parking.leave(key, self.key);
                Err(self.explain(error).await)
            }
            Outcome::Done { warnings, .. } => {
                self.operator.parking.leave(key, self.key);
                info!(release = %self.key, "uninstalled");
                if !warnings.is_empty() {
                    let note = format!("uninstalled {key}; {}", warnings.join("; "));
                    self.event(true, Reason::UninstallSucceeded, &note).await;
                }
                Ok(())
            }
        }
    }

    /// The HelmRelease is being deleted.
    async fn delete(self) -> Requeue {
        let finalizers = self.object.metadata.finalizers.clone().unwrap_or_default();
        if !finalizers.iter().any(|f| f == FINALIZER) {
            return Requeue::OnChange;
        }
        let policy = self.object.spec.deletion_policy;
        let skipped = if self.object.spec.suspend {
            Some("the HelmRelease is suspended")
        } else if policy == DeletionPolicy::Orphan {
            Some("its deletionPolicy is Orphan")
        } else {
            None
        };
        let ended = match skipped {
            Some(why) => {
                let note =
                    format!("objects and record of release {} stay: {why}", ReleaseKey::from(&self.target));
                self.event(true, Reason::UninstallSkipped, &note).await;
                Ok(())
            }
            None if policy == DeletionPolicy::Deny => Err(Failure::new(
                Reason::UninstallFailed,
                Retry::OnChange,
                "its deletionPolicy is Deny; set it to Uninstall or Orphan to let it go",
            )),
            None => self.uninstall_deleted().await,
        };
        let ended = match ended {
            Ok(()) => {
                let left: Vec<String> = finalizers.into_iter().filter(|f| f != FINALIZER).collect();
                self.write_finalizers(&left).await
            }
            failed => failed,
        };
        match ended {
            Ok(()) => {
                self.operator.forget_release(self.key);
                Requeue::OnChange
            }
            Err(failure) => self.publish(Account::failed(failure, None)).await,
        }
    }

    async fn uninstall_deleted(&self) -> Result<(), Failure> {
        let client = self.tenant()?;
        let target = self.last_status().and_then(|s| s.target).unwrap_or_else(|| self.target.clone());
        match self.uninstall(&client, &ReleaseKey::from(&target)).await {
            // What belongs to another HelmRelease is not this one's to remove.
            Err(failure) if failure.reason == Reason::ReleaseClaimed => {
                let note = format!(
                    "objects and record of release {} stay: {}",
                    target.release_name, failure.message
                );
                self.event(true, Reason::UninstallSkipped, &note).await;
                Ok(())
            }
            // Without its identity nothing can be removed, and the HelmRelease must not hold its namespace for ever.
            Err(failure) if failure.reason == Reason::ServiceAccountNotFound => {
                let left = self.last_status().map_or(0, |s| s.inventory.len());
                let note =
                    format!("{left} objects of release {} stay: {}", target.release_name, failure.message);
                self.event(false, Reason::UninstallSkipped, &note).await;
                Ok(())
            }
            other => other,
        }
    }

    async fn event(&self, good: bool, reason: Reason, note: &str) {
        let regarding = reference(HELM_RELEASE, self.object);
        let note = self.redactions.apply(note);
        self.operator.publisher.event(&regarding, good, reason, "Reconcile", &note).await;
    }

    fn last_status(&self) -> Option<HelmReleaseStatus> {
        let uid = self.object.metadata.uid.as_ref();
        let written = self.operator.remember(self.key, uid, |memory| memory.status.clone());
        written.or_else(|| self.object.status.clone())
    }

    /// publish: status, events, and when to look again.
    pub(super) async fn publish(self, account: Account) -> Requeue {
        let Account { verdict, history } = account;
        let verdict = match verdict {
            Verdict::Failed(failure) => Verdict::Failed(failure.redacted(&self.redactions)),
            other => other,
        };
        let old = self.last_status();
        let now = Timestamp::now();
        let failures = self.operator.count_failure(self.key, self.object, &verdict);
        let requeue = self.requeue(&verdict, failures);
        if let Verdict::Again(after) = verdict {
            return Requeue::After(after);
        }
        if let Verdict::Waiting { begun, .. } = &verdict {
            let elapsed = begun.map_or(Duration::ZERO, |b| {
                Duration::try_from(now.duration_since(b)).unwrap_or(Duration::ZERO)
            });
            if elapsed < PROGRESS_AFTER {
                return Requeue::After((PROGRESS_AFTER - elapsed).min(Duration::from_secs(2)));
            }
        }
        let view = View {
            target: &self.target,
            old: old.as_ref(),
            history: history.as_ref(),
            verdict: &verdict,
            failures,
            now,
        };
        let new = status(self.object, &view);
        self.tell(&verdict, old.as_ref()).await;
        let written = self.operator.publisher.status(HELM_RELEASE, self.key, old.as_ref(), &new).await;
        match written {
            Ok(()) => {
                let uid = self.object.metadata.uid.as_ref();
                self.operator.remember(self.key, uid, |memory| memory.status = Some(new));
                requeue
            }
            Err(error) => {
                warn!(release = %self.key, error = chain(&error), "the status could not be written");
                Requeue::After(Duration::from_secs(5))
            }
        }
    }

    fn requeue(&self, verdict: &Verdict, failures: u32) -> Requeue {
        let interval = self.object.spec.interval.0;
        match verdict {
            Verdict::Settled { .. } | Verdict::Done { .. } => Requeue::After(jitter(interval)),
            Verdict::Again(after) => Requeue::After(*after),
            Verdict::Waiting { deadline, .. } => Requeue::After(until(*deadline)),
            Verdict::Failed(failure) => failure.requeue(failures, interval),
        }
    }

    /// Events: one for each end of an action, one for each new failure.
    async fn tell(&self, verdict: &Verdict, old: Option<&HelmReleaseStatus>) {
        match verdict {
            Verdict::Done { action, revision, summary, .. } => {
                let note = format!("{} of revision {revision} succeeded: {summary}", action.as_str());
                info!(release = %self.key, revision, action = action.as_str(), "succeeded");
                self.event(true, action.succeeded(), &note).await;
            }
            Verdict::Failed(failure) if failure.is_news(old) => {
                warn!(release = %self.key, reason = %failure.reason, error = failure.message, "failed");
                self.event(false, failure.reason, &failure.message).await;
            }
            _ => {}
        }
    }
}

/// How long until `moment`; a short while when it has passed.
fn until(moment: Timestamp) -> Duration {
    let left = moment.duration_since(Timestamp::now());
    Duration::try_from(left).unwrap_or(Duration::ZERO).max(Duration::from_millis(100))
}

/// Chart and user values.
#[derive(Clone)]
pub(super) struct Inputs {
    pub(super) chart: ResolvedChart,
    pub(super) values: Values,
}

/// The chart with the named files in place of its values.yaml, and the user's values.
///
/// # Compatibility
/// As Flux's `spec.chart.spec.valuesFiles`: the files are merged in order, values.yaml is not implied.
fn with_values_files(
    inputs: &Inputs,
    files: &[String],
) -> Result<(Arc<pintle_helm::chart::Chart>, Values), Failure> {
    let chart = &inputs.chart.chart;
    if files.is_empty() {
        return Ok((Arc::clone(chart), inputs.values.clone()));
    }
    let mut layers = Vec::with_capacity(files.len());
    for name in files {
        if name == "values.yaml" {
            layers.push(Values::clone(&chart.values));
            continue;
        }
        let file = chart.files.iter().find(|f| &*f.name == name.as_str()).ok_or_else(|| {
            let message =
                format!("chart {}-{} has no file `{name}`", inputs.chart.name, inputs.chart.version);
            Failure::new(Reason::ValuesInvalid, Retry::OnChange, message)
        })?;
        let layer = Values::from_yaml(&file.data).map_err(|e| {
            let message = format!("file `{name}` of chart {}: {}", inputs.chart.name, chain(&e));
            Failure::new(Reason::ValuesInvalid, Retry::OnChange, message)
        })?;
        layers.push(layer);
    }
    let mut chart = pintle_helm::chart::Chart::clone(chart);
    chart.values = Arc::new(merge_layers(layers));
    Ok((Arc::new(chart), inputs.values.clone()))
}
