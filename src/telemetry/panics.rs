//! What is told of a panic: where it was, never what it said, for that can quote a Secret's value.

use std::cell::RefCell;
use std::panic::PanicHookInfo;

use tracing::error;

thread_local! {
    /// Where this thread panicked last.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Logs panics by their place, and keeps it for [`last_place`].
pub fn begin() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        error!(place, "a panic; please report this defect");
        PLACE.with_borrow_mut(|last| *last = Some(place));
    }));
}

/// Where this thread panicked last; asked once, right after the panic was caught.
pub fn last_place() -> String {
    PLACE.take().unwrap_or_else(|| "an unknown place".to_owned())
}
