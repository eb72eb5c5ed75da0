//! Knows how much stack is used, so that hostile nesting ends with an error and not with the process.

use std::hint::black_box;

/// How much of the stack may be used, counted from where the guard was made.
#[derive(Clone, Copy)]
pub(crate) struct StackGuard {
    base: usize,
    size: usize,
}

impl StackGuard {
    /// Lets `size` bytes below the caller be used.
    pub(crate) fn new(size: usize) -> Self {
        Self { base: here(), size }
    }

    /// Whether more than that is in use.
    pub(crate) fn exceeded(self) -> bool {
        self.base.abs_diff(here()) > self.size
    }
}

/// The address of a local variable: where the stack ends now.
#[inline(never)]
fn here() -> usize {
    let marker = 0u8;
    std::ptr::from_ref(black_box(&marker)).addr()
}
