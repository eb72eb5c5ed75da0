//! The only place that prints.

use std::io::{self, BufWriter, StdoutLock, Write};

/// Standard output, buffered.
pub fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::new(io::stdout().lock())
}

/// Prints what a person should know beside the output.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints an error and its causes, each once, as `Error: what: why`.
pub fn error(error: &anyhow::Error) {
    let text = crate::cluster::chain(error.as_ref());
    // Nothing can be done when standard error itself is closed.
    let _ = writeln!(io::stderr().lock(), "Error: {text}");
}
