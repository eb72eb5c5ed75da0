//! Charts: loaded from an archive or a directory, checked, and immutable from then on.
//!
//! A [`Chart`] is plain data behind `Arc`s, so it is cheap to clone and is shared between the releases that use it.
//! What a release's values decide about it (which dependencies are enabled, aliases, imported values) makes a new
//! `Chart`; see [`values::coalesce`](crate::values::coalesce). Its templates are parsed once, at the first render,
//! and the result is kept with the chart.

mod archive;
mod directory;
mod ignore;
mod inflate;
mod load;
mod metadata;
mod path_match;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Compat;
use crate::render::ParsedTemplates;
use crate::values::Values;

#[cfg(test)]
pub(crate) use load::from_texts;
pub use metadata::{Dependency, ImportValue, Lock, Maintainer, Metadata};
pub use pintle_gotemplate::Bytes;
pub use path_match::{BadPattern, path_match};

/// A chart with the charts it depends on.
#[derive(Clone, Debug)]
pub struct Chart {
    /// `Chart.yaml`.
    pub metadata: Metadata,
    /// `Chart.lock`.
    pub lock: Option<Lock>,
    /// Everything under `templates/`.
    pub templates: Vec<ChartFile>,
    /// Everything that is none of the others, `crds/` included: what `.Files` shows.
    pub files: Vec<ChartFile>,
    /// The defaults, parsed.
    pub values: Arc<Values>,
    /// `values.yaml` as it was written.
    pub values_text: Option<Bytes>,
    /// `values.schema.json`.
    pub schema: Option<Bytes>,
    /// The charts under `charts/`.
    pub dependencies: Vec<Chart>,
    /// The templates of the whole tree, parsed at the first render; clones share it.
    pub(crate) parsed: ParsedTemplates,
}

/// A file of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartFile {
    /// Its path inside the chart, with `/`.
    pub name: Arc<str>,
    /// Its content.
    pub data: Bytes,
}

/// A custom resource definition of `crds/`: applied before anything else, never templated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crd {
    /// The path with the chart's: `lab/charts/sub/crds/x.yaml`.
    pub path: String,
    /// The file.
    pub file: ChartFile,
}

/// What a chart may take in memory.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one archive.
    pub compressed_bytes: u64,
    /// Bytes of all files, those of nested archives included.
    pub decompressed_bytes: u64,
    /// Number of files.
    pub files: usize,
    /// Charts inside charts.
    pub nesting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { compressed_bytes: 20 << 20, decompressed_bytes: 100 << 20, files: 10_000, nesting: 32 }
    }
}

impl Chart {
    /// The name, which is the alias where the parent chart gave it one.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// The definitions in `crds/` of this chart and the charts below it, parents first.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/chart/v2/chart.go:CRDObjects`.
    pub fn crds(&self) -> Vec<Crd> {
        let mut crds = Vec::new();
        self.collect_crds(self.name(), &mut crds);
        crds
    }

    fn collect_crds(&self, path: &str, crds: &mut Vec<Crd>) {
        for file in &self.files {
            let extension = file.name.rsplit_once('.').map_or("", |(_, extension)| extension);
            let manifest = ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known));
            if file.name.starts_with("crds/") && manifest {
                crds.push(Crd { path: format!("{path}/{}", file.name), file: file.clone() });
            }
        }
        for dependency in &self.dependencies {
            dependency.collect_crds(&format!("{path}/charts/{}", dependency.name()), crds);
        }
    }

    /// Checks that the chart can be installed: its format is known, it is no library, and what it depends on is there.
    ///
    /// # Errors
    /// [`Error::UnsupportedVersion`], [`Error::NotInstallable`], [`Error::MissingDependencies`],
    /// [`Error::InvalidApiVersion`], with Helm's texts.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/chart/loader/load.go` and `pkg/cmd/install.go:runInstall`; Helm 3 takes every `apiVersion`.
    pub fn check_installable(&self, compat: Compat) -> Result<(), Error> {
        let format = match (compat, self.metadata.api_version.as_str()) {
            (Compat::V3, _) | (Compat::V4, "v1" | "v2") => Ok(()),
            // Helm 4 can read it, so that what it says of the chart comes first.
            (Compat::V4, "v3") => Err(Error::InvalidApiVersion),
            (Compat::V4, _) => return Err(Error::UnsupportedVersion),
        };
        if !matches!(self.metadata.kind.as_str(), "" | "application") {
            return Err(Error::NotInstallable { kind: self.metadata.kind.clone() });
        }
        self.check_dependencies_as(compat)?;
        format
    }

    /// Checks that what the chart depends on is there.
    ///
    /// # Errors
    /// [`Error::MissingDependencies`].
    pub fn check_dependencies(&self) -> Result<(), Error> {
        self.check_dependencies_as(Compat::V4)
    }

    fn check_dependencies_as(&self, compat: Compat) -> Result<(), Error> {
        let missing: Vec<&str> = self
            .metadata
            .dependencies
            .iter()
            .map(|wanted| wanted.name.as_str())
            .filter(|wanted| !self.dependencies.iter().any(|chart| chart.name() == *wanted))
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Error::MissingDependencies { names: missing.join(", "), compat })
        }
    }
}

