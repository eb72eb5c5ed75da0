//! The order in which kinds are installed and uninstalled.

use std::cmp::Ordering;

use crate::Compat;

/// Which way a release goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Helm's `InstallOrder`.
    Install,
    /// Helm's `UninstallOrder`.
    Uninstall,
}

/// Helm v4 `pkg/release/v1/util/kind_sorter.go:InstallOrder`.
const INSTALL: [&str; 38] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// `UninstallOrder` there: not the other list backwards, services go early.
const UNINSTALL: [&str; 38] = [
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "APIService",
    "Ingress",
    "IngressClass",
    "Service",
    "CronJob",
    "Job",
    "StatefulSet",
    "HorizontalPodAutoscaler",
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "Pod",
    "DaemonSet",
    "RoleBindingList",
    "RoleBinding",
    "RoleList",
    "Role",
    "ClusterRoleBindingList",
    "ClusterRoleBinding",
    "ClusterRoleList",
    "ClusterRole",
    "CustomResourceDefinition",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "ConfigMap",
    "SecretList",
    "Secret",
    "ServiceAccount",
    "PodDisruptionBudget",
    "PodSecurityPolicy",
    "LimitRange",
    "ResourceQuota",
    "NetworkPolicy",
    "Namespace",
    "PriorityClass",
];

impl Order {
    /// The place of a kind; none for kinds that Helm does not know, which come last both ways.
    pub fn rank(self, kind: &str) -> Option<usize> {
        let kinds = match self {
            Self::Install => &INSTALL,
            Self::Uninstall => &UNINSTALL,
        };
        kinds.iter().position(|known| *known == kind)
    }
}

/// What to sort by, stably, for the order of [`compare_kinds`] when installing, after the Helm that is asked for: Helm 3
/// does not know the webhooks' kinds.
pub(crate) fn install_key(compat: Compat, kind: &str) -> (usize, String) {
    let unknown = compat == Compat::V3 && kind.ends_with("WebhookConfiguration");
    match Order::Install.rank(kind).filter(|_| !unknown) {
        Some(rank) => (rank, String::new()),
        None => (usize::MAX, kind.to_owned()),
    }
}

/// Compares two kinds; sort stably with it, because equal kinds keep their order.
pub fn compare_kinds(order: Order, a: &str, b: &str) -> Ordering {
    match (order.rank(a), order.rank(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_sorted_as_in_helm() {
        for (order, expected) in [
            (Order::Install, ["Namespace", "Service", "Deployment", "APIService", "Apple", "Zebra"]),
            (Order::Uninstall, ["APIService", "Service", "Deployment", "Namespace", "Apple", "Zebra"]),
        ] {
            let mut kinds = ["Zebra", "Deployment", "Namespace", "Apple", "APIService", "Service"];
            kinds.sort_by(|a, b| compare_kinds(order, a, b));
            assert_eq!(kinds, expected);
        }
    }
}
