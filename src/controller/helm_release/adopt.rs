//! Takes over a release that helm or Flux made.
//!
//! What would be rendered is compared with what is stored. When they are the same, nothing is written but Pintle's
//! facts beside the record: no revision, no object.

use futures::FutureExt;
use tracing::info;

use super::{Inputs, Work};
use crate::controller::verdict::{Failure, Verdict};
use crate::release::{self, Action, Desired, Draft, History, Release};

impl Work<'_> {
    /// Adopts revision `number` as it is; `None` when it is not what is wanted, and the next revision is to be made.
    pub(super) async fn adopt(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        desired: &Desired,
        inputs: &Inputs,
        number: u32,
    ) -> Result<Option<Verdict>, Failure> {
        let Some(revision) = history.find(number).cloned() else { return Ok(None) };
        // A record that cannot be read is no reason to leave the release as it is.
        let Ok(record) = revision.record() else { return Ok(None) };
        let Some(inputs) = as_versioned(inputs, &record.chart.metadata.version) else { return Ok(None) };
        // As helm rendered it: a chart may tell an install from an upgrade.
        let action = if number == 1 { Action::Install } else { Action::Upgrade };
        let Ok((coalesced, manifest)) = self.render(cx, history, number, inputs, action).await else {
            return Ok(None);
        };
        let (key, owner, config) = (cx.key, cx.owner, coalesced.config);
        let draft =
            Draft::forward(history, key, owner, action, &coalesced.chart, config, &manifest, desired)?;
        let draft = draft.of_attempt(desired.attempt(history, false));
        let Some(facts) = draft.adopting(&revision)? else { return Ok(None) };
        let plan = release::prepare(cx, history, number, action, &manifest).boxed().await?;
        history.adopt(cx, number, &facts).await?;
        info!(release = %self.key, revision = number, "adopted as it is");
        Ok(Some(Verdict::Done {
            action: facts.action,
            revision: number,
            summary: "it is adopted as helm made it".to_owned(),
            inventory: release::inventory(&plan),
        }))
    }
}

/// The inputs with the version that a record names, when it is the chart's but for its build metadata.
fn as_versioned(inputs: &Inputs, recorded: &str) -> Option<Inputs> {
    let mut inputs = inputs.clone();
    let own = &inputs.chart.chart.metadata.version;
    if own == recorded {
        return Some(inputs);
    }
    if !same_but_build(own, recorded) {
        return None;
    }
    let mut chart = pintle_helm::chart::Chart::clone(&inputs.chart.chart);
    recorded.clone_into(&mut chart.metadata.version);
    inputs.chart.chart = chart.into();
    Some(inputs)
}

/// Whether two versions differ in their build metadata alone: Flux puts the digest of the chart's source there.
fn same_but_build(one: &str, other: &str) -> bool {
    let base = |version: &str| version.split_once('+').map_or(version, |(base, _)| base).to_owned();
    base(one) == base(other)
}

#[cfg(test)]
mod tests {
    //! Unit: versions as Flux writes them.

    use super::same_but_build;

    #[test]
    fn build_metadata_makes_no_other_version() {
        for (one, other, want) in [
            ("1.0.0", "1.0.0", true),
            ("1.0.0", "1.0.0+8c2f1b7d3e4a", true),
            ("1.0.0+own", "1.0.0+8c2f1b7d3e4a", true),
            ("1.0.0-rc.1", "1.0.0-rc.1+8c2f", true),
            ("1.0.0", "1.0.1+8c2f", false),
            ("1.0.0-rc.1", "1.0.0", false),
        ] {
            assert_eq!(same_but_build(one, other), want, "{one} and {other}");
        }
    }
}
