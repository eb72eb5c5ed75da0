//! Errors of parsing and executing: where it happened, in which template, at which node, and why.
//!
//! An [`Error`] is one frame (one template at one node). When a function that executes another template
//! (`include`, `tpl`) fails, the inner error travels whole inside the outer one, so the chain of frames stays
//! a structure: [`Error::frames`] lists it from the rendered file inwards, [`Error::cause`] is the innermost
//! reason. [`Display`](fmt::Display) gives Go's exact text.

use std::error;
use std::fmt;
use std::sync::Arc;

use crate::printf;

/// What a function returns instead of a value.
///
/// The executor wraps it as Go does: `error calling NAME: TEXT`, with the template's name, line and column.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FuncError {
    /// A plain message: shown after `error calling NAME: `.
    Message(String),
    /// The template asked to stop with this text (`fail`, `required`); found again with [`Error::abort`].
    Abort(String),
    /// A nested execution failed (`include`, `tpl`): the inner error travels whole.
    Nested(Box<Error>),
    /// Another error, with what was being done: shown as `TEXT: INNER`.
    Context(String, Box<FuncError>),
    /// A budget ran out; never caught, never retried.
    Limit(Limit),
}

impl FuncError {
    /// Puts what was being done in front, as Go's `fmt.Errorf("TEXT: %w", err)`.
    #[must_use]
    pub fn context(self, text: impl Into<String>) -> Self {
        Self::Context(text.into(), Box::new(self))
    }

    /// The nested template error, under any number of contexts.
    pub fn nested(&self) -> Option<&Error> {
        match self {
            Self::Nested(error) => Some(error),
            Self::Context(_, inner) => inner.nested(),
            Self::Message(_) | Self::Abort(_) | Self::Limit(_) => None,
        }
    }

    /// The error under all contexts.
    pub fn root(&self) -> &Self {
        match self {
            Self::Context(_, inner) => inner.root(),
            other => other,
        }
    }
}

impl From<String> for FuncError {
    fn from(text: String) -> Self {
        Self::Message(text)
    }
}

impl From<&str> for FuncError {
    fn from(text: &str) -> Self {
        Self::Message(text.to_owned())
    }
}

impl From<Limit> for FuncError {
    fn from(limit: Limit) -> Self {
        Self::Limit(limit)
    }
}

impl From<Error> for FuncError {
    fn from(error: Error) -> Self {
        Self::Nested(Box::new(error))
    }
}

impl fmt::Display for FuncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(text) | Self::Abort(text) => f.write_str(text),
            Self::Nested(error) => fmt::Display::fmt(error, f),
            Self::Context(text, inner) => write!(f, "{text}: {inner}"),
            Self::Limit(limit) => fmt::Display::fmt(limit, f),
        }
    }
}

impl error::Error for FuncError {}

/// The budget that ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nested templates, nested values or the stack.
    Depth,
    /// Executed nodes.
    Steps,
    /// Bytes written.
    Output,
    /// Wall time.
    Time,
    /// Calls of functions that are slow on purpose, such as those that make keys.
    Crypto,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Depth => "exceeded the maximum nesting depth",
            Self::Steps => "exceeded the maximum number of steps",
            Self::Output => "exceeded the maximum size of the output",
            Self::Time => "exceeded the maximum rendering time",
            Self::Crypto => "exceeded the maximum number of keys, certificates and password hashes",
        })
    }
}

impl error::Error for Limit {}

/// What sort of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not a template.
    Parse,
    /// The template could not be executed.
    Exec,
    /// A budget ran out, here or in a nested execution.
    Limit,
}

/// A parse or execution error with its place.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    place: Option<Place>,
    cause: Cause,
}

/// Where an error happened.
#[derive(Clone)]
pub(crate) struct Place {
    /// The name under which the text was parsed: the file.
    pub template: Arc<str>,
    /// 1-based; 0 means that only the template is known.
    pub line: usize,
    /// 0-based byte offset in the line; parse errors have none.
    pub column: Option<usize>,
    /// The template (file or `define`) that was executing.
    pub executing: Arc<str>,
    /// The node, printed canonically.
    pub node: String,
}

#[derive(Clone)]
enum Cause {
    Message(String),
    Calling(String, FuncError),
}

/// One level of an error chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The name under which the text was parsed: the file. Empty when unknown.
    pub template: &'a str,
    /// 1-based line; 0 when unknown.
    pub line: usize,
    /// 0-based byte offset in the line; parse errors have none.
    pub column: Option<usize>,
    /// The template (file or `define`) that was executing; empty for parse errors.
    pub executing: &'a str,
    /// The node, printed canonically; empty for parse errors.
    pub node: &'a str,
    /// The function that failed, for a level that is an `error calling NAME`.
    pub function: Option<&'a str>,
}

