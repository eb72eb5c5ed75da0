//! What a rendered chart looks like on standard output or in a directory.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::sources::go_io;
use super::{Error, Template};
use crate::Compat;
use crate::chart::path_match;
use crate::manifest::{self, HookEvent, Manifest, write_block};

impl Template {
    /// Prints everything; what is no hook as `post` makes it.
    pub(super) fn print(
        &self,
        manifest: &Manifest,
        out: &mut dyn Write,
        post: impl Fn(String) -> Result<String, Error>,
    ) -> Result<(), Error> {
        let text = if self.include_crds { manifest.to_text_with_crds() } else { manifest.to_text() };
        let mut text = post(text)?;
        text.truncate(text.trim_end().len());
        text.drain(..text.len() - text.trim_start().len());
        text.push('\n');
        for hook in self.hooks(manifest) {
            write_block(&mut text, &hook.path, &hook.text);
        }
        if !self.show_only.is_empty() {
            text = show_only(&text, &self.show_only, self.compat)?;
        }
        out.write_all(text.as_bytes()).map_err(|source| Error::Write { source })
    }

    fn hooks<'m>(&self, manifest: &'m Manifest) -> impl Iterator<Item = &'m manifest::Hook> {
        let (none, skip_tests) = (self.no_hooks, self.skip_tests);
        manifest.hooks.iter().filter(move |hook| !(none || skip_tests && hook.runs_at(HookEvent::Test)))
    }

    /// Writes everything below `directory`, and what belongs to the release below `folder`.
    ///
    /// # Compatibility
    /// As Helm, but for hooks of a file that is there from an earlier run: Helm appends them to it again.
    pub(super) fn write_files(
        &self,
        manifest: &Manifest,
        directory: &Path,
        folder: &Path,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let mut written: Vec<PathBuf> = Vec::new();
        let mut write = |root: &Path, source: &str, text: &str| -> Result<(), Error> {
            // Helm joins with a slash whether the directory ends in one or not, and prints that.
            let shown = format!("{}/{source}", root.display());
            let path = PathBuf::from(&shown);
            let mut block = String::new();
            write_block(&mut block, source, text);
            let failed = |source: io::Error| go_io("open", &shown, &source);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            let again = written.contains(&path);
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .append(again)
                .truncate(!again)
                .open(&path)
                .map_err(failed)?;
            file.write_all(block.as_bytes()).map_err(failed)?;
            writeln!(out, "wrote {shown}").map_err(|source| Error::Write { source })?;
            written.push(path);
            Ok(())
        };
        if self.include_crds {
            for crd in &manifest.crds {
                write(directory, &crd.path, &String::from_utf8_lossy(&crd.file.data))?;
            }
        }
        for document in &manifest.documents {
            write(folder, &document.source, &document.text)?;
        }
        for hook in self.hooks(manifest) {
            write(folder, &hook.path, &hook.text)?;
        }
        if let Some(pattern) = self.show_only.first() {
            // Nothing is left to be shown.
            return Err(Error::TemplateNotFound { pattern: pattern.clone() });
        }
        writeln!(out).map_err(|source| Error::Write { source })
    }
}

/// Keeps the documents of the wanted templates, in the order of the flags.
fn show_only(text: &str, wanted: &[String], compat: Compat) -> Result<String, Error> {
    let documents = match compat {
        Compat::V3 => manifest::split_v3(text),
        Compat::V4 => manifest::split(text),
    };
    let mut shown = String::new();
    for pattern in wanted {
        let mut missing = true;
        for document in &documents {
            // Helm: a pattern that cannot be read matches nothing.
            let matches = |path: &str| path_match(pattern, path).unwrap_or(false);
            if source_path(document).is_some_and(matches) {
                // Writing to a String cannot fail.
                let _ = writeln!(shown, "---\n{document}");
                missing = false;
            }
        }
        if missing {
            return Err(Error::TemplateNotFound { pattern: pattern.clone() });
        }
    }
    Ok(shown)
}

/// The path in a document's `# Source:` line, without the chart's name.
fn source_path(document: &str) -> Option<&str> {
    document.match_indices("# Source: ").find_map(|(at, word)| {
        let (chart, path) = document.get(at + word.len()..)?.split_once('/')?;
        let path = path.lines().next().unwrap_or_default();
        (!chart.is_empty() && !path.is_empty()).then_some(path)
    })
}
