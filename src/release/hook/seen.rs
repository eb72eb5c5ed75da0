//! How hooks ended, as a watch has seen it: a Job with a time to live may be gone before anybody looks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{HookState, state};

/// Ends are forgotten after this, when there are many: whoever waits for one looks within seconds.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// So many are kept however old they are.
const KEPT: usize = 1000;

/// The ends of hooks' objects, by UID.
#[derive(Debug, Default)]
pub struct SeenHooks(Mutex<HashMap<String, (HookState, Instant)>>);

impl SeenHooks {
    /// Takes down how a hook's object ended, if it has; whether it has.
    pub fn see(&self, object: &Value) -> bool {
        let end = state(object);
        if end == HookState::Running {
            return false;
        }
        let Some(uid) = object.pointer("/metadata/uid").and_then(Value::as_str) else { return true };
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() >= KEPT {
            ends.retain(|_, (_, at)| at.elapsed() < KEPT_FOR);
        }
        ends.insert(uid.to_owned(), (end, Instant::now()));
        true
    }

    /// How the object of this UID ended, if that was seen.
    pub(super) fn end_of(&self, uid: &str) -> Option<HookState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(uid).map(|(end, _)| end.clone())
    }
}

#[cfg(test)]
mod tests {
    //! Unit: what is remembered of hooks that are gone.

    use serde_json::json;

    use super::*;

    #[test]
    fn only_ends_are_remembered() {
        let job = |uid: &str, condition: &str| {
            let conditions = json!([{"type": condition, "status": "True", "reason": "r", "message": "m"}]);
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"uid": uid}, "status": {"conditions": conditions}})
        };
        let seen = SeenHooks::default();
        assert!(!seen.see(&job("a", "Suspended")));
        assert!(seen.see(&job("b", "Complete")));
        assert!(seen.see(&job("c", "Failed")));
        assert_eq!(seen.end_of("a"), None);
        assert_eq!(seen.end_of("b"), Some(HookState::Succeeded));
        assert_eq!(seen.end_of("c"), Some(HookState::Failed("r: m".to_owned())));
    }
}