/// Loads a chart from the bytes of its archive.
///
/// # Errors
/// The archive is broken, breaks a limit or a path rule, or is no valid chart.
///
/// # Examples
/// ```
/// use pintle_helm::chart::{Limits, load_archive};
/// assert_eq!(load_archive(b"PK", &Limits::default()).unwrap_err().to_string(), "gzip: invalid header");
/// ```
pub fn load_archive(bytes: &[u8], limits: &Limits) -> Result<Chart, Error> {
    archive::load(bytes, &mut archive::Budget::new(limits))
}

/// Loads a chart from a directory or an archive on disk, as the command line does.
///
/// # Errors
/// As [`load_archive`], and what the file system says.
pub fn load_path(path: &std::path::Path, limits: &Limits) -> Result<Chart, Error> {
    directory::load_path(path, limits)
}

/// Why a chart could not be loaded. Texts are Helm's where Helm has one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not gzip.
    #[error("gzip: invalid header")]
    NotGzip,
    /// The file on disk is not gzip.
    #[error("file '{path}' does not appear to be a gzipped archive; got '{content_type}'")]
    NotArchive {
        /// The file.
        path: String,
        /// What it looks like.
        content_type: &'static str,
    },
    /// The file on disk is a YAML file.
    #[error("file '{path}' seems to be a YAML file, but expected a gzipped archive")]
    YamlInsteadOfArchive {
        /// The file.
        path: String,
    },
    /// gzip or tar is broken.
    #[error("unable to load chart archive")]
    ReadArchive {
        /// What is broken.
        source: io::Error,
    },
    /// The archive is too large.
    #[error("chart archive is larger than the maximum size {limit}")]
    CompressedTooLarge {
        /// Bytes.
        limit: u64,
    },
    /// The files are too large.
    #[error("decompressed chart is larger than the maximum size {limit}")]
    TooLarge {
        /// Bytes.
        limit: u64,
    },
    /// There are too many files.
    #[error("chart holds more than {limit} files")]
    TooManyFiles {
        /// Number of files.
        limit: usize,
    },
    /// Charts are nested too deep.
    #[error("charts are nested more than {limit} deep")]
    TooDeep {
        /// Levels.
        limit: usize,
    },
    /// A path starts with `/`.
    #[error("chart illegally contains absolute paths")]
    AbsolutePath,
    /// A file lies beside the chart's folder.
    #[error("chart illegally contains content outside the base directory: {path:?}")]
    OutsideBase {
        /// The path in the archive.
        path: String,
    },
    /// A path leaves the chart.
    #[error("chart illegally references parent directory")]
    ParentDirectory,
    /// A path names a Windows drive.
    #[error("chart contains illegally named files")]
    IllegalName,
    /// `Chart.yaml` is a folder at the top.
    #[error("chart yaml not in base directory")]
    ChartYamlOutsideBase,
    /// No file at all.
    #[error("no files in chart archive")]
    EmptyArchive,
    /// A file of the chart cannot be parsed.
    #[error("cannot load {file}: {message}")]
    Parse {
        /// Which one.
        file: &'static str,
        /// What the parser says, in Go's words.
        message: String,
    },
    /// No `Chart.yaml`.
    #[error("Chart.yaml file is missing")]
    MissingChartYaml,
    /// No readable `Chart.yaml` in a directory.
    #[error("unable to detect chart at {path}")]
    UndetectedChart {
        /// The directory.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// An `apiVersion` that Helm does not know.
    #[error("unsupported chart version")]
    UnsupportedVersion,
    /// `apiVersion: v3`, which Helm 4 loads but does not install.
    #[error("invalid chart apiVersion")]
    InvalidApiVersion,
    /// `Chart.yaml` breaks a rule.
    #[error("validation: {0}")]
    Invalid(String),
    /// A chart of `charts/` cannot be loaded.
    #[error("error unpacking subchart {name} in {parent}: {reason}")]
    Subchart {
        /// The file or folder.
        name: String,
        /// The chart it lies in.
        parent: String,
        /// Why; no `source`, because Helm's text is one line that holds it.
        reason: Box<Error>,
    },
    /// An archive of `charts/` that is a folder.
    #[error("error unpacking subchart tar in {parent}: expected {expected}, got {found}")]
    SubchartArchive {
        /// The chart it lies in.
        parent: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A library chart.
    #[error("{kind} charts are not installable")]
    NotInstallable {
        /// `library`.
        kind: String,
    },
    /// Dependencies are named but not there.
    #[error(
        "{} error occurred while checking for chart dependencies. You may need to run {} to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {names}",
        match compat { Compat::V3 => "An", Compat::V4 => "an" },
        match compat { Compat::V3 => "`helm dependency build`", Compat::V4 => "'helm dependency build'" }
    )]
    MissingDependencies {
        /// Their names, joined by commas.
        names: String,
        /// Whose words.
        compat: Compat,
    },
    /// `**` in `.helmignore`.
    #[error("double-star (**) syntax is not supported")]
    DoubleStar,
    /// A malformed pattern in `.helmignore`.
    #[error("syntax error in pattern")]
    IgnorePattern,
    /// A device, a socket or the like.
    #[error("cannot load irregular file {path} as it has file mode type bits set")]
    IrregularFile {
        /// The file.
        path: String,
    },
    /// A file cannot be read.
    #[error("failed to read `{}`", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
