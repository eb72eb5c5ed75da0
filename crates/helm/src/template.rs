//! What `helm template` does: from arguments to text, without a cluster.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Compat;
use crate::chart::{self, path_match};
use crate::manifest::{self, HookEvent, Manifest, write_block};
use crate::render::{
    Capabilities, InvalidKubeVersion, KubeVersion, Lookup, NoCluster, ReleaseFacts, RenderError,
    RenderOptions, render,
};
use crate::values::{self, CoalesceOptions, Values, coalesce, strvals};

/// The arguments, as helm has them.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// The release's name; `release-name` when absent.
    pub name: Option<String>,
    /// The chart: a directory or an archive.
    pub chart: String,
    /// `--namespace`; `default` when absent.
    pub namespace: Option<String>,
    /// Where values come from.
    pub values: ValueSources,
    /// `--include-crds`.
    pub include_crds: bool,
    /// `--no-hooks`.
    pub no_hooks: bool,
    /// `--skip-tests`.
    pub skip_tests: bool,
    /// `--is-upgrade`.
    pub is_upgrade: bool,
    /// `--skip-schema-validation`.
    pub skip_schema_validation: bool,
    /// `--kube-version`.
    pub kube_version: Option<String>,
    /// `--api-versions`.
    pub api_versions: Vec<String>,
    /// `--show-only`.
    pub show_only: Vec<String>,
    /// `--output-dir`.
    pub output_dir: Option<PathBuf>,
    /// `--release-name`: a folder for the release below the output directory.
    pub release_folder: bool,
    /// `--helm-compat`: which Helm to be like.
    pub compat: Compat,
}

/// The arguments that set values, in the order in which Helm applies the kinds.
#[derive(Clone, Debug, Default)]
pub struct ValueSources {
    /// `--values`.
    pub files: Vec<String>,
    /// `--set-json`.
    pub json: Vec<String>,
    /// `--set`.
    pub set: Vec<String>,
    /// `--set-string`.
    pub strings: Vec<String>,
    /// `--set-file`.
    pub from_files: Vec<String>,
    /// `--set-literal`.
    pub literals: Vec<String>,
}

impl ValueSources {
    /// Reads and merges them all.
    ///
    /// # Errors
    /// A file cannot be read, or an argument is malformed.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/cli/values/options.go:MergeValues`, but for URLs, which are not fetched.
    pub fn merge(&self, compat: Compat) -> Result<Values, Error> {
        let mut layers = Vec::new();
        for path in &self.files {
            let text = read(path)?;
            let layer = Values::from_yaml_as(&text, compat)
                .map_err(|source| Error::ParseValues { path: path.clone(), message: source.to_string() })?;
            layers.push(layer);
        }
        let mut values = values::merge_layers(layers);
        for argument in &self.json {
            // Helm 3 knows no bare object.
            if compat == Compat::V3 && argument.trim_start().starts_with('{') {
                return Err(
                    values::Error::Strvals(format!("failed parsing --set-json data {argument}")).into()
                );
            }
            strvals::set_json(&mut values, argument)?;
        }
        for argument in &self.set {
            strvals::set_as(&mut values, argument, compat)?;
        }
        for argument in &self.strings {
            strvals::set_string_as(&mut values, argument, compat)?;
        }
        for argument in &self.from_files {
            let read = |path: &str| match read(path) {
                Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                Err(error) => Err(error.to_string()),
            };
            strvals::set_file(&mut values, argument, &read)?;
        }
        for argument in &self.literals {
            strvals::set_literal(&mut values, argument)?;
        }
        Ok(values)
    }
}

fn read(path: &str) -> Result<Vec<u8>, Error> {
    if path.trim() == "-" {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).map_err(|source| go_io("read", "/dev/stdin", &source))?;
        return Ok(text);
    }
    fs::read(path).map_err(|source| go_io("open", path, &source))
}

/// An error of the file system in Go's words.
fn go_io(doing: &str, path: &str, source: &io::Error) -> Error {
    let text = source.to_string();
    let reason = text.split_once(" (os error").map_or(text.as_str(), |(reason, _)| reason).to_lowercase();
    Error::Io { text: format!("{doing} {path}: {reason}") }
}

