//! An operator that is killed at any write of an install or an upgrade goes on where it was; a few other faults, drawn
//! anew each time, do no harm either.

use anyhow::Context as _;

use crate::chaos::{self, Options};
use crate::context::{Context, Skipped};

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    if cx.rig().control_plane.is_existing() {
        return Err(Skipped("the operators of an existing cluster are not ours to kill".to_owned()).into());
    }
    let rig = chaos::start().await?;
    let report = chaos::play(&rig, &Options::fast()).await;
    rig.stop().await.context("failed to stop the control plane")?;
    let report = report?;
    cx.note(&format!("{} runs passed", report.passed()));
    report.verdict()
}
