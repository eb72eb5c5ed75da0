//! Parity: what charts render to, compared with what the real helm printed.
//!
//! `own` holds the project's cases, whose expected outputs `tests/golden` writes with the pinned helm. `engine` and
//! `corpus` run the large collections below `$PINTLE_SHARED` (default: `../shared` beside the workspace) and say aloud
//! when these are missing. Everything runs in process, through the same code as `pintle template`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test: clippy.toml lets only functions marked #[test] do this"
)]

mod corpus;
mod engine;
mod own;
mod run;

use std::fmt;

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// The output is helm's.
    Equal,
    /// It is, but for lines that differ between two runs of helm.
    Masked,
    /// Both fail, with the same message.
    SameError,
    /// Both fail, with different messages.
    OtherError,
    /// Helm's own output changes its shape from run to run.
    Skipped,
    /// Anything else.
    Wrong,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "equal",
            Self::Masked => "masked",
            Self::SameError => "same error",
            Self::OtherError => "other error",
            Self::Skipped => "skipped",
            Self::Wrong => "wrong",
        })
    }
}