impl Template {
    /// Renders, and writes what helm writes to its standard output.
    ///
    /// # Errors
    /// With helm's text.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Error> {
        let mut capabilities = Capabilities::default();
        if let Some(version) = &self.kube_version {
            let mut version = KubeVersion::parse(version)?;
            if self.compat == Compat::V3 {
                // Helm 3 forgets what a vendor appended.
                version.version.clone_from(&version.comparable);
            }
            capabilities.kube_version = version;
        }
        let capabilities = capabilities.with_api_versions(self.api_versions.iter().cloned());
        let path = Path::new(self.chart.trim());
        if !path.exists() {
            return Err(Error::ChartNotFound { path: self.chart.clone() });
        }
        let config = self.values.merge(self.compat)?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let chart = Arc::new(chart::load_path(&absolute, &chart::Limits::default())?);
        chart.check_installable()?;
        let name = self.name.as_deref().unwrap_or("release-name");
        check_release_name(name)?;
        let options =
            CoalesceOptions { skip_schema_validation: self.skip_schema_validation, compat: self.compat };
        let coalesced = coalesce(&chart, [config], options)?;
        let facts = ReleaseFacts {
            name: name.to_owned(),
            namespace: self.namespace.clone().unwrap_or_else(|| "default".to_owned()),
            revision: 1,
            is_upgrade: self.is_upgrade,
        };
        let lookup: Arc<dyn Lookup> = Arc::new(NoCluster);
        let render_options = RenderOptions { compat: self.compat, ..RenderOptions::default() };
        let manifest =
            render(&coalesced.chart, &coalesced.values, &facts, &capabilities, &lookup, &render_options)?;
        match &self.output_dir {
            None => self.print(&manifest, out),
            Some(directory) => {
                let folder = if self.release_folder { directory.join(name) } else { directory.clone() };
                self.write_files(&manifest, directory, &folder, out)
            }
        }
    }

    fn print(&self, manifest: &Manifest, out: &mut dyn Write) -> Result<(), Error> {
        let mut text = if self.include_crds { manifest.crds_text() } else { String::new() };
        text.push_str(&manifest.to_text());
        let mut text = format!("{}\n", text.trim());
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

    fn write_files(
        &self,
        manifest: &Manifest,
        directory: &Path,
        folder: &Path,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let mut written: Vec<PathBuf> = Vec::new();
        let mut write = |root: &Path, source: &str, text: &str| -> Result<(), Error> {
            let path = root.join(source);
            let mut block = String::new();
            write_block(&mut block, source, text);
            let failed = |source: io::Error| go_io("open", &path.to_string_lossy(), &source);
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
            writeln!(out, "wrote {}", path.display()).map_err(|source| Error::Write { source })?;
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

/// Checks a release's name.
///
/// # Errors
/// With Helm's text.
pub fn check_release_name(name: &str) -> Result<(), Error> {
    let label = |part: &str| {
        let bytes = part.as_bytes();
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        bytes.iter().all(|b| inner(b) || *b == b'-')
            && bytes.first().is_some_and(inner)
            && bytes.last().is_some_and(inner)
    };
    let reason = if name.is_empty() {
        "no name provided".to_owned()
    } else if name.len() > 53 || !name.split('.').all(label) {
        "invalid release name, must match regex ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ and the length must not be longer than 53".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::ReleaseName { name: name.to_owned(), reason })
}

impl From<RenderError> for Error {
    fn from(error: RenderError) -> Self {
        Self::Render(Box::new(error))
    }
}

/// Why nothing was printed; the text is what helm says after `Error: `.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `--kube-version` is malformed.
    #[error(transparent)]
    KubeVersion(#[from] InvalidKubeVersion),
    /// There is no such chart.
    #[error("path {path:?} not found")]
    ChartNotFound {
        /// What was asked for.
        path: String,
    },
    /// A values file is malformed.
    #[error("failed to parse {path}: {message}")]
    ParseValues {
        /// The file.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// A file cannot be read or written.
    #[error("{text}")]
    Io {
        /// In Go's words.
        text: String,
    },
    /// The output cannot be written.
    #[error("failed to write the output")]
    Write {
        /// Why.
        source: io::Error,
    },
    /// The chart cannot be loaded.
    #[error(transparent)]
    Chart(#[from] chart::Error),
    /// The values cannot be read or put together.
    #[error(transparent)]
    Values(#[from] values::Error),
    /// The chart cannot be rendered; the advice is helm's, and part of what it prints.
    #[error("{0}\n\nUse --debug flag to render out invalid YAML")]
    Render(Box<RenderError>),
    /// The release's name is not allowed.
    #[error("release name check failed: release name {name:?}: {reason}")]
    ReleaseName {
        /// The name.
        name: String,
        /// Helm's reason.
        reason: String,
    },
    /// `--show-only` names no template.
    #[error("could not find template {pattern} in chart")]
    TemplateNotFound {
        /// What was asked for.
        pattern: String,
    },
}
