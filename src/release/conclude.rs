//! Writes down how an action ended.

use super::{Error, History, Outcome, Release, draft};
use crate::telemetry::failpoint::Failpoint;

/// Concludes revision `number`: deployed first, and only then the older one superseded, so that at no moment no
/// revision is deployed. A parked or interrupted action is not concluded.
///
/// # Errors
/// The server's refusal; calling it again makes what is missing.
pub async fn conclude(
    cx: &Release<'_>,
    history: &mut History,
    number: u32,
    outcome: &Outcome,
) -> Result<(), Error> {
    match outcome {
        Outcome::Done { .. } => {
            Failpoint::Concluding.reach();
            let facts = history.find(number).and_then(|r| r.facts.as_ref());
            let (action, of) = facts.map(|f| (f.action, f.rollback_of)).unwrap_or_default();
            history.deploy(cx, number, &draft::success_text(action, of)).await?;
            Failpoint::Deployed.reach();
            supersede_outdated(cx, history).await
        }
        Outcome::Failed { error } => {
            Failpoint::Failing.reach();
            history.fail(cx, number, error).await?;
            super::clean_up(cx, history, number).await?;
            // Retries go on for ever; without this so would the history.
            for number in history.repeated_failures(cx.policy.max_history) {
                history.remove(cx, number).await?;
            }
            Ok(())
        }
        Outcome::Parked { .. } | Outcome::Retry { .. } => Ok(()),
    }
}

/// Ends a pending revision that nobody wants any more, or whose process ends, as failed.
///
/// # Errors
/// The server's refusal.
pub async fn give_up(cx: &Release<'_>, history: &mut History, number: u32, why: &Error) -> Result<(), Error> {
    if let Some(facts) = history.find(number).and_then(|r| r.facts.clone()) {
        super::hook::cut_short(cx, &facts).await;
    }
    history.fail(cx, number, why).await
}

/// Repairs and shortens the history: deployed revisions that a newer one has replaced become superseded, and what is
/// over `policy.max_history` goes. Makes no request when there is nothing to do, so it can end every reconcile.
///
/// `held` is the revision that `rollbackTo` names: it stays.
///
/// # Errors
/// The server's refusal.
pub async fn tidy(cx: &Release<'_>, history: &mut History, held: Option<u32>) -> Result<(), Error> {
    supersede_outdated(cx, history).await?;
    for number in history.prunable(cx.policy.max_history, held) {
        history.remove(cx, number).await?;
    }
    Ok(())
}

async fn supersede_outdated(cx: &Release<'_>, history: &mut History) -> Result<(), Error> {
    for number in history.outdated() {
        history.supersede(cx, number).await?;
    }
    Ok(())
}
