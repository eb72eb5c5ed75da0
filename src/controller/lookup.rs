//! `lookup` in templates: the tenant's view of the cluster, with a deadline.

use std::sync::Arc;
use std::time::Duration;

use pintle_helm::render::Lookup;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::cluster::{Class, Discovery, ObjectRef, TenantClient};

/// One call may take this long; the render's own limit counts besides.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Answers `lookup` with the rights of the release's identity.
pub struct ClusterLookup {
    tenant: TenantClient,
    discovery: Arc<Discovery>,
    runtime: Handle,
}

impl ClusterLookup {
    /// To be made on the runtime whose blocking pool renders.
    pub fn new(tenant: TenantClient, discovery: Arc<Discovery>) -> Self {
        Self { tenant, discovery, runtime: Handle::current() }
    }

    async fn find(&self, object: ObjectRef) -> Result<Value, crate::cluster::Error> {
        let nothing = || json!({});
        let kind = match self.discovery.kind(&object).await {
            Ok(kind) => kind,
            Err(error) => return Err(error),
        };
        if object.name.is_empty() {
            let items = self.tenant.list(&kind, &object.namespace, "").await?;
            return Ok(json!({
                "apiVersion": object.api_version(),
                "kind": format!("{}List", object.kind),
                "metadata": {},
                "items": items,
            }));
        }
        if kind.namespaced && object.namespace.is_empty() {
            return Ok(nothing());
        }
        Ok(self.tenant.get(&kind, &object).await?.unwrap_or_else(nothing))
    }
}

impl Lookup for ClusterLookup {
    fn lookup(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, String> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let object = ObjectRef {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(TIMEOUT, self.find(object)).await });
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if error.class == Class::NotFound => Ok(json!({})),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("lookup of {kind} {name} took longer than {} s", TIMEOUT.as_secs())),
        }
    }
}
