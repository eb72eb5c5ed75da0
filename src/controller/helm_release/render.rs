//! coalesce and render, on the blocking pool.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use pintle_helm::Compat;
use pintle_helm::chart::{Chart, Error};
use pintle_helm::manifest::Manifest;
use pintle_helm::record::Record;
use pintle_helm::render::{Capabilities, KubeVersion, Lookup, ReleaseFacts, RenderOptions, render};
use pintle_helm::values::{CoalesceOptions, Coalesced, Values, coalesce, merge_layers, reuse};

use super::{Inputs, Work};
use crate::api::{Impure, Reason};
use crate::cluster::{Retry, chain};
use crate::controller::lookup::ClusterLookup;
use crate::controller::verdict::Failure;
use crate::release::{self, Action, History, Release};
use crate::repository::ResolvedChart;

/// Rendering may take this long.
const RENDER_TIMEOUT: Duration = Duration::from_secs(10);
/// Rendering sees no older picture of the served kinds than this.
const DISCOVERY_AGE: Duration = Duration::from_secs(60);

impl Work<'_> {
    /// coalesce and render, on the blocking pool.
    pub(super) async fn render(
        &self,
        cx: &Release<'_>,
        history: &History,
        revision: u32,
        inputs: Inputs,
        action: Action,
    ) -> Result<(Coalesced, Manifest), Failure> {
        let compat = self.object.spec.helm_compat.into();
        check_installable(&inputs, compat)?;
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
        let freeze = (spec.impure == Impure::Freeze).then(|| history.drawn());
        let redactions = self.redactions.clone();
        let kept = if action == Action::Upgrade && spec.upgrade.preserve_values {
            self.values_before(cx, history).await?
        } else {
            None
        };
        let work = move || {
            let mut layers = with_values_files(&inputs, &files)?;
            if let Some(kept) = kept {
                let before = (&kept.chart.values, &kept.config);
                layers = reuse(&layers.0, &layers.1, before, compat).map_err(|e| Failure::of_values(&e))?;
            }
            let options = CoalesceOptions { skip_schema_validation: skip_schema, compat };
            let coalesced = coalesce(&layers.0, [layers.1], options).map_err(|e| Failure::of_values(&e))?;
            let options = RenderOptions {
                deadline: Some(Instant::now() + RENDER_TIMEOUT),
                compat,
                freeze,
                ..RenderOptions::default()
            };
            let manifest =
                render(&coalesced.chart, &coalesced.values, &facts, &capabilities, &lookup, &options)
                    .map_err(|e| Failure::of_render(&e))?;
            Ok((coalesced, manifest))
        };
        // More at a time than there are processors would only take more memory. Nobody closes the semaphore.
        let _permit = self.operator.renders.acquire().await.ok();
        let rendered = tokio::task::spawn_blocking(work).await;
        let rendered = rendered.unwrap_or_else(|_| Err(Failure::defect("rendering was cut short")));
        rendered.map_err(|failure: Failure| failure.redacted(&redactions))
    }

    /// The record of the last good revision, whose values an upgrade keeps.
    async fn values_before(
        &self,
        cx: &Release<'_>,
        history: &History,
    ) -> Result<Option<Arc<Record>>, Failure> {
        let Some(good) = history.last_good() else { return Ok(None) };
        history.complete(cx.tenant, cx.key, &[good.number]).boxed().await?;
        Ok(Some(good.record()?))
    }
}

/// A chart that lacks what it depends on would be installed in part, and a library chart not at all.
fn check_installable(inputs: &Inputs, compat: Compat) -> Result<(), Failure> {
    let ResolvedChart { chart, name, version, .. } = &inputs.chart;
    let told = |error: &Error| format!("chart {name}-{version} cannot be installed: {}", chain(error));
    match chart.check_installable(compat) {
        Ok(()) => Ok(()),
        Err(error @ Error::MissingDependencies { .. }) => {
            let message = format!(
                "{}; `pintle dependency build` gets them, then package and publish the chart as a new version",
                told(&error)
            );
            Err(Failure::new(Reason::ChartCorrupt, Retry::Later, message))
        }
        Err(error) => Err(Failure::new(Reason::InvalidSpec, Retry::OnChange, told(&error))),
    }
}

/// The chart with the named files in place of its values.yaml, and the user's values.
///
/// # Compatibility
/// As Flux's `spec.chart.spec.valuesFiles`: the files are merged in order, values.yaml is not implied.
fn with_values_files(inputs: &Inputs, files: &[String]) -> Result<(Arc<Chart>, Values), Failure> {
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
            let (chart, version) = (&inputs.chart.name, &inputs.chart.version);
            let message =
                format!("chart {chart}-{version} has no file `{name}`, which spec.chart.valuesFiles names");
            Failure::new(Reason::ValuesInvalid, Retry::OnChange, message)
        })?;
        let layer = Values::from_yaml(&file.data).map_err(|e| {
            let message = format!("file `{name}` of chart {}: {}", inputs.chart.name, chain(&e));
            Failure::new(Reason::ValuesInvalid, Retry::OnChange, message)
        })?;
        layers.push(layer);
    }
    let mut chart = Chart::clone(chart);
    chart.values = Arc::new(merge_layers(layers));
    // It is not what these were read from.
    chart.values_text = None;
    Ok((Arc::new(chart), inputs.values.clone()))
}
