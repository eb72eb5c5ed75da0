//! What the spec says about failures, and what of it is due: pure.
//!
//! Failures are counted in the records: each revision notes how many there were before it, and a revision that was
//! made to put a failure right notes that failure whole. So the next step follows from the newest record alone,
//! whatever process reads it.

use crate::api::{HelmReleaseSpec, RemediationStrategy};

use super::Action;

/// What follows a failed action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remediation {
    /// How often the action is tried again; none is for ever.
    pub retries: Option<u32>,
    /// What is done about a failure.
    pub strategy: RemediationStrategy,
    /// Whether the last failure is put right too.
    pub last: bool,
}

impl Remediation {
    /// Whether so many failures in a row are more than what is tried again.
    pub fn is_exhausted(&self, failures: u32) -> bool {
        self.retries.is_some_and(|retries| failures > retries)
    }
}

/// What the spec says about failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remedies {
    /// What follows a failed install; without it, it is tried again over what the last try left.
    pub install: Option<Remediation>,
    /// What follows a failed upgrade.
    pub upgrade: Option<Remediation>,
    /// Whether an install goes on from the record of a release that was uninstalled.
    pub replace: bool,
}

impl Remedies {
    /// What `spec` says.
    ///
    /// # Compatibility
    /// As helm-controller's `api/v2/helmrelease_types.go`: negative retries have no end; the last failure is put right
    /// when the spec says so and, for an upgrade of which it says nothing, when there are retries.
    pub fn new(spec: &HelmReleaseSpec) -> Self {
        let install = spec.install.remediation.as_ref().map(|given| Remediation {
            retries: u32::try_from(given.retries).ok(),
            strategy: RemediationStrategy::Uninstall,
            last: given.remediate_last_failure.unwrap_or(false),
        });
        let upgrade = spec.upgrade.remediation.as_ref().map(|given| Remediation {
            retries: u32::try_from(given.retries).ok(),
            strategy: given.strategy,
            last: given.remediate_last_failure.unwrap_or(given.retries > 0),
        });
        Self { install, upgrade, replace: spec.install.replace }
    }

    /// What follows a failure of `action`. A rollback is tried again, never put right by another one.
    pub fn of(&self, action: Action) -> Option<Remediation> {
        match action {
            Action::Install => self.install,
            Action::Upgrade => self.upgrade,
            Action::Rollback | Action::Uninstall => None,
        }
    }
}

#[cfg(test)]
mod tests {
    //! Unit: what a spec says about failures.

    use serde_json::json;

    use super::*;

    fn remedies(rest: serde_json::Value) -> Remedies {
        let mut spec = json!({"chart": {"url": "https://h/c-1.tgz"}});
        spec.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        Remedies::new(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn the_defaults_are_those_of_flux() {
        let rollback =
            |retries, last| Some(Remediation { retries, strategy: RemediationStrategy::Rollback, last });
        assert_eq!(remedies(json!({})), Remedies::default());
        for (given, want) in [
            (json!({}), rollback(Some(0), false)),
            (json!({"retries": 3}), rollback(Some(3), true)),
            (json!({"retries": -1}), rollback(None, false)),
            (json!({"retries": 3, "remediateLastFailure": false}), rollback(Some(3), false)),
            (json!({"remediateLastFailure": true}), rollback(Some(0), true)),
        ] {
            assert_eq!(remedies(json!({"upgrade": {"remediation": given}})).upgrade, want, "{given}");
        }
        let install = remedies(json!({"install": {"remediation": {"retries": 2}, "replace": true}}));
        let uninstall =
            Remediation { retries: Some(2), strategy: RemediationStrategy::Uninstall, last: false };
        assert_eq!(install, Remedies { install: Some(uninstall), upgrade: None, replace: true });
    }

    #[test]
    fn retries_come_after_the_first_try() {
        let upgrade = remedies(json!({"upgrade": {"remediation": {"retries": 2}}})).upgrade.unwrap();
        assert!(!upgrade.is_exhausted(2) && upgrade.is_exhausted(3));
        let endless = remedies(json!({"upgrade": {"remediation": {"retries": -1}}})).upgrade.unwrap();
        assert!(!endless.is_exhausted(u32::MAX));
    }
}
