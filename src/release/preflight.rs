//! Asks the server what it would say to a plan, before anything is changed.

use std::collections::BTreeSet;

use super::apply::request;
use super::{Change, Error, Plan, Planned, Release, bounded};
use crate::api::Reason;
use crate::cluster::{self, ApplyOptions, Class, Retry};

/// Most objects that an error lists.
const ROWS: usize = 10;

/// Applies every object that the plan creates or updates as a dry run.
///
/// What the plan itself makes possible, such as objects of a kind that it defines, cannot be asked and is left out.
///
/// # Errors
/// One error for all refusals, a row for each object. Nothing has been changed.
pub async fn preflight(cx: &Release<'_>, plan: &Plan) -> Result<(), Error> {
    let defines_kinds = plan.defines_kinds();
    let namespaces: BTreeSet<&str> = plan
        .objects()
        .filter(|p| p.object.kind == "Namespace" && p.change == Change::Create)
        .map(|p| p.object.name.as_str())
        .collect();
    let asked: Vec<&Planned> = plan
        .objects()
        .filter(|p| p.is_write() && !namespaces.contains(p.object.namespace.as_str()))
        .collect();
    let answers = bounded(asked.iter().map(|planned| ask(cx, planned)).collect()).await;
    let mut refused: Vec<(&Planned, cluster::Error)> = asked
        .into_iter()
        .zip(answers)
        .filter_map(|(planned, answer)| Some((planned, answer.err()?)))
        .collect();
    refused.retain(|(_, error)| {
        error.class != Class::Stale && !(defines_kinds && error.class == Class::KindNotFound)
    });
    if refused.len() == 1 {
        let (planned, error) = refused.remove(0);
        return Err(Error::from_template(error, &planned.source).about(&planned.object));
    }
    summarise(refused)
}

async fn ask(cx: &Release<'_>, planned: &Planned) -> Result<(), cluster::Error> {
    let (body, options) = request(planned, planned.live.as_ref(), cx.policy.conflicts);
    let options = ApplyOptions { dry_run: true, ..options };
    cx.tenant.apply(&planned.kind, &planned.object, &body, cx.field_manager, options).await.map(|_| ())
}

/// One error for several; its reason is that of the first that only a change of the inputs can mend.
fn summarise(refused: Vec<(&Planned, cluster::Error)>) -> Result<(), Error> {
    let worst = refused.iter().map(|(_, e)| e).find(|e| e.retry() == Retry::OnChange);
    let Some(lead) = worst.or(refused.first().map(|(_, e)| e)) else { return Ok(()) };
    let mut error = Error::new(
        if refused.is_empty() { Reason::UpgradeFailed } else { lead.reason() },
        lead.retry(),
        format!("the server would refuse {} objects; nothing was changed:", refused.len()),
    );
    error.transient = Error::from(lead.clone()).transient;
    error.object = lead.object.clone();
    for (planned, refusal) in refused.iter().take(ROWS) {
        error.message.push_str(&format!("\n{} ({}): {}", planned.object, planned.source, refusal.text));
    }
    if refused.len() > ROWS {
        error.message.push_str(&format!("\nand {} more", refused.len() - ROWS));
    }
    Err(error)
}
