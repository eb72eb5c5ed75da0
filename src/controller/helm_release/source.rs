//! What the source offers now, beside what runs: other bytes under the same version, or a lower version only.
//!
//! Neither is what the user asked for, so neither becomes a revision by itself: see `docs/sources.md`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use pintle_sprig::semver::{Constraint, Version};
use tracing::warn;

use super::Work;
use super::inputs::Inputs;
use crate::api::condition::{self, READY};
use crate::api::{ChartReference, OnDigestChange, Reason};
use crate::cluster::Retry;
use crate::controller::verdict::Failure;
use crate::release::{Decision, Desired, History, Observation};

/// A chart, as it runs or as it is offered.
#[derive(Clone, Copy, Debug)]
struct Edition<'a> {
    name: &'a str,
    version: &'a str,
    digest: &'a str,
}

/// What to do with an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Judgement {
    /// It is what is wanted.
    Take,
    /// What runs stays, as long as nothing else is asked for.
    Keep(Notice),
    /// Nothing is done.
    Refuse(Notice),
}

/// What there is to say of a source that does not offer what runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The reason of the event.
    pub reason: Reason,
    /// What was found, what runs, and what to do.
    pub message: String,
}

/// Weighs an offer against what runs: pure. `is_new` says that the spec is newer than the last revision.
fn judge(
    reference: &ChartReference,
    running: (u32, Edition<'_>),
    offer: Edition<'_>,
    is_new: bool,
) -> Judgement {
    let (revision, running) = running;
    // Whoever pins the bytes has asked for them.
    if offer.name != running.name || offer.digest == running.digest || reference.digest.is_some() {
        return Judgement::Take;
    }
    let chart = format!("{}-{}", running.name, running.version);
    if offer.version == running.version {
        let found = format!(
            "the source gives other bytes for {chart} than before: {}; revision {revision} was made of {}",
            offer.digest, running.digest
        );
        let reason = Reason::DigestChanged;
        return match reference.on_digest_change {
            OnDigestChange::Upgrade => Judgement::Take,
            OnDigestChange::Warn => Judgement::Keep(Notice {
                reason,
                message: format!("{found}, which is kept; set spec.chart.digest to choose one of the two"),
            }),
            OnDigestChange::Fail => Judgement::Refuse(Notice {
                reason,
                message: format!(
                    "{found} and still runs; nothing is done until the source has these bytes again, or \
                     spec.chart.digest accepts the new ones"
                ),
            }),
        };
    }
    if !is_lower(offer.version, running.version) || excludes(reference, running.version, is_new) {
        return Judgement::Take;
    }
    Judgement::Keep(Notice {
        reason: Reason::VersionDisappeared,
        message: format!(
            "the source does not offer {chart} any more, the highest version that spec.chart asks for is {} now; \
             revision {revision} is kept; set spec.chart.version to {} to go down",
            offer.version, offer.version
        ),
    })
}

fn is_lower(offered: &str, running: &str) -> bool {
    match (Version::parse(offered), Version::parse(running)) {
        (Ok(offered), Ok(running)) => offered < running,
        _ => false,
    }
}

/// Whether the spec itself does not want the version that runs.
fn excludes(reference: &ChartReference, running: &str, is_new: bool) -> bool {
    let asked = reference.version.as_deref().filter(|text| !text.is_empty());
    // An address without a version asks for what is there when it is written.
    if asked.is_none() && reference.url.is_some() {
        return is_new;
    }
    let asked = asked.unwrap_or("*");
    let admits = || Some(Constraint::parse(asked).ok()?.check(&Version::parse(running).ok()?));
    asked != running && admits() == Some(false)
}

/// The last good revision of this HelmRelease, unless an offer was tried since.
fn running<'h>(history: &'h History, desired: &Desired) -> Option<(u32, Edition<'h>)> {
    let is_tried = |digest: &str| digest == desired.chart_digest;
    if history.latest()?.facts.as_ref().is_some_and(|facts| is_tried(&facts.chart_digest)) {
        return None;
    }
    let good = history.last_good()?;
    let facts = good.facts.as_ref().filter(|facts| desired.owns(facts) && !facts.chart_digest.is_empty())?;
    let (name, version) = (facts.chart.name.as_str(), facts.chart.version.as_str());
    Some((good.number, Edition { name, version, digest: &facts.chart_digest }))
}

