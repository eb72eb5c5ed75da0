//! Points between two writes at which a process can be made to die, so that the rig of `e2e/chaos` can try each one.
//!
//! In a debug build [`VARIABLE`] names a file. When it holds the name of a point and a number, such as
//! `rank-applied 2`, the process that reaches the point for the second time removes the file and aborts: the next
//! process lives. With `rank-applied 2 panic` only the reconcile panics, and the process has to go on. A release build
//! looks at nothing and cannot die here.

/// The variable of the environment that names the file.
pub const VARIABLE: &str = "PINTLE_FAILPOINT";

/// A point between two writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// The plan is made, and nothing is written yet.
    Planned,
    /// The pending revision is written, and no object.
    Begun,
    /// The objects of one rank are applied, those of the next one are not.
    RankApplied,
    /// An object that is made anew is deleted, and not created again.
    Recreating,
    /// Objects are about to be deleted.
    Pruning,
    /// Everything is done, and the revision is pending.
    Concluding,
    /// The new revision is deployed, and so is the older one.
    Deployed,
    /// The record says that the release is being removed, and nothing is removed.
    Uninstalling,
    /// The objects are gone, and the record is there.
    Forgetting,
    /// The status does not tell of what was done.
    Publishing,
}

impl Failpoint {
    /// All of them, in the order in which a release's life meets them.
    pub const ALL: [Self; 10] = [
        Self::Planned,
        Self::Begun,
        Self::RankApplied,
        Self::Recreating,
        Self::Pruning,
        Self::Concluding,
        Self::Deployed,
        Self::Uninstalling,
        Self::Forgetting,
        Self::Publishing,
    ];

    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Begun => "begun",
            Self::RankApplied => "rank-applied",
            Self::Recreating => "recreating",
            Self::Pruning => "pruning",
            Self::Concluding => "concluding",
            Self::Deployed => "deployed",
            Self::Uninstalling => "uninstalling",
            Self::Forgetting => "forgetting",
            Self::Publishing => "publishing",
        }
    }

    /// Dies here, when that was asked for.
    #[cfg(debug_assertions)]
    #[allow(clippy::panic, reason = "the rig asks for it, of a debug build")]
    pub fn reach(self) {
        let Some(path) = std::env::var_os(VARIABLE) else { return };
        let Ok(asked) = std::fs::read_to_string(&path) else { return };
        match due(&asked, self) {
            Due::Never => {}
            Due::Later(left) => drop(std::fs::write(&path, left)),
            Due::Abort => {
                drop(std::fs::remove_file(&path));
                std::process::abort();
            }
            Due::Panic => {
                drop(std::fs::remove_file(&path));
                std::panic::panic_any("a failpoint was asked to panic");
            }
        }
    }

    /// Nothing dies in a release build.
    #[cfg(not(debug_assertions))]
    pub fn reach(self) {}
}

/// What to do at a point that was just reached.
#[cfg(debug_assertions)]
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Never,
    /// What is asked for from now on: one time less.
    Later(String),
    Abort,
    Panic,
}

#[cfg(debug_assertions)]
fn due(asked: &str, point: Failpoint) -> Due {
    let words: Vec<&str> = asked.split_whitespace().collect();
    let (name, times, how) = match words.as_slice() {
        [name, times] => (*name, times.parse::<u32>(), ""),
        [name, times, "panic"] => (*name, times.parse(), " panic"),
        _ => return Due::Never,
    };
    match times {
        Ok(1) if name == point.name() && how.is_empty() => Due::Abort,
        Ok(1) if name == point.name() => Due::Panic,
        Ok(more @ 2..) if name == point.name() => Due::Later(format!("{name} {}{how}", more - 1)),
        _ => Due::Never,
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_due_by_its_name_and_its_count() {
        let point = Failpoint::RankApplied;
        for (asked, expected) in [
            ("rank-applied 1\n", Due::Abort),
            ("rank-applied 3", Due::Later("rank-applied 2".to_owned())),
            ("rank-applied 3 panic", Due::Later("rank-applied 2 panic".to_owned())),
            ("rank-applied 1 panic", Due::Panic),
            ("rank-applied 1 else", Due::Never),
            ("rank-applied 0", Due::Never),
            ("rank-applied", Due::Never),
            ("rank-applied x", Due::Never),
            ("begun 1", Due::Never),
            ("", Due::Never),
        ] {
            assert_eq!(due(asked, point), expected, "{asked:?}");
        }
    }

    #[test]
    fn no_two_points_share_a_name() {
        let names: std::collections::BTreeSet<_> = Failpoint::ALL.into_iter().map(Failpoint::name).collect();
        assert_eq!(names.len(), Failpoint::ALL.len());
    }
}
