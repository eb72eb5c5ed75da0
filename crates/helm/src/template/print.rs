//! What a rendered chart looks like on standard output or in a directory.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::sources::go_io;
use super::{Error, Template};
use crate::Compat;
use crate::chart::path_match;
use crate::manifest::{self, Block, HookEvent, Manifest, write_block};
use crate::render::RenderError;

impl Template {
    /// Prints everything; what is no hook as `post` makes it.
    pub(super) fn print(
        &self,
        manifest: &Manifest,
        out: &mut dyn Write,
        post: Option<impl Fn(String) -> Result<String, Error>>,
    ) -> Result<(), Error> {
        if post.is_none() && self.show_only.is_empty() {
            return self.stream(manifest, out).map_err(|source| Error::Write { source });
        }
        let mut text = if self.include_crds { manifest.to_text_with_crds() } else { manifest.to_text() };
        if let Some(post) = post {
            text = post(text)?;
        }
        text.truncate(text.trim_end().len());
        text.drain(..text.len() - text.trim_start().len());
        text.push('\n');
        for hook in self.hooks(manifest) {
            write_block(&mut text, &hook.path, &hook.text);
        }
        self.print_wanted(text, out)
    }

    /// Prints what was rendered before the error, as it is.
    pub(super) fn print_rendered(&self, error: &RenderError, out: &mut dyn Write) -> Result<(), Error> {
        let mut rendered = String::new();
        if let RenderError::Manifest { files, .. } = error {
            for (path, text) in files.0.iter().filter(|(_, text)| !text.trim().is_empty()) {
                write_block(&mut rendered, path, text);
            }
        }
        self.print_wanted(format!("{}\n", rendered.trim()), out)
    }

    /// Prints a text, or what `--show-only` asks for of it.
    fn print_wanted(&self, mut text: String, out: &mut dyn Write) -> Result<(), Error> {
        if !self.show_only.is_empty() {
            text = show_only(&text, &self.show_only, self.compat)?;
        }
        out.write_all(text.as_bytes()).map_err(|source| Error::Write { source })
    }

    /// Prints everything as it is, block by block: definitions may be megabytes.
    fn stream(&self, manifest: &Manifest, out: &mut dyn Write) -> io::Result<()> {
        let mut blocks = manifest.blocks(self.include_crds).peekable();
        if blocks.peek().is_none() {
            writeln!(out)?;
        }
        while let Some((source, text)) = blocks.next() {
            let block = Block { source, text: &text };
            if blocks.peek().is_some() {
                write!(out, "{block}")?;
            } else {
                // Space at the end of the text is not printed.
                writeln!(out, "{}", block.to_string().trim_end())?;
            }
        }
        for hook in self.hooks(manifest) {
            write!(out, "{}", Block { source: &hook.path, text: &hook.text })?;
        }
        Ok(())
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
            let block = Block { source, text }.to_string();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::{ChartFile, Crd};
    use crate::manifest::{Document, Head, Hook};

    fn document(source: &str, text: &str) -> Document {
        Document { source: source.to_owned(), text: text.to_owned(), head: Head::default() }
    }

    #[test]
    fn what_is_streamed_is_what_a_post_renderer_that_changes_nothing_gives() {
        let crd = Crd {
            path: "c/crds/x.yaml".to_owned(),
            file: ChartFile { name: "crds/x.yaml".into(), data: b"kind: X\n\n".as_slice().into() },
        };
        let hook = |text: &str| {
            let manifest = Manifest::from_files(&[("c/h.yaml".to_owned(), text.to_owned())].into()).unwrap();
            manifest.hooks
        };
        let hooks: Vec<Hook> = hook("kind: H\nmetadata: {annotations: {helm.sh/hook: test}}\n");
        let documents =
            [document("c/a.yaml", "a: 1 \n"), document("c/b.yaml", " \n"), document("c/d.yaml ", "")];
        for count in 0..=documents.len() {
            for (include_crds, hooks) in
                [(false, vec![]), (true, vec![]), (false, hooks.clone()), (true, hooks.clone())]
            {
                let documents = documents.iter().take(count).cloned().collect();
                let manifest = Manifest { documents, hooks, crds: vec![crd.clone()], ..Manifest::default() };
                let template = Template { include_crds, ..Template::default() };
                let (mut streamed, mut whole) = (Vec::new(), Vec::new());
                template.print(&manifest, &mut streamed, None::<fn(String) -> _>).unwrap();
                template.print(&manifest, &mut whole, Some(Ok)).unwrap();
                assert_eq!(String::from_utf8(streamed).unwrap(), String::from_utf8(whole).unwrap());
            }
        }
    }
}
