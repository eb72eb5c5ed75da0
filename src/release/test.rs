//! Runs the tests of a deployed revision: hooks with an event of their own, once for each revision.
//!
//! A revision stays deployed while its tests run, and however they end; the facts beside its record say which test
//! runs, and how all of them ended. helm reads the same from the hooks of the record.

use jiff::Timestamp;

use pintle_helm::manifest::{Hook, HookEvent, sort_for_execution};

use super::facts::{HookFacts, Tested};
use super::hook::{Progress, cut_short, run_event, still_running_at};
use super::{Error, History, Outcome, Release};
use crate::api::{Changes, Reason, Test};
use crate::cluster::Retry;
use crate::telemetry::failpoint::Failpoint;

/// Runs the tests that `spec` selects, as far as it goes without waiting; those that are done are not run again.
pub async fn test(cx: &Release<'_>, history: &mut History, number: u32, spec: &Test) -> Outcome {
    match step(cx, history, number, spec).await {
        Ok(outcome) => outcome,
        Err(error) if error.transient => Outcome::Retry { error },
        Err(error) => Outcome::Failed { error },
    }
}

async fn step(cx: &Release<'_>, history: &mut History, number: u32, spec: &Test) -> Result<Outcome, Error> {
    history.complete(cx.tenant, cx.key, &[number]).await?;
    let done = Outcome::Done { changes: Changes::default(), warnings: Vec::new() };
    let Some(revision) = history.find(number) else { return Ok(done) };
    if let Some(facts) = &revision.facts {
        if let Some(parked) = still_running_at(cx, facts, &[HookEvent::Test]).await {
            return Ok(parked);
        }
        // The process that saw it fail ended before it could conclude: it must not get a second chance.
        if let Some(failed) = facts.hooks.iter().find(|run| is_test(run) && !run.succeeded) {
            let message = format!("test hook {} {} failed", failed.kind, failed.name);
            return Err(Error::new(Reason::TestFailed, Retry::Soon, message));
        }
    }
    let mut hooks = revision.manifest()?.hooks;
    hooks.retain(|hook| hook.runs_at(HookEvent::Test) && spec.selects(&hook.name));
    sort_for_execution(&mut hooks);
    let due: Vec<&Hook> = hooks.iter().collect();
    match run_event(cx, history, number, HookEvent::Test, &due).await {
        Ok(Progress::Done) => Ok(done),
        Ok(running) => Ok(running.parked().unwrap_or(done)),
        Err(mut error) => {
            if !error.transient {
                error.reason = Reason::TestFailed;
                error.retry = Retry::Soon;
            }
            Err(error)
        }
    }
}

/// Whether a run was a test's.
pub(super) fn is_test(run: &HookFacts) -> bool {
    run.event == HookEvent::Test.as_str()
}

/// Writes down how the tests ended, where helm shows it as well. What has not ended is not concluded.
///
/// # Errors
/// The server's refusal; calling it again makes what is missing.
pub async fn conclude_tests(
    cx: &Release<'_>,
    history: &mut History,
    number: u32,
    outcome: &Outcome,
) -> Result<(), Error> {
    let failure = match outcome {
        Outcome::Done { .. } => None,
        Outcome::Failed { error } => Some(crate::api::condition::truncate(&error.message, 2048)),
        Outcome::Parked { .. } | Outcome::Retry { .. } => return Ok(()),
    };
    Failpoint::Tested.reach();
    history.note_tests(cx, number, &Tested { at: Timestamp::now(), failure }).await
}

/// Ends the tests of a revision that is about to be replaced or removed: nobody waits for them any more, and they
/// must not run beside those of the next revision. Makes no request when none runs.
pub async fn end_tests(cx: &Release<'_>, history: &History) {
    if let Some(facts) = history.latest().and_then(|r| r.facts.as_ref())
        && facts.running_test().is_some()
    {
        cut_short(cx, facts).await;
    }
}
