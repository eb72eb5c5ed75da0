//! What the scanner gives to the parser: tokens, and problems with a line number as go-yaml gives one.

use std::borrow::Cow;

/// What is wrong with a text, in the terms in which go-yaml decides on a line number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    pub(crate) message: Cow<'static, str>,
    line: usize,
    context_line: usize,
}

impl Problem {
    /// A problem that the scanner sees at `line`.
    pub(crate) fn scanner(message: &'static str, line: usize) -> Self {
        // Go: lines are counted from zero, and only the scanner's are corrected; a problem on the very
        // first line has no number at all.
        Self { message: message.into(), line: if line == 0 { 0 } else { line + 1 }, context_line: 0 }
    }

    /// A problem that the parser sees at the token of `line`.
    pub(crate) fn parser(message: &'static str, line: usize) -> Self {
        Self { message: message.into(), line, context_line: 0 }
    }

    /// Adds where the surrounding construct starts.
    pub(crate) fn within(self, context_line: usize) -> Self {
        Self { context_line, ..self }
    }

    /// A problem without a place.
    pub(crate) fn plain(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), line: 0, context_line: 0 }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.context_line) {
            (0, 0) => write!(f, "yaml: {}", self.message),
            (0, line) | (line, _) => write!(f, "yaml: line {line}: {}", self.message),
        }
    }
}

/// A token, and the line on which it starts.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind<'a>,
    pub(crate) line: usize,
}

/// What a token is.
#[derive(Debug, PartialEq)]
pub(crate) enum Kind<'a> {
    StreamStart,
    StreamEnd,
    Version { major: u8, minor: u8 },
    TagDirective(Box<Tag>),
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(&'a str),
    Anchor(&'a str),
    Tag(Box<Tag>),
    Scalar { value: Cow<'a, str>, plain: bool },
}

/// A tag in two parts, or the directive that gives the first part a meaning.
#[derive(Debug, PartialEq)]
pub(crate) struct Tag {
    pub(crate) handle: String,
    /// The suffix of a tag, or the prefix that a directive declares.
    pub(crate) rest: String,
}
