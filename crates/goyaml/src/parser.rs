//! Turns tokens into events, by libyaml's grammar.
//!
//! The grammar is a state machine with a stack of its own, so nesting does not recurse.

use std::borrow::Cow;

use crate::scanner::Scanner;
use crate::token::{Kind, Problem, Tag};

/// A step of walking through a document.
#[derive(Debug, PartialEq)]
pub(crate) enum Event<'a> {
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    Alias(&'a str),
    Scalar {
        anchor: Option<&'a str>,
        tag: Option<Box<str>>,
        value: Cow<'a, str>,
        /// Whether the value may be resolved: it is plain and has no tag, or the tag `!`.
        implicit: bool,
    },
    SequenceStart(Option<&'a str>),
    SequenceEnd,
    MappingStart(Option<&'a str>),
    MappingEnd,
}

/// What the grammar expects next.
#[derive(Debug, Clone, Copy)]
enum State {
    ImplicitDocumentStart,
    DocumentStart,
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockSequenceFirstEntry,
    BlockSequenceEntry,
    IndentlessSequenceEntry,
    BlockMappingFirstKey,
    BlockMappingKey,
    BlockMappingValue,
    FlowSequenceFirstEntry,
    FlowSequenceEntry,
    FlowSequencePairKey,
    FlowSequencePairValue,
    FlowSequencePairEnd,
    FlowMappingFirstKey,
    FlowMappingKey,
    FlowMappingValue,
    FlowMappingEmptyValue,
    End,
}

/// The parser.
pub(crate) struct Parser<'a> {
    scanner: Scanner<'a>,
    state: State,
    states: Vec<State>,
    /// The lines on which the open collections start.
    lines: Vec<usize>,
    handles: Vec<(String, String)>,
}

type Parsed<'a> = Result<Event<'a>, Problem>;

impl<'a> Parser<'a> {
    /// Starts to parse; the first event is that of a document.
    pub(crate) fn new(mut scanner: Scanner<'a>) -> Result<Self, Problem> {
        scanner.next()?;
        Ok(Self {
            scanner,
            state: State::ImplicitDocumentStart,
            states: Vec::new(),
            lines: Vec::new(),
            handles: Vec::new(),
        })
    }

    /// Gives the next event.
    pub(crate) fn next(&mut self) -> Parsed<'a> {
        match self.state {
            State::ImplicitDocumentStart => self.document_start(true),
            State::DocumentStart => self.document_start(false),
            State::DocumentContent => self.document_content(),
            State::DocumentEnd => self.document_end(),
            State::BlockNode => self.node(true, false),
            State::BlockSequenceFirstEntry => self.block_sequence_entry(true),
            State::BlockSequenceEntry => self.block_sequence_entry(false),
            State::IndentlessSequenceEntry => self.indentless_sequence_entry(),
            State::BlockMappingFirstKey => self.block_mapping_key(true),
            State::BlockMappingKey => self.block_mapping_key(false),
            State::BlockMappingValue => self.block_mapping_value(),
            State::FlowSequenceFirstEntry => self.flow_sequence_entry(true),
            State::FlowSequenceEntry => self.flow_sequence_entry(false),
            State::FlowSequencePairKey => self.flow_sequence_pair_key(),
            State::FlowSequencePairValue => self.flow_sequence_pair_value(),
            State::FlowSequencePairEnd => {
                self.scanner.peek()?;
                self.state = State::FlowSequenceEntry;
                Ok(Event::MappingEnd)
            }
            State::FlowMappingFirstKey => self.flow_mapping_key(true),
            State::FlowMappingKey => self.flow_mapping_key(false),
            State::FlowMappingValue => self.flow_mapping_value(false),
            State::FlowMappingEmptyValue => self.flow_mapping_value(true),
            State::End => Ok(Event::StreamEnd),
        }
    }

    /// Goes back to what was expected after the current node.
    fn pop(&mut self) {
        self.state = self.states.pop().unwrap_or(State::End);
    }

    /// Closes a collection.
    fn close(&mut self, event: Event<'a>) -> Parsed<'a> {
        self.pop();
        self.lines.pop();
        self.scanner.next()?;
        Ok(event)
    }

    /// A value that is not there.
    fn empty(&mut self, next: State) -> Parsed<'a> {
        self.state = next;
        Ok(Event::Scalar { anchor: None, tag: None, value: Cow::Borrowed(""), implicit: true })
    }

    /// Enters a collection, whose start token is the next one.
    fn enter(&mut self) -> Result<(), Problem> {
        let token = self.scanner.next()?;
        self.lines.push(token.line);
        Ok(())
    }

    /// A problem inside of the current collection, at the next token.
    fn unexpected(&mut self, message: &'static str) -> Problem {
        let context = self.lines.pop().unwrap_or(0);
        match self.scanner.peek() {
            Ok(token) => Problem::parser(message, token.line).within(context),
            Err(problem) => problem,
        }
    }

    fn document_start(&mut self, implicit: bool) -> Parsed<'a> {
        if !implicit {
            while self.scanner.peek()?.kind == Kind::DocumentEnd {
                self.scanner.next()?;
            }
        }
        match self.scanner.peek()?.kind {
            Kind::StreamEnd => {
                self.scanner.next()?;
                self.state = State::End;
                Ok(Event::StreamEnd)
            }
            Kind::Version { .. } | Kind::TagDirective(_) | Kind::DocumentStart => {
                self.explicit_document_start()
            }
            _ if implicit => {
                self.directives()?;
                self.states.push(State::DocumentEnd);
                self.state = State::BlockNode;
                Ok(Event::DocumentStart)
            }
            _ => self.explicit_document_start(),
        }
    }

    fn explicit_document_start(&mut self) -> Parsed<'a> {
        self.directives()?;
        let token = self.scanner.peek()?;
        if token.kind != Kind::DocumentStart {
            return Err(Problem::parser("did not find expected <document start>", token.line));
        }
        self.states.push(State::DocumentEnd);
        self.state = State::DocumentContent;
        self.scanner.next()?;
        Ok(Event::DocumentStart)
    }

    fn directives(&mut self) -> Result<(), Problem> {
        let mut versioned = false;
        while matches!(self.scanner.peek()?.kind, Kind::Version { .. } | Kind::TagDirective(_)) {
            let token = self.scanner.next()?;
            match token.kind {
                Kind::Version { .. } if versioned => {
                    return Err(Problem::parser("found duplicate %YAML directive", token.line));
                }
                Kind::Version { major: 1, minor: 1 } => versioned = true,
                Kind::Version { .. } => {
                    return Err(Problem::parser("found incompatible YAML document", token.line));
                }
                Kind::TagDirective(tag) => {
                    let Tag { handle, rest: prefix } = *tag;
                    if self.handles.iter().any(|(known, _)| *known == handle) {
                        return Err(Problem::parser("found duplicate %TAG directive", token.line));
                    }
                    self.handles.push((handle, prefix));
                }
                _ => {}
            }
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            if !self.handles.iter().any(|(known, _)| known == handle) {
                self.handles.push((handle.to_owned(), prefix.to_owned()));
            }
        }
        Ok(())
    }

    fn document_content(&mut self) -> Parsed<'a> {
        match self.scanner.peek()?.kind {
            Kind::Version { .. }
            | Kind::TagDirective(_)
            | Kind::DocumentStart
            | Kind::DocumentEnd
            | Kind::StreamEnd => {
                let next = self.states.pop().unwrap_or(State::End);
                self.empty(next)
            }
            _ => self.node(true, false),
        }
    }

    fn document_end(&mut self) -> Parsed<'a> {
        if self.scanner.peek()?.kind == Kind::DocumentEnd {
            self.scanner.next()?;
        }
        self.handles.clear();
        self.state = State::DocumentStart;
        Ok(Event::DocumentEnd)
    }

    fn node(&mut self, block: bool, indentless: bool) -> Parsed<'a> {
        let start = self.scanner.peek()?.line;
        if let Kind::Alias(name) = self.scanner.peek()?.kind {
            self.pop();
            self.scanner.next()?;
            return Ok(Event::Alias(name));
        }
        let mut anchor = None;
        let mut tag = None;
        // At most one of each, in either order.
        for _ in 0..2 {
            match self.scanner.peek()?.kind {
                Kind::Anchor(name) if anchor.is_none() => {
                    anchor = Some(name);
                    self.scanner.next()?;
                }
                Kind::Tag(_) if tag.is_none() => {
                    let token = self.scanner.next()?;
                    if let Kind::Tag(found) = token.kind {
                        tag = Some((found.handle, found.rest, token.line));
                    }
                }
                _ => break,
            }
        }
        self.scanner.peek()?;
        let tag = match tag {
            None => None,
            Some((handle, suffix, _)) if handle.is_empty() => Some(suffix),
            Some((handle, suffix, line)) => match self.handles.iter().find(|(known, _)| *known == handle) {
                Some((_, prefix)) => Some(format!("{prefix}{suffix}")),
                None => return Err(Problem::parser("found undefined tag handle", line).within(start)),
            },
        };
        let tag: Option<Box<str>> = tag.filter(|tag| !tag.is_empty()).map(String::into_boxed_str);

        let token = self.scanner.peek()?;
        let line = token.line;
        match &token.kind {
            Kind::BlockEntry if indentless => {
                self.state = State::IndentlessSequenceEntry;
                Ok(Event::SequenceStart(anchor))
            }
            Kind::Scalar { .. } => {
                self.pop();
                match self.scanner.next()?.kind {
                    Kind::Scalar { value, plain } => {
                        let implicit = (tag.is_none() && plain) || tag.as_deref() == Some("!");
                        Ok(Event::Scalar { anchor, tag, value, implicit })
                    }
                    _ => Err(Problem::parser("did not find expected node content", line)),
                }
            }
            Kind::FlowSequenceStart => {
                self.state = State::FlowSequenceFirstEntry;
                Ok(Event::SequenceStart(anchor))
            }
            Kind::FlowMappingStart => {
                self.state = State::FlowMappingFirstKey;
                Ok(Event::MappingStart(anchor))
            }
            Kind::BlockSequenceStart if block => {
                self.state = State::BlockSequenceFirstEntry;
                Ok(Event::SequenceStart(anchor))
            }
            Kind::BlockMappingStart if block => {
                self.state = State::BlockMappingFirstKey;
                Ok(Event::MappingStart(anchor))
            }
            _ if anchor.is_some() || tag.is_some() => {
                self.pop();
                let implicit = tag.is_none();
                Ok(Event::Scalar { anchor, tag, value: Cow::Borrowed(""), implicit })
            }
            _ => Err(Problem::parser("did not find expected node content", line).within(start)),
        }
    }

    fn block_sequence_entry(&mut self, first: bool) -> Parsed<'a> {
        if first {
            self.enter()?;
        }
        match self.scanner.peek()?.kind {
            Kind::BlockEntry => {
                self.scanner.next()?;
                match self.scanner.peek()?.kind {
                    Kind::BlockEntry | Kind::BlockEnd => self.empty(State::BlockSequenceEntry),
                    _ => {
                        self.states.push(State::BlockSequenceEntry);
                        self.node(true, false)
                    }
                }
            }
            Kind::BlockEnd => self.close(Event::SequenceEnd),
            _ => Err(self.unexpected("did not find expected '-' indicator")),
        }
    }

    fn indentless_sequence_entry(&mut self) -> Parsed<'a> {
        if self.scanner.peek()?.kind != Kind::BlockEntry {
            self.pop();
            return Ok(Event::SequenceEnd);
        }
        self.scanner.next()?;
        match self.scanner.peek()?.kind {
            Kind::BlockEntry | Kind::Key | Kind::Value | Kind::BlockEnd => {
                self.empty(State::IndentlessSequenceEntry)
            }
            _ => {
                self.states.push(State::IndentlessSequenceEntry);
                self.node(true, false)
            }
        }
    }

    fn block_mapping_key(&mut self, first: bool) -> Parsed<'a> {
        if first {
            self.enter()?;
        }
        match self.scanner.peek()?.kind {
            Kind::Key => {
                self.scanner.next()?;
                match self.scanner.peek()?.kind {
                    Kind::Key | Kind::Value | Kind::BlockEnd => self.empty(State::BlockMappingValue),
                    _ => {
                        self.states.push(State::BlockMappingValue);
                        self.node(true, true)
                    }
                }
            }
            Kind::BlockEnd => self.close(Event::MappingEnd),
            _ => Err(self.unexpected("did not find expected key")),
        }
    }

    fn block_mapping_value(&mut self) -> Parsed<'a> {
        if self.scanner.peek()?.kind != Kind::Value {
            return self.empty(State::BlockMappingKey);
        }
        self.scanner.next()?;
        match self.scanner.peek()?.kind {
            Kind::Key | Kind::Value | Kind::BlockEnd => self.empty(State::BlockMappingKey),
            _ => {
                self.states.push(State::BlockMappingKey);
                self.node(true, true)
            }
        }
    }

    fn flow_sequence_entry(&mut self, first: bool) -> Parsed<'a> {
        if first {
            self.enter()?;
        }
        if self.scanner.peek()?.kind != Kind::FlowSequenceEnd && !first {
            if self.scanner.peek()?.kind != Kind::FlowEntry {
                return Err(self.unexpected("did not find expected ',' or ']'"));
            }
            self.scanner.next()?;
        }
        match self.scanner.peek()?.kind {
            Kind::FlowSequenceEnd => self.close(Event::SequenceEnd),
            Kind::Key => {
                self.state = State::FlowSequencePairKey;
                self.scanner.next()?;
                Ok(Event::MappingStart(None))
            }
            _ => {
                self.states.push(State::FlowSequenceEntry);
                self.node(false, false)
            }
        }
    }

    fn flow_sequence_pair_key(&mut self) -> Parsed<'a> {
        match self.scanner.peek()?.kind {
            Kind::Value | Kind::FlowEntry | Kind::FlowSequenceEnd => {
                // Go: the token is consumed, so that `[? : x]` has lost its `:`.
                self.scanner.next()?;
                self.empty(State::FlowSequencePairValue)
            }
            _ => {
                self.states.push(State::FlowSequencePairValue);
                self.node(false, false)
            }
        }
    }

    fn flow_sequence_pair_value(&mut self) -> Parsed<'a> {
        if self.scanner.peek()?.kind == Kind::Value {
            self.scanner.next()?;
            if !matches!(self.scanner.peek()?.kind, Kind::FlowEntry | Kind::FlowSequenceEnd) {
                self.states.push(State::FlowSequencePairEnd);
                return self.node(false, false);
            }
        }
        self.empty(State::FlowSequencePairEnd)
    }

    fn flow_mapping_key(&mut self, first: bool) -> Parsed<'a> {
        if first {
            self.enter()?;
        }
        if self.scanner.peek()?.kind != Kind::FlowMappingEnd && !first {
            if self.scanner.peek()?.kind != Kind::FlowEntry {
                return Err(self.unexpected("did not find expected ',' or '}'"));
            }
            self.scanner.next()?;
        }
        match self.scanner.peek()?.kind {
            Kind::FlowMappingEnd => self.close(Event::MappingEnd),
            Kind::Key => {
                self.scanner.next()?;
                match self.scanner.peek()?.kind {
                    Kind::Value | Kind::FlowEntry | Kind::FlowMappingEnd => {
                        self.empty(State::FlowMappingValue)
                    }
                    _ => {
                        self.states.push(State::FlowMappingValue);
                        self.node(false, false)
                    }
                }
            }
            _ => {
                self.states.push(State::FlowMappingEmptyValue);
                self.node(false, false)
            }
        }
    }

    fn flow_mapping_value(&mut self, empty: bool) -> Parsed<'a> {
        if !empty && self.scanner.peek()?.kind == Kind::Value {
            self.scanner.next()?;
            if !matches!(self.scanner.peek()?.kind, Kind::FlowEntry | Kind::FlowMappingEnd) {
                self.states.push(State::FlowMappingKey);
                return self.node(false, false);
            }
        }
        self.scanner.peek()?;
        self.empty(State::FlowMappingKey)
    }
}
