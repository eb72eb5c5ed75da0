//! Deletes what a failed action has created, when the spec asks for that.
//!
//! What it is about stands in the facts from the beginning of the action on: a plan that is made later cannot tell what
//! was there before. The list is emptied when all of it is done, so that a process that ends in between is no loss.

use pintle_helm::manifest::{Order, compare_kinds};

use super::{Change, Error, History, Planned, Release};
use crate::cluster::{Class, Kind, ObjectRef};

/// Deletes the objects that the failed revision `number` has created. Makes no request when there are none.
///
/// # Errors
/// The first refusal; calling it again makes what is missing.
pub async fn clean_up(cx: &Release<'_>, history: &mut History, number: u32) -> Result<(), Error> {
    let facts = history.find(number).and_then(|r| r.facts.as_ref());
    let created = facts.map(|f| f.created.clone()).unwrap_or_default();
    if created.is_empty() {
        return Ok(());
    }
    let mut known: Vec<(Kind, ObjectRef)> = Vec::with_capacity(created.len());
    for object in created {
        match cx.discovery.kind(&object).await {
            Ok(kind) => known.push((kind, object)),
            // With its kind went the object.
            Err(error) if error.class == Class::KindNotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    known.sort_by(|(_, a), (_, b)| compare_kinds(Order::Uninstall, &a.kind, &b.kind));
    let live = super::live(cx, known.clone()).await?;
    let planned: Vec<Planned> = known
        .into_iter()
        .filter_map(|(kind, object)| {
            let found = live.find(&object)?.clone();
            let change = super::prune::removal(cx.key, &found);
            let (content, source) = (serde_json::Value::Null, String::new());
            Some(Planned {
                object,
                kind,
                source,
                content,
                change,
                live: Some(found),
                earlier: None,
                recorded: true,
                contests: Vec::new(),
            })
        })
        .collect();
    let deleted = planned.iter().filter(|p| p.change == Change::Delete).count();
    for rank in planned.chunk_by(|a, b| a.object.kind == b.object.kind) {
        super::prune::prune(cx, rank).await?;
    }
    tracing::info!(release = %cx.key, revision = number, deleted, "what the failed action created is deleted");
    history.note(cx, number, &|facts| facts.created.clear()).await
}
