//! A release that rests: `spec.suspend` is set, and nothing is done but to say so, once.

use k8s_openapi::jiff::Timestamp;

use super::Work;
use crate::api::condition::{self, READY, RECONCILING, STALLED, Status};
use crate::api::{HelmReleaseStatus, Reason};
use crate::controller::Requeue;

impl Work<'_> {
    /// Says that nothing is done. What could not be written is written at the next change.
    pub(super) async fn rest_suspended(&self) -> Requeue {
        let old = self.last_status();
        let (new, message) = status(old.as_ref(), self.object.metadata.generation, Timestamp::now());
        if !old.as_ref().is_some_and(is_told) {
            self.event(true, Reason::Suspended, &message).await;
        }
        self.write_status(old.as_ref(), new).await;
        Requeue::OnChange
    }
}

fn is_told(status: &HelmReleaseStatus) -> bool {
    condition::find(&status.conditions, READY).is_some_and(|ready| ready.reason == Reason::Suspended.as_str())
}

/// The status that says it, and in which words: pure. Whether what runs is what this generation asks for is not looked at,
/// so it is not known; all else that was told stays.
fn status(
    old: Option<&HelmReleaseStatus>,
    generation: Option<i64>,
    now: Timestamp,
) -> (HelmReleaseStatus, String) {
    let mut status = old.cloned().unwrap_or_default();
    let runs = match status.last_applied_revision {
        Some(revision) => format!("revision {revision} runs on"),
        None => "no revision is deployed".to_owned(),
    };
    let message = format!("nothing is done while spec.suspend is set; {runs}; unset it to go on");
    status.observed_generation = generation;
    let conditions = &mut status.conditions;
    condition::set(conditions, READY, Status::Unknown, Reason::Suspended, &message, generation, now);
    condition::remove(conditions, RECONCILING);
    condition::remove(conditions, STALLED);
    (status, message)
}

#[cfg(test)]
mod tests {
    //! Unit: what is said of a release that rests, and that it is said once.

    use super::*;

    #[test]
    fn it_is_said_once_and_keeps_what_is_known() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut before = HelmReleaseStatus { last_applied_revision: Some(3), ..HelmReleaseStatus::default() };
        for (type_, reason) in [
            (READY, Reason::UpgradeSucceeded),
            (condition::RELEASED, Reason::UpgradeSucceeded),
            (STALLED, Reason::InvalidSpec),
            (RECONCILING, Reason::Progressing),
        ] {
            condition::set(&mut before.conditions, type_, Status::True, reason, "", Some(1), at(1));
        }
        assert!(!is_told(&before));
        let (told, message) = status(Some(&before), Some(2), at(2));
        assert_eq!(
            message,
            "nothing is done while spec.suspend is set; revision 3 runs on; unset it to go on"
        );
        assert!(is_told(&told));
        let types: Vec<&str> = told.conditions.iter().map(|c| c.type_.as_str()).collect();
        assert_eq!(types, [READY, condition::RELEASED]);
        assert_eq!((told.observed_generation, told.last_applied_revision), (Some(2), Some(3)));
        assert_eq!(status(Some(&told), Some(2), at(3)).0, told, "an hour later there is nothing to write");
        assert!(status(None, Some(1), at(1)).1.contains("no revision is deployed"));
    }
}
