//! Helm without a cluster: charts, values, rendering, manifests and the release record.
//!
//! What `pintle template` can do on an aeroplane. The way of a chart through the modules:
//!
//! ```text
//! chart::load_archive ─> Chart ─┐
//!                               ├─ values::coalesce ─> Coalesced ── render::render ─> Manifest ─> record::encode
//! user's layers of Values ──────┘
//! ```
//!
//! Everything here is plain data and pure functions, but for one door: templates ask a
//! [`Lookup`](render::Lookup) for objects of the cluster. Output equals Helm 4.3's byte for byte.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use pintle_helm::chart::{Limits, load_archive};
//! use pintle_helm::render::{Capabilities, Lookup, NoCluster, ReleaseFacts, RenderOptions, render};
//! use pintle_helm::values::{CoalesceOptions, Values, coalesce};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let chart = Arc::new(load_archive(&std::fs::read("web-1.0.0.tgz")?, &Limits::default())?);
//! let coalesced = coalesce(&chart, [Values::from_yaml(b"replicas: 3")?], CoalesceOptions::default())?;
//! let facts = ReleaseFacts {
//!     name: "web".to_owned(),
//!     namespace: "shop".to_owned(),
//!     revision: 1,
//!     is_upgrade: false,
//! };
//! let lookup: Arc<dyn Lookup> = Arc::new(NoCluster);
//! let manifest = render(
//!     &coalesced.chart,
//!     &coalesced.values,
//!     &facts,
//!     &Capabilities::default(),
//!     &lookup,
//!     &RenderOptions::default(),
//! )?;
//! print!("{}", manifest.to_text());
//! # Ok(())
//! # }
//! ```

pub mod chart;
mod compat;
mod decode;
pub mod manifest;
pub mod record;
pub mod render;
pub mod template;
pub mod values;

pub use compat::{Compat, UnknownCompat};
