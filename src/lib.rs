//! Helm releases as Kubernetes objects: the library behind the `pintle` binary.
//!
//! `crates/` is what `pintle template` can do on an aeroplane; this crate is what needs a network or a cluster:
//!
//! - [`api`] — the custom resources, their conditions and reasons; no I/O
//! - [`cluster`] — clients (the operator's and the tenant's are different types), kinds, readiness, what the API
//!   server's answers mean, and what of them may be shown
//! - [`repository`] — where charts come from
//! - [`release`] — the release engine: history, state, decision, plan, execution
//! - [`controller`] — watches, queues, and one reconcile function a kind
//! - [`cli`] — flags in, library call, text out
//! - [`telemetry`] — logs, and points at which the rig lets a process die
//!
//! Imports go one way: `cli, controller → release, repository → cluster → api`; `telemetry` imports nothing.
//!
//! # The way of one reconcile
//!
//! ```text
//! resolve → dereference → coalesce → observe → assess → decide → render → plan → begin → execute → conclude → publish
//! chart     valuesFrom    values     history   state    action   manifest changes intent  hooks,    deployed/  status,
//! by digest               (pure)     + live    (pure)   (pure)   (pure)   (pure)          apply,    failed     events
//!                                                                                         prune, wait
//! ```
//!
//! Each step is a function of that name, and what lies between two of them is plain data. A release that waits for
//! its objects leaves the worker and comes back, woken by a watch, from what is recorded of its pending revision.

pub mod api;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod release;
pub mod repository;
pub mod telemetry;
