//! The index of stories. Each says in its first line what it tells.

mod adoption;
mod approval;
mod bad_input;
mod broken_upgrade;
mod chaos;
mod chart_tests;
mod claimed;
mod conflicts;
mod crash;
mod crd_policies;
mod culprits;
mod efk;
mod external;
mod failure_classes;
mod field_manager;
mod freeze;
mod harness;
mod health_checks;
mod hook_order;
mod hooks;
mod hostile_sources;
mod immutable;
mod interrupt;
mod isolation;
mod large;
mod leadership;
mod lifecycle;
mod lost_kind;
mod no_op;
mod oci;
mod options;
mod plan;
mod policies;
mod preflight;
mod refused_watch;
mod remediation;
mod removed_version;
mod renamed;
mod repository_options;
mod requests;
mod restarts;
mod side_by_side;
mod silent_watch;
mod slow_hooks;
mod values;
mod versions;
pub mod waiting;

use futures::future::BoxFuture;

use crate::context::Context;

/// A story, and what it needs.
pub struct Story {
    /// Its name: that of its file.
    pub name: &'static str,
    /// Whether it needs the operator, not only a control plane.
    pub needs_operator: bool,
    /// Tells it.
    pub run: for<'a> fn(&'a Context) -> BoxFuture<'a, anyhow::Result<()>>,
}