impl Work<'_> {
    /// assess and decide, on what the source offers or, where that is none of the user's wishes, on what runs. What
    /// is decided for goes with it.
    pub(super) async fn weigh(
        &mut self,
        observed: &Observation,
        desired: Desired,
        inputs: Option<&Inputs>,
    ) -> Result<(Desired, Decision), Failure> {
        let reference = &self.object.spec.chart;
        let running = running(&observed.history, &desired);
        let judgement = match (inputs, running) {
            (Some(Inputs { chart, .. }), Some(running)) => {
                let offer = Edition { name: &chart.name, version: &chart.version, digest: &chart.digest };
                judge(reference, running, offer, !self.is_settled())
            }
            _ => Judgement::Take,
        };
        let (notice, kept) = match (judgement, running) {
            (Judgement::Refuse(notice), _) => return Err(notice.into()),
            (Judgement::Keep(notice), Some((_, running))) => (notice, running.digest.to_owned()),
            _ => {
                let decision = self.decide(observed, &desired);
                return Ok((desired, decision));
            }
        };
        let as_it_runs = Desired { chart_digest: kept, ..desired.clone() };
        let decision = self.decide(observed, &as_it_runs);
        let is_new_content =
            matches!(decision, Decision::Install | Decision::Upgrade | Decision::Adopt { .. });
        match notice.reason {
            Reason::DigestChanged if !matches!(decision, Decision::Nothing | Decision::Resume { .. }) => {
                let decision = self.decide(observed, &desired);
                if matches!(decision, Decision::Upgrade) {
                    let (old, new) = (&as_it_runs.chart_digest, &desired.chart_digest);
                    let message = format!(
                        "the new revision is made of {new}, the last one of the same version was of {old}"
                    );
                    self.announce(&Notice { reason: notice.reason, message }).await;
                }
                Ok((desired, decision))
            }
            _ if is_new_content => Err(notice.into()),
            _ => {
                self.announce(&notice).await;
                self.notice = Some(notice);
                Ok((as_it_runs, decision))
            }
        }
    }

    /// Says it once.
    async fn announce(&self, notice: &Notice) {
        let shown = self.last_status().is_some_and(|status| notice.is_in(&status.conditions));
        let uid = self.object.metadata.uid.as_ref();
        let told = self.operator.remember(self.key, uid, |memory| {
            memory.told.replace(notice.message.clone()).is_some_and(|told| told == notice.message)
        });
        if !shown && !told {
            warn!(release = %self.key, reason = %notice.reason, notice.message);
            self.event(false, notice.reason, &notice.message).await;
        }
    }
}

impl Notice {
    /// How a condition shows it.
    pub fn text(&self) -> String {
        format!("{}: {}", self.reason, self.message)
    }

    fn is_in(&self, conditions: &[Condition]) -> bool {
        condition::find(conditions, READY).is_some_and(|ready| ready.message.ends_with(&self.text()))
    }
}

impl From<Notice> for Failure {
    fn from(notice: Notice) -> Self {
        Self::new(notice.reason, Retry::OnChange, notice.message)
    }
}

#[cfg(test)]
mod tests {
    //! Unit: offers, and what becomes of them.

    use super::*;

    const OLD: Edition<'_> = Edition { name: "web", version: "1.2.0", digest: "old" };

    fn asked(version: &str) -> ChartReference {
        ChartReference { version: Some(version.to_owned()), ..ChartReference::default() }
    }

