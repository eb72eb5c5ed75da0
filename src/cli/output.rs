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

/// Prints an error and its causes, each once, as `Error: what: why`; and what to do about it on a line of its own, for
/// the texts of errors are often helm's.
pub fn error(error: &anyhow::Error) {
    let text = crate::cluster::chain(error.as_ref());
    // Nothing can be done when standard error itself is closed.
    let _ = writeln!(io::stderr().lock(), "Error: {text}");
    if let Some(hint) = hint(error) {
        let _ = writeln!(io::stderr().lock(), "Hint: {hint}");
    }
}

/// What helps against an error, where that is known.
fn hint(error: &anyhow::Error) -> Option<&'static str> {
    use pintle_helm::{chart, template};
    let is_incomplete = error.chain().any(|cause| {
        let chart = match cause.downcast_ref() {
            Some(template::Error::Chart { reason, .. }) => Some(&**reason),
            _ => cause.downcast_ref(),
        };
        matches!(chart, Some(chart::Error::MissingDependencies { .. }))
    });
    is_incomplete.then_some("`pintle dependency build CHART` gets what is missing into charts/")
}
