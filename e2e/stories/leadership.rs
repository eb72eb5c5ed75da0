//! Two operators on one cluster: only the leader writes. A leader that slept for longer than its Lease ends without
//! a write when it wakes; one that is asked to end makes way at once.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::audit::counted;
use crate::chart_server::ChartDir;
use crate::cluster::{Kind, text};
use crate::context::Context;
use crate::operator::{LEADER_ELECT, Operator, Options, SECOND_USER, USER};
use crate::release;

const NAME: &str = "led";
/// A Lease lasts for 15 s, and the machine is busy.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
/// A Lease that was released is taken much sooner than one that runs out.
const HANDED_WITHIN: Duration = Duration::from_secs(10);

const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: led}
data: {text: "{{ .Values.text }}"}
"#;

pub async fn run(cx: &Context) -> anyhow::Result<()> {
    cx.alone(NAME, |own| Box::pin(tell(own))).await
}

async fn tell(cx: &Context) -> anyhow::Result<()> {
    let namespace = cx.namespace().await?;
    let charts = ChartDir::new()?;
    charts.add(NAME, "1.0.0", &[("templates/all.yaml", OBJECTS), ("values.yaml", "text: a\n")])?;
    let server = charts.serve().await?;
    release::repository(cx, &namespace, &server).await?;
    let first = cx.rig().operator()?;
    let leader = holder_is(cx, "nobody", TAKEN_WITHIN, |holder| !holder.is_empty()).await?;
    cx.say(format!("{leader} leads"));

    let env = vec![(LEADER_ELECT.to_owned(), "true".to_owned())];
    let options = Options { env, ..Options::default() };
    let second = Operator::start_as(&cx.rig().control_plane, SECOND_USER, options).await?;
    cx.cluster().apply_yaml(&release::yaml(&namespace, NAME, NAME, "1.0.0", "")).await?;
    release::ready_at(cx, &namespace, NAME, 1).await?;

    asleep(cx, &namespace, first, &leader).await?;
    makes_way(cx, &namespace, first, &second).await
}

/// The leader sleeps, the other one takes over, and the sleeper writes nothing when it wakes.
async fn asleep(cx: &Context, namespace: &str, first: &Operator, leader: &str) -> anyhow::Result<()> {
    let audit = cx.audit().context("the story has a control plane of its own")?;
    first.signal("STOP").await?;
    let mark = audit.mark().await?;
    cx.say("the leader sleeps");
    release::patch(cx, namespace, NAME, serde_json::json!({"values": {"text": "b"}})).await?;
    holder_is(cx, leader, TAKEN_WITHIN, |holder| !holder.is_empty() && holder != leader).await?;
    release::ready_at(cx, namespace, NAME, 2).await?;
    // The sleeper has the first change still before it, and a second one when it wakes.
    release::patch(cx, namespace, NAME, serde_json::json!({"values": {"text": "c"}})).await?;
    first.signal("CONT").await?;
    let status = first.ended(TAKEN_WITHIN).await?;
    ensure!(!status.success(), "an operator that lost its Lease should end badly, and ended with {status}");
    release::ready_at(cx, namespace, NAME, 3).await?;
    let writes = audit.writes_since(mark, USER, namespace).await?;
    ensure!(writes.is_empty(), "an operator that slept wrote:\n{}", counted(&writes));
    Ok(())
}

/// The leader is asked to end: the other one need not wait for its Lease to run out.
async fn makes_way(cx: &Context, namespace: &str, first: &Operator, second: &Operator) -> anyhow::Result<()> {
    first.restart().await?;
    let leader = holder_is(cx, "nobody", TAKEN_WITHIN, |holder| !holder.is_empty()).await?;
    let status = second.stop().await?;
    ensure!(status.success(), "the operator was asked to end and did so with {status}");
    holder_is(cx, &leader, HANDED_WITHIN, |holder| !holder.is_empty() && holder != leader).await?;
    release::patch(cx, namespace, NAME, serde_json::json!({"values": {"text": "d"}})).await?;
    release::ready_at(cx, namespace, NAME, 4).await?;
    Ok(())
}

/// Waits until the holder of the Lease is as `wanted` says; who it is.
async fn holder_is(
    cx: &Context,
    before: &str,
    within: Duration,
    wanted: impl Fn(&str) -> bool,
) -> anyhow::Result<String> {
    let holder = |lease: &Value| text(lease, "/spec/holderIdentity");
    let wanted = |lease: Option<&Value>| lease.is_some_and(|lease| wanted(&holder(lease)));
    let what = format!("held by another one than {before}");
    let lease = cx.objects().wait(Kind::LEASE, "default", "pintle", &what, within, wanted).await?;
    lease.as_ref().map(holder).context("the Lease is gone")
}