    fn on_change(on_digest_change: OnDigestChange) -> ChartReference {
        ChartReference { on_digest_change, ..asked("1.2.0") }
    }

    fn url(version: Option<&str>) -> ChartReference {
        let version = version.map(str::to_owned);
        ChartReference { url: Some("https://x/web.tgz".into()), version, ..ChartReference::default() }
    }

    /// What is done, and why.
    fn shortly(judgement: &Judgement) -> (&'static str, Option<Reason>) {
        match judgement {
            Judgement::Take => ("take", None),
            Judgement::Keep(notice) => ("keep", Some(notice.reason)),
            Judgement::Refuse(notice) => ("refuse", Some(notice.reason)),
        }
    }

    #[test]
    fn judgements() {
        let other = Edition { digest: "new", ..OLD };
        let lower = Edition { version: "1.1.0", digest: "new", ..OLD };
        let higher = Edition { version: "1.10.0", digest: "new", ..OLD };
        let pinned = ChartReference { digest: Some("new".into()), ..on_change(OnDigestChange::Fail) };
        let none = ChartReference::default();
        let (take, gone) = (("take", None), ("keep", Some(Reason::VersionDisappeared)));
        let changed = |what| (what, Some(Reason::DigestChanged));
        for (name, reference, offer, is_new, want) in [
            ("what runs is offered", on_change(OnDigestChange::Fail), OLD, false, take),
            ("other bytes are told by default", asked("^1"), other, false, changed("keep")),
            ("of an address as well", url(None), other, true, changed("keep")),
            ("other bytes are taken when asked for", on_change(OnDigestChange::Upgrade), other, false, take),
            ("other bytes are refused", on_change(OnDigestChange::Fail), other, true, changed("refuse")),
            ("pinned bytes are wanted", pinned, other, false, take),
            ("another chart", asked("^1"), Edition { name: "db", ..lower }, false, take),
            ("a higher version", asked("^1"), higher, false, take),
            ("the highest version is gone", asked("^1"), lower, false, gone),
            ("a new spec that still admits it", asked(">=1.1"), lower, true, gone),
            ("without a version", none.clone(), lower, false, gone),
            ("an empty version is none", asked(""), lower, false, gone),
            ("the spec names the lower one", asked("1.1.0"), lower, true, take),
            ("it stays with the lower one", asked("1.1.0"), lower, false, take),
            ("the spec's range ends below", asked("<1.2"), lower, true, take),
            ("a new address of a lower version", url(None), lower, true, take),
            ("an address that falls back", url(None), lower, false, gone),
            ("an address that falls back in its range", url(Some("^1")), lower, true, gone),
        ] {
            assert_eq!(shortly(&judge(&reference, (3, OLD), offer, is_new)), want, "{name}");
        }
        let early = Edition { version: "2.0.0-rc.1", ..OLD };
        assert_eq!(judge(&none, (3, early), other, false), Judgement::Take, "no pre-release is asked for");
        let build = Edition { version: "1.2.0+2", digest: "new", ..OLD };
        assert_eq!(judge(&asked("^1"), (3, OLD), build, false), Judgement::Take, "another build is no lower");
    }

    #[test]
    fn a_notice_says_both_sides_and_what_to_do() {
        let other = Edition { digest: "new", ..OLD };
        let lower = Edition { version: "1.1.0", digest: "new", ..OLD };
        for (offer, parts) in [
            (other, ["web-1.2.0", "new", "revision 3", "old", "spec.chart.digest"]),
            (lower, ["web-1.2.0", "1.1.0", "revision 3", "is kept", "spec.chart.version"]),
        ] {
            let Judgement::Keep(notice) = judge(&asked("^1"), (3, OLD), offer, false) else { panic!() };
            for part in parts {
                assert!(notice.message.contains(part), "{part}: {}", notice.message);
            }
        }
    }
}
