//! Errors of rendering, worded as Helm 4 words them.

use std::collections::BTreeMap;
use std::fmt;

use pintle_gotemplate::{Error, FuncError, Limit};

use crate::{Compat, manifest};

/// Where in the chart an error happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file: `lab/templates/x.yaml`.
    pub file: String,
    /// 1-based; 0 when unknown.
    pub line: usize,
    /// 0-based byte offset; parse errors have none.
    pub column: Option<usize>,
}

/// Why a chart could not be rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The chart wants another version of Kubernetes.
    #[error("chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {found}")]
    IncompatibleKubeVersion {
        /// The constraint of `Chart.yaml`.
        wanted: String,
        /// The version.
        found: String,
    },
    /// `Chart.yaml` asks for an engine that there is not.
    #[error(
        "chart `{chart}` wants the engine `{engine}`; the annotation pintle.dev/engine is `gotemplate` or `jinja`"
    )]
    UnknownEngine {
        /// The chart.
        chart: String,
        /// What its annotation says.
        engine: String,
    },
    /// What functions drew from clock and chance cannot be kept for the next revision.
    #[error(
        "templates draw more from clock and chance than can be frozen ({bytes} bytes, {uses} uses); set spec.impure: Allow, or give the values in the spec"
    )]
    TooMuchToFreeze {
        /// What is kept at most.
        bytes: usize,
        /// How many uses are kept at most.
        uses: usize,
    },
    /// A template is malformed.
    #[error("{text}")]
    Parse {
        /// Helm's text.
        text: String,
        /// Where.
        place: Place,
    },
    /// A template failed.
    #[error("{text}")]
    Execute {
        /// Helm's text.
        text: String,
        /// Where, in the file that was being rendered.
        place: Place,
    },
    /// A template asked to stop, with `fail` or `required`.
    #[error("{text}")]
    Aborted {
        /// Helm's text.
        text: String,
        /// What the template says.
        message: String,
        /// Where, in the file that was being rendered.
        place: Place,
    },
    /// A budget ran out.
    #[error("{text}")]
    LimitExceeded {
        /// What was being done.
        text: String,
        /// Which budget.
        limit: Limit,
        /// Where, in the file that was being rendered.
        place: Place,
    },
    /// What was rendered is no manifest.
    #[error("{error}")]
    Manifest {
        /// What is wrong with it.
        error: manifest::Error,
        /// What was rendered, for a person who asks for it.
        files: RenderedFiles,
    },
    /// No thread could be started.
    #[error("failed to start a thread to render on")]
    Thread {
        /// Why.
        source: std::io::Error,
    },
    /// The engine broke: a bug of Pintle.
    #[error("rendering template failed: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
}

fn place(error: &Error) -> Place {
    let frame = error.frame();
    Place { file: frame.template.to_owned(), line: frame.line, column: frame.column }
}

/// What was rendered, by path. There may be Secrets in it: `Debug` shows the paths alone.
pub struct RenderedFiles(pub(crate) BTreeMap<String, String>);

impl fmt::Debug for RenderedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// Helm v4 `pkg/engine/engine.go:cleanupParseError`.
pub(super) fn of_parsing(error: &Error) -> RenderError {
    let text = error.to_string();
    // Go: what follows the last colon, so the reason may be cut short.
    let mut tokens = text.split(": ");
    let location = tokens.nth(1).unwrap_or_default();
    let reason = text.rsplit(": ").next().unwrap_or_default();
    RenderError::Parse { text: format!("parse error at ({location}): {reason}"), place: place(error) }
}

/// Helm v4 `pkg/engine/engine.go:reformatExecErrorMsg`.
pub(super) fn of_execution(error: &Error, compat: Compat) -> RenderError {
    let place = place(error);
    if let Some(limit) = error.limit_reached() {
        return RenderError::LimitExceeded { text: error.to_string(), limit, place };
    }
    if let Some(message) = error.abort() {
        let column = place.column.unwrap_or_default();
        let text = format!("execution error at ({}:{}:{column}): {message}", place.file, place.line);
        return RenderError::Aborted { text, message: message.to_owned(), place };
    }
    let raw = error.to_string();
    // Helm 3 prints Go's text as it is.
    let text = if place.file.is_empty() || compat == Compat::V3 { raw } else { trace(error).unwrap_or(raw) };
    RenderError::Execute { text, place }
}

/// The chain of errors, one level below the other; nothing when a level is not in the form that Helm can read.
fn trace(error: &Error) -> Option<String> {
    let mut levels: Vec<Level> = Vec::new();
    let mut push = |text: &str| -> Option<()> {
        let level = Level::parse(text)?;
        if levels.last() != Some(&level) {
            levels.push(level);
        }
        Some(())
    };
    push(&error.to_string())?;
    let mut current = error.source_error();
    while let Some(source) = current {
        push(&source.to_string())?;
        current = match source {
            FuncError::Nested(inner) => inner.source_error(),
            FuncError::Context(_, inner) => Some(inner),
            _ => None,
        };
    }
    let text: String = levels.iter().map(Level::print).collect();
    Some(text.trim().to_owned())
}

/// Helm's `TraceableError`.
#[derive(Debug, PartialEq, Eq)]
struct Level {
    location: String,
    executing: String,
    message: String,
}

impl Level {
    fn print(&self) -> String {
        let mut text = String::new();
        if !self.location.is_empty() {
            text = format!("{}\n  ", self.location);
        }
        if !self.executing.is_empty() {
            text = format!("{text}{}\n    ", self.executing);
        }
        if !self.message.is_empty() {
            text = format!("{text}{}\n", self.message);
        }
        text
    }

    /// Helm v4 `parseTemplateExecErrorString`.
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("template: ")?;
        if rest.starts_with("no template ") {
            return Some(Self {
                location: String::new(),
                executing: String::new(),
                message: text.to_owned(),
            });
        }
        Self::parse_executing(rest).or_else(|| {
            let (location, message) = rest.rsplit_once(": ")?;
            Some(Self {
                location: location.to_owned(),
                executing: String::new(),
                message: before_next(message).to_owned(),
            })
        })
    }

    fn parse_executing(rest: &str) -> Option<Self> {
        let (location, after) = rest.split_once(": executing ")?;
        let (function, after) = after.strip_prefix('"')?.split_once('"')?;
        let (node, message) = after.strip_prefix(" at <")?.split_once(">: ")?;
        Some(Self {
            location: location.to_owned(),
            executing: format!("executing \"{function}\" at <{node}>:"),
            message: before_next(message).to_owned(),
        })
    }
}

/// The text before the next level of the chain.
fn before_next(message: &str) -> &str {
    message.split_once(" template:").map_or(message, |(before, _)| before)
}
