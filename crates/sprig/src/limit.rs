//! Refuses results of absurd size before they are built.

use pintle_gotemplate::{FuncError, Limit};

/// The largest text that one call may build.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// The longest list that one call may build.
pub(crate) const MAX_ITEMS: usize = 1_000_000;

/// How deep a walk over a value goes; only a map that contains itself gets there.
pub(crate) const MAX_DEPTH: usize = 10_000;

/// Checks the size of a text.
pub(crate) fn bytes(size: usize) -> Result<(), FuncError> {
    if size > MAX_BYTES { Err(FuncError::Limit(Limit::Output)) } else { Ok(()) }
}

/// Checks the length of a list.
pub(crate) fn items(length: usize) -> Result<(), FuncError> {
    if length > MAX_ITEMS { Err(FuncError::Limit(Limit::Output)) } else { Ok(()) }
}

/// Checks the depth of a walk.
pub(crate) fn depth(depth: usize) -> Result<(), FuncError> {
    if depth > MAX_DEPTH { Err(FuncError::Limit(Limit::Depth)) } else { Ok(()) }
}
