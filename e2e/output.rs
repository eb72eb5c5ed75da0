//! The only place that prints.

use std::io::{self, Write};

/// Prints a line.
pub fn line(text: impl AsRef<str>) {
    let mut out = io::stdout().lock();
    // A closed standard output is no reason to leave processes behind.
    let _ = writeln!(out, "{}", text.as_ref());
    let _ = out.flush();
}

/// Prints a text with each line indented.
pub fn indented(text: &str) {
    for part in text.lines() {
        line(format!("    {part}"));
    }
}
