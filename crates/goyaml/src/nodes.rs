//! Collects the events of one document into a flat list of nodes.
//!
//! A node is followed by its descendants and knows where they end, so no tree has to be walked to build or
//! to drop it.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::parser::{Event, Parser};
use crate::token::Problem;

/// A node and the index after its last descendant.
pub(crate) struct Node<'a> {
    pub(crate) kind: NodeKind<'a>,
    pub(crate) end: usize,
}

/// What a node is.
pub(crate) enum NodeKind<'a> {
    Scalar { value: Cow<'a, str>, tag: Option<Box<str>>, implicit: bool },
    Sequence,
    Mapping,
    Alias { name: &'a str, target: usize },
}

/// Reads the first document; an empty stream has no nodes.
pub(crate) fn compose<'a>(parser: &mut Parser<'a>) -> Result<Vec<Node<'a>>, Problem> {
    let mut nodes: Vec<Node<'a>> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut anchors: HashMap<&'a str, usize> = HashMap::new();
    if parser.next()? == Event::StreamEnd {
        return Ok(nodes);
    }
    loop {
        let index = nodes.len();
        let (kind, anchor) = match parser.next()? {
            Event::StreamEnd | Event::DocumentStart | Event::DocumentEnd => return Ok(nodes),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(node) = open.pop().and_then(|start| nodes.get_mut(start)) {
                    node.end = index;
                }
                continue;
            }
            Event::Alias(name) => match anchors.get(name) {
                Some(&target) => (NodeKind::Alias { name, target }, None),
                None => return Err(Problem::plain(format!("unknown anchor '{name}' referenced"))),
            },
            Event::Scalar { anchor, tag, value, implicit } => {
                (NodeKind::Scalar { value, tag, implicit }, anchor)
            }
            Event::SequenceStart(anchor) => {
                open.push(index);
                (NodeKind::Sequence, anchor)
            }
            Event::MappingStart(anchor) => {
                open.push(index);
                (NodeKind::Mapping, anchor)
            }
        };
        if let Some(name) = anchor {
            // Known from its start on, so that a node can contain itself; the decoder objects.
            anchors.insert(name, index);
        }
        nodes.push(Node { kind, end: index + 1 });
    }
}
