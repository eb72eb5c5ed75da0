//! Under whose name the work on a release is done.

use super::Work;
use crate::api::Reason;
use crate::cluster::{Identity, Kind, ObjectRef, Retry, TenantClient};
use crate::controller::verdict::Failure;
use crate::release;

impl Work<'_> {
    /// The client under whose name everything of the release is done.
    pub(in crate::controller) fn tenant(&self) -> Result<TenantClient, Failure> {
        let identity = match self.service_account() {
            Some(name) => Identity::service_account(&self.key.namespace, name).ok_or_else(|| {
                let message = format!("serviceAccountName `{name}` cannot be the name of a ServiceAccount");
                Failure::new(Reason::InvalidSpec, Retry::OnChange, message)
            })?,
            None => Identity::operator(),
        };
        Ok(self.operator.connection.tenant(identity))
    }

    pub(super) fn service_account(&self) -> Option<&str> {
        let named = self.object.spec.service_account_name.as_deref();
        named.or(self.operator.settings.default_service_account.as_deref())
    }

    /// The server does not say that an impersonated ServiceAccount is missing; it only refuses.
    pub(super) async fn explain(&self, error: release::Error) -> Failure {
        self.explain_failure(error.into()).await
    }

    pub(super) async fn explain_failure(&self, failure: Failure) -> Failure {
        if failure.reason == Reason::Forbidden && self.is_service_account_missing().await {
            let name = self.service_account().unwrap_or_default();
            let namespace = &self.key.namespace;
            let message =
                format!("ServiceAccount {namespace}/{name} does not exist; create it and give it its rights");
            return Failure::new(Reason::ServiceAccountNotFound, Retry::Later, message);
        }
        failure
    }

    pub(super) async fn is_service_account_missing(&self) -> bool {
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
}
