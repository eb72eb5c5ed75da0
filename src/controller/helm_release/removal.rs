//! The end of a release, and the finalizer that makes sure of it.

use futures::FutureExt;
use tracing::info;

use super::{Account, Work};
use crate::api::{DeletionPolicy, FINALIZER, Reason};
use crate::cluster::{ObjectRef, Retry, TenantClient, chain};
use crate::controller::Requeue;
use crate::controller::publish::HELM_RELEASE;
use crate::controller::verdict::Failure;
use crate::release::{self, Action, Outcome, Policy, ReleaseKey, Remedy};

impl Work<'_> {
    pub(super) async fn ensure_finalizer(&self) -> Result<(), Failure> {
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

    pub(super) async fn write_finalizers(&self, finalizers: &[String]) -> Result<(), Failure> {
        let version = self.object.metadata.resource_version.clone().unwrap_or_default();
        let written = self.operator.publisher.finalizers(HELM_RELEASE, self.key, finalizers, &version).await;
        written.map_err(|e| {
            let message = format!("failed to write the finalizer of HelmRelease {}: {}", self.key, chain(&e));
            Failure::new(Reason::ProgressingWithRetry, Retry::Soon, message)
        })
    }

    /// Removes the release `key` whole; but for what counts its failures, when that puts one right.
    pub(super) async fn uninstall(
        &self,
        client: &TenantClient,
        key: &ReleaseKey,
        remedy: Option<&Remedy>,
    ) -> Result<(), Failure> {
        let owner = self.owner();
        let policy = Policy::new(&self.object.spec, Action::Uninstall);
        let cx = self.release(client, key, &policy, &owner);
        let mut history = match release::observe(client, key).await {
            Ok(observed) => observed.history,
            Err(error) => return Err(self.explain(error).await),
        };
        self.watch_inventory().await;
        let revision = history.latest().map_or(0, |r| r.number);
        self.operator.parking.enter(key, self.key, revision, &self.health);
        let was_ours = self.last_status().is_some_and(|s| s.target.is_some());
        match release::uninstall(&cx, &mut history, was_ours, remedy).boxed().await {
            Outcome::Parked { waiting, deadline, ready, .. } => {
                self.park(key, ready, &waiting);
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
                if let Some(remedy) = remedy {
                    let (of, action) = (remedy.of, remedy.action.as_str());
                    let mut note = format!("uninstalled {key} because the {action} to revision {of} failed");
                    warnings.iter().for_each(|warning| note.push_str(&format!("; {warning}")));
                    self.event(true, Reason::UninstallSucceeded, &note).await;
                } else if !warnings.is_empty() {
                    let note = format!("uninstalled {key}; {}", warnings.join("; "));
                    self.event(true, Reason::UninstallSucceeded, &note).await;
                }
                Ok(())
            }
        }
    }

    /// The kinds of what the release owns are watched from here on: whose the objects are need not be asked then.
    async fn watch_inventory(&self) {
        let inventory = self.last_status().map(|status| status.inventory).unwrap_or_default();
        let Ok(served) = self.operator.discovery.served().await else { return };
        let objects = inventory.iter().filter_map(|entry| ObjectRef::from_id(&entry.id, &entry.v));
        for kind in objects.filter_map(|object| served.kind(&object).cloned()) {
            self.operator.kinds.ensure(&kind);
        }
    }

    /// The HelmRelease is being deleted.
    pub(super) async fn delete(mut self) -> Requeue {
        let finalizers = self.object.metadata.finalizers.clone().unwrap_or_default();
        let uid = self.object.metadata.uid.as_ref();
        if !finalizers.iter().any(|f| f == FINALIZER)
            || self.operator.remember(self.key, uid, |memory| memory.is_over)
        {
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
                self.operator.remember(self.key, uid, |memory| memory.is_over = true);
                Requeue::OnChange
            }
            Err(failure) => self.publish(Account::failed(failure, None)).await,
        }
    }

    pub(super) async fn uninstall_deleted(&mut self) -> Result<(), Failure> {
        let client = self.tenant()?;
        self.learn_secrets(&client).await;
        if let Some(rival) = self.rival_elsewhere() {
            let note = format!(
                "objects of release {} stay: they are those of HelmRelease {rival}",
                self.target.release_name
            );
            self.event(true, Reason::UninstallSkipped, &note).await;
            return Ok(());
        }
        let target = self.last_status().and_then(|s| s.target).unwrap_or_else(|| self.target.clone());
        match self.uninstall(&client, &ReleaseKey::from(&target), None).await {
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
}
