//! Why nothing was printed.

use std::io;

use crate::Compat;
use crate::chart;
use crate::render::{InvalidKubeVersion, RenderError};
use crate::values;

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
    /// The program that `--post-renderer` names is not there, or fails.
    #[error("{text}")]
    PostRenderer {
        /// In helm's words.
        text: String,
    },
    /// The output cannot be written.
    #[error("failed to write the output")]
    Write {
        /// Why.
        source: io::Error,
    },
    /// Whoever looks for charts and values elsewhere did not find something.
    #[error("{0}")]
    Source(String),
    /// The chart cannot be loaded.
    #[error("{}", in_words_of(reason, *compat))]
    Chart {
        /// Why; no `source`, because helm's text is one line that holds it.
        reason: Box<chart::Error>,
        /// Whose words.
        compat: Compat,
    },
    /// A name is given, and a flag asks for another one.
    #[error("cannot set {flag} and also specify a name")]
    TwoNames {
        /// The flag.
        flag: &'static str,
    },
    /// `--name-template` cannot be parsed or executed.
    #[error("{0}")]
    NameTemplate(pintle_gotemplate::Error),
    /// The values cannot be read or put together.
    #[error(transparent)]
    Values(#[from] values::Error),
    /// The chart cannot be rendered; the advice is helm's, and part of what it prints.
    #[error("{0}\n\nUse --debug flag to render out invalid YAML")]
    Render(Box<RenderError>),
    /// The same, where `--debug` has printed what was rendered.
    #[error("{0}")]
    Rendered(Box<RenderError>),
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

/// Helm 3 does not say that it reads documents, does not choose a loader first, and has other packages.
fn in_words_of(error: &chart::Error, compat: Compat) -> String {
    let text = error.to_string();
    match compat {
        Compat::V3 => text
            .replacen("values.yaml: cannot unmarshal yaml document: ", "values.yaml: ", 1)
            .replacen("struct field chartBase.apiVersion ", "struct field Metadata.apiVersion ", 1)
            .replacen(" of type []*v2.", " of type []*chart.", 1)
            .replacen(" of type v2.", " of type chart.", 1),
        Compat::V4 => text,
    }
}