/// All stories; the long ones come first, for several are told at one time.
pub const ALL: &[Story] = &[
    // Whatever request goes wrong, the release ends as it should. It has a control plane of its own.
    Story { name: "chaos", needs_operator: false, run: |cx| Box::pin(chaos::run(cx)) },
    // The API server is killed again and again while fifty releases are upgraded. It has a control plane of its own.
    Story { name: "restarts", needs_operator: false, run: |cx| Box::pin(restarts::run(cx)) },
    // Sources that turn bad under releases that run: each way has its reason, and nothing that runs is touched. It has
    // a control plane of its own.
    Story { name: "hostile_sources", needs_operator: false, run: |cx| Box::pin(hostile_sources::run(cx)) },
    // Install, upgrade, rollback and removal of three releases that wait for each other.
    Story { name: "lifecycle", needs_operator: true, run: |cx| Box::pin(lifecycle::run(cx)) },
    // The same with published charts: Elasticsearch, Fluentd and Kibana.
    Story { name: "efk", needs_operator: true, run: |cx| Box::pin(efk::run(cx)) },
    // An upgrade that the server refuses, and one whose pods never become ready.
    Story { name: "broken_upgrade", needs_operator: true, run: |cx| Box::pin(broken_upgrade::run(cx)) },
    // One chart with hooks at all events, by the real helm 4 and 3 and by Pintle: the same writes in the same order.
    Story { name: "hook_order", needs_operator: true, run: |cx| Box::pin(hook_order::run(cx)) },
    // What keeps a release from becoming ready is named, with its last words, and without a Secret.
    Story { name: "culprits", needs_operator: true, run: |cx| Box::pin(culprits::run(cx)) },
    // Releases that wait for what never comes keep nobody else from becoming ready.
    Story { name: "waiting", needs_operator: true, run: |cx| Box::pin(waiting::run(cx)) },
    // A broken object stops no other, and neither does a panic. It has a control plane of its own.
    Story { name: "isolation", needs_operator: false, run: |cx| Box::pin(isolation::run(cx)) },
    // A plan is done when it is approved, and no other one. It has a control plane of its own.
    Story { name: "approval", needs_operator: false, run: |cx| Box::pin(approval::run(cx)) },
    // The operator may not watch a kind any more, and then may again. It has a control plane of its own.
    Story { name: "refused_watch", needs_operator: false, run: |cx| Box::pin(refused_watch::run(cx)) },
    // What watches keep silent of is not built upon where it would do harm. It has a control plane of its own.
    Story { name: "silent_watch", needs_operator: false, run: |cx| Box::pin(silent_watch::run(cx)) },
    // A field that cannot be changed is refused, or its object made anew.
    Story { name: "immutable", needs_operator: true, run: |cx| Box::pin(immutable::run(cx)) },
    // Definitions are skipped, created, replaced, and waited for.
    Story { name: "crd_policies", needs_operator: true, run: |cx| Box::pin(crd_policies::run(cx)) },
    // Expressions of the spec tell which objects are ready, which have failed, and which are on their way.
    Story { name: "health_checks", needs_operator: true, run: |cx| Box::pin(health_checks::run(cx)) },
    // What the server would refuse is refused before the first write.
    Story { name: "preflight", needs_operator: true, run: |cx| Box::pin(preflight::run(cx)) },
    // The status and an event tell what a revision changed, and no Secret's value.
    Story { name: "plan", needs_operator: true, run: |cx| Box::pin(plan::run(cx)) },
    // A workload that is renamed frees its volume.
    Story { name: "renamed", needs_operator: true, run: |cx| Box::pin(renamed::run(cx)) },
    // Fields of other managers are left to them, or taken over and told.
    Story { name: "conflicts", needs_operator: true, run: |cx| Box::pin(conflicts::run(cx)) },
    // A killed operator goes on where it was; one that is asked to end does, and starts again without a write.
    // It has a control plane of its own.
    Story { name: "crash", needs_operator: false, run: |cx| Box::pin(crash::run(cx)) },
    // Of two operators one works; one that slept through its lease ends, and one that ends makes way at once.
    // It has a control plane of its own.
    Story { name: "leadership", needs_operator: false, run: |cx| Box::pin(leadership::run(cx)) },
    // An operator that is asked to end in the middle of an install leaves nothing pending, and begins anew when it
    // is back. It has a control plane of its own.
    Story { name: "interrupt", needs_operator: false, run: |cx| Box::pin(interrupt::run(cx)) },
    // Passwords and certificates stay as they are at upgrades, when the spec says so.
    Story { name: "freeze", needs_operator: true, run: |cx| Box::pin(freeze::run(cx)) },
    // A failed action is put right as the spec says, as often as it says.
    Story { name: "remediation", needs_operator: true, run: |cx| Box::pin(remediation::run(cx)) },
    // Tests of a chart, run once for each revision.
    Story { name: "chart_tests", needs_operator: true, run: |cx| Box::pin(chart_tests::run(cx)) },
    // Failures that no other story tells: what is said of each, and that nothing else changes.
    Story { name: "failure_classes", needs_operator: true, run: |cx| Box::pin(failure_classes::run(cx)) },
    // What the options of a ChartRepository change.
    Story {
        name: "repository_options",
        needs_operator: true,
        run: |cx| Box::pin(repository_options::run(cx)),
    },
    // Where values come from, which of them win, and which cannot be had.
    Story { name: "values", needs_operator: true, run: |cx| Box::pin(values::run(cx)) },
    // What each option of an action leaves out or adds.
    Story { name: "options", needs_operator: true, run: |cx| Box::pin(options::run(cx)) },
    // What the policies of a spec keep, remove and refuse.
    Story { name: "policies", needs_operator: true, run: |cx| Box::pin(policies::run(cx)) },
    // Hooks run in order, and one that fails keeps the rest from happening.
    Story { name: "hooks", needs_operator: true, run: |cx| Box::pin(hooks::run(cx)) },
    // What happens while a hook runs is seen when it is done.
    Story { name: "slow_hooks", needs_operator: true, run: |cx| Box::pin(slow_hooks::run(cx)) },
    // A kind goes and comes back, and so does what its releases wait for.
    Story { name: "lost_kind", needs_operator: true, run: |cx| Box::pin(lost_kind::run(cx)) },
    // Every mistake of an author has a reason of its own and changes nothing.
    Story { name: "bad_input", needs_operator: true, run: |cx| Box::pin(bad_input::run(cx)) },
    // Two HelmReleases for one release: the second one is told whose it is, and nothing changes.
    Story { name: "claimed", needs_operator: true, run: |cx| Box::pin(claimed::run(cx)) },
    // Releases of the real helm are taken over, without a write where nothing is to change.
    Story { name: "adoption", needs_operator: true, run: |cx| Box::pin(adoption::run(cx)) },
    // The real helm 4 and 3 read, upgrade, roll back and uninstall a release of ours.
    Story { name: "side_by_side", needs_operator: true, run: |cx| Box::pin(side_by_side::run(cx)) },
    // A release whose record needs several Secrets, and one that no number of them holds.
    Story { name: "large", needs_operator: true, run: |cx| Box::pin(large::run(cx)) },
    // An operator that applies under another name than helm's. It has a control plane of its own.
    Story { name: "field_manager", needs_operator: false, run: |cx| Box::pin(field_manager::run(cx)) },
    // A version of a kind goes away under a release.
    Story { name: "removed_version", needs_operator: true, run: |cx| Box::pin(removed_version::run(cx)) },
    // What the real helm does to a release of ours is told, and left alone until somebody decides.
    Story { name: "external", needs_operator: true, run: |cx| Box::pin(external::run(cx)) },
    // Charts that the real helm pushed to a real registry: by range, tag and digest, with and without a password,
    // and with its signature.
    Story { name: "oci", needs_operator: true, run: |cx| Box::pin(oci::run(cx)) },
    // A source gives other bytes for a version, and takes one back: each policy does as it says, nothing goes down.
    Story { name: "versions", needs_operator: true, run: |cx| Box::pin(versions::run(cx)) },
    // A release that is as it should be costs the API server next to nothing.
    Story { name: "no_op", needs_operator: true, run: |cx| Box::pin(no_op::run(cx)) },
    // The requests of each action of a small release stay within their budgets.
    Story { name: "requests", needs_operator: true, run: |cx| Box::pin(requests::run(cx)) },
    // The rig itself, with the real helm and without the operator.
    Story { name: "harness", needs_operator: false, run: |cx| Box::pin(harness::run(cx)) },
];