impl Error {
    pub(crate) fn parse(template: &Arc<str>, line: usize, message: String) -> Self {
        let place = Place {
            template: template.clone(),
            line,
            column: None,
            executing: Arc::from(""),
            node: String::new(),
        };
        Self(Box::new(Inner { kind: ErrorKind::Parse, place: Some(place), cause: Cause::Message(message) }))
    }

    pub(crate) fn exec(place: Place, message: String) -> Self {
        Self(Box::new(Inner { kind: ErrorKind::Exec, place: Some(place), cause: Cause::Message(message) }))
    }

    pub(crate) fn calling(place: Place, function: &str, source: FuncError) -> Self {
        let limit = match source.root() {
            FuncError::Limit(_) => true,
            FuncError::Nested(inner) => inner.kind() == ErrorKind::Limit,
            _ => false,
        };
        let kind = if limit { ErrorKind::Limit } else { ErrorKind::Exec };
        Self(Box::new(Inner { kind, place: Some(place), cause: Cause::Calling(function.to_owned(), source) }))
    }

    pub(crate) fn limit(place: Place, limit: Limit) -> Self {
        let cause = Cause::Calling(String::new(), FuncError::Limit(limit));
        Self(Box::new(Inner { kind: ErrorKind::Limit, place: Some(place), cause }))
    }

    pub(crate) fn plain(message: String) -> Self {
        Self(Box::new(Inner { kind: ErrorKind::Exec, place: None, cause: Cause::Message(message) }))
    }

    /// What sort of error it is; a limit that ran out in a nested execution counts as a limit.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where it happened: the outermost frame, which is the place in the rendered file.
    pub fn frame(&self) -> Frame<'_> {
        let function = match &self.0.cause {
            Cause::Calling(name, _) if !name.is_empty() => Some(name.as_str()),
            _ => None,
        };
        match &self.0.place {
            Some(place) => Frame {
                template: &place.template,
                line: place.line,
                column: place.column,
                executing: &place.executing,
                node: &place.node,
                function,
            },
            None => Frame { template: "", line: 0, column: None, executing: "", node: "", function },
        }
    }

    /// The chain of frames, from the rendered file inwards.
    pub fn frames(&self) -> Vec<Frame<'_>> {
        self.chain().map(Error::frame).collect()
    }

    /// This error and the nested ones, from the outside inwards.
    pub fn chain(&self) -> impl Iterator<Item = &Error> {
        std::iter::successors(Some(self), |error| error.source_error().and_then(FuncError::nested))
    }

    /// What the function returned, when this frame is an `error calling NAME`.
    pub fn source_error(&self) -> Option<&FuncError> {
        match &self.0.cause {
            Cause::Calling(_, source) => Some(source),
            Cause::Message(_) => None,
        }
    }

    /// The message of this frame without its place: `error calling include: …`.
    pub fn message(&self) -> String {
        match &self.0.cause {
            Cause::Message(text) => text.clone(),
            Cause::Calling(name, source) if name.is_empty() => source.to_string(),
            Cause::Calling(name, source) => format!("error calling {name}: {source}"),
        }
    }

    /// The innermost message of the chain: with `error calling NAME: ` in front when a function said it.
    pub fn cause(&self) -> String {
        self.chain().last().map(Error::message).unwrap_or_default()
    }

    /// The text of `fail` or `required` when one of them ended the execution.
    pub fn abort(&self) -> Option<&str> {
        match self.chain().last()?.source_error()?.root() {
            FuncError::Abort(text) => Some(text),
            _ => None,
        }
    }

    /// The budget that ran out, if that is what happened.
    pub fn limit_reached(&self) -> Option<Limit> {
        match self.chain().last()?.source_error()?.root() {
            FuncError::Limit(limit) => Some(*limit),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "template: {}", place.template)?;
            if place.line > 0 {
                write!(f, ":{}", place.line)?;
            }
            if let Some(column) = place.column {
                let name = printf::quote(place.executing.as_bytes());
                let name = String::from_utf8_lossy(&name);
                write!(f, ":{column}: executing {name} at <{}>", place.node)?;
            }
            f.write_str(": ")?;
        }
        match &self.0.cause {
            Cause::Message(text) => f.write_str(text),
            Cause::Calling(name, source) if name.is_empty() => fmt::Display::fmt(source, f),
            Cause::Calling(name, source) => write!(f, "error calling {name}: {source}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}, {self})", self.0.kind)
    }
}

impl error::Error for Error {}
