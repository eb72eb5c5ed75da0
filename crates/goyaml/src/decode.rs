//! Gives nodes their values: resolves scalars, expands aliases, merges maps, and makes keys strings.
//!
//! This is go-yaml's decoder into `interface{}` and the conversion to JSON that sigs.k8s.io/yaml puts behind
//! it, in one pass. The result is a flat [`Document`] too.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use crate::base64;
use crate::nodes::{Node, NodeKind};
use crate::number;
use crate::resolve::{Scalar, resolve, resolve_hinted};
use crate::token::Problem;

/// A decoded value; containers point at their entries in the document.
#[derive(Debug, Clone)]
pub(crate) enum Item<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    String(Cow<'a, str>),
    Array(Range<usize>),
    Object(Range<usize>),
}

/// An entry of a container: the index of its item, and of the item of its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) key: usize,
    pub(crate) item: usize,
}

/// A decoded document.
#[derive(Debug, Default)]
pub(crate) struct Document<'a> {
    pub(crate) items: Vec<Item<'a>>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) root: usize,
    /// The nesting of the deepest container.
    pub(crate) depth: usize,
    /// The first map entry whose key JSON cannot have.
    pub(crate) bad_key: Option<Entry>,
    /// Whether a number is infinite or none.
    pub(crate) not_finite: bool,
}

/// The tags that change how a scalar resolves, in full.
const TAG_PREFIX: &str = "tag:yaml.org,2002:";

/// A container that is being decoded.
enum Frame {
    Sequence {
        next: usize,
        end: usize,
        first: usize,
    },
    Mapping {
        next: usize,
        end: usize,
        first: usize,
        key: Option<usize>,
        merged: bool,
    },
    Alias {
        node: usize,
    },
    /// Maps that are still to be merged, the next one last.
    Merge {
        maps: Vec<usize>,
    },
}

/// What a node is decoded for.
#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    Value,
    /// To add its entries to the map around it.
    Merge,
}

/// The decoder.
pub(crate) struct Decoder<'n, 'a> {
    nodes: &'n [Node<'a>],
    document: Document<'a>,
    frames: Vec<Frame>,
    /// The entries of the open containers, innermost last.
    pending: Vec<Entry>,
    aliases: HashSet<usize>,
    decodes: usize,
    alias_decodes: usize,
    alias_depth: usize,
    containers: usize,
    /// Whether keys keep their types, to be printed in an error.
    typed: bool,
}

/// Decodes the nodes of a document.
pub(crate) fn decode<'a>(nodes: &[Node<'a>]) -> Result<Document<'a>, Problem> {
    Decoder::new(nodes, false).run()
}

/// Decodes the nodes of a document, and leaves the keys of maps as they are.
pub(crate) fn decode_typed<'a>(nodes: &[Node<'a>]) -> Result<Document<'a>, Problem> {
    Decoder::new(nodes, true).run()
}

impl<'n, 'a> Decoder<'n, 'a> {
    fn new(nodes: &'n [Node<'a>], typed: bool) -> Self {
        let document = Document { items: Vec::with_capacity(nodes.len()), ..Document::default() };
        Self {
            nodes,
            document,
            frames: Vec::new(),
            pending: Vec::new(),
            aliases: HashSet::new(),
            decodes: 1,
            alias_decodes: 0,
            alias_depth: 0,
            containers: 0,
            typed,
        }
    }

    fn run(mut self) -> Result<Document<'a>, Problem> {
        if self.nodes.is_empty() {
            self.document.items.push(Item::Null);
            return Ok(self.document);
        }
        let mut done = self.start(0, Purpose::Value)?;
        loop {
            // `done` is the item that was finished last, nothing if a container was entered instead.
            let Some(frame) = self.frames.pop() else {
                self.document.root = done.unwrap_or(0);
                return Ok(self.document);
            };
            done = match frame {
                Frame::Sequence { next, end, first } => {
                    if let Some(item) = done {
                        self.pending.push(Entry { key: item, item });
                    }
                    if next < end {
                        self.frames.push(Frame::Sequence { next: self.after(next), end, first });
                        self.start(next, Purpose::Value)?
                    } else {
                        self.containers -= 1;
                        let start = self.document.entries.len();
                        self.document.entries.extend(self.pending.drain(first..));
                        let range = start..self.document.entries.len();
                        Some(self.item(Item::Array(range)))
                    }
                }
                Frame::Mapping { next, end, first, key, merged } => {
                    self.mapping(next, end, first, key, merged, done)?
                }
                Frame::Alias { node } => {
                    self.alias_depth -= 1;
                    self.aliases.remove(&node);
                    done
                }
                Frame::Merge { mut maps } => match maps.pop() {
                    None => None,
                    Some(map) => {
                        self.frames.push(Frame::Merge { maps });
                        self.start(map, Purpose::Merge)?
                    }
                },
            };
        }
    }

    /// Gives the index after a node and its descendants.
    fn after(&self, node: usize) -> usize {
        self.nodes.get(node).map_or(node + 1, |node| node.end)
    }

    /// Appends an item.
    fn item(&mut self, item: Item<'a>) -> usize {
        self.document.items.push(item);
        self.document.items.len() - 1
    }

    /// Goes on with a map, after a key or a value of it is done.
    fn mapping(
        &mut self,
        next: usize,
        end: usize,
        first: usize,
        key: Option<usize>,
        merged: bool,
        done: Option<usize>,
    ) -> Result<Option<usize>, Problem> {
        match (key, done) {
            (None, Some(key)) => {
                if matches!(self.document.items.get(key), Some(Item::Array(_) | Item::Object(_))) {
                    return Err(self.invalid_key(key));
                }
                self.frames.push(Frame::Mapping {
                    next: self.after(next),
                    end,
                    first,
                    key: Some(key),
                    merged,
                });
                return self.start(next, Purpose::Value);
            }
            (Some(key), Some(item)) => self.pending.push(Entry { key, item }),
            (_, None) => {}
        }
        if next >= end {
            if merged {
                return Ok(None);
            }
            self.containers -= 1;
            return Ok(Some(self.finish_map(first)));
        }
        let value = self.after(next);
        if self.is_merge(next) {
            self.frames.push(Frame::Mapping { next: self.after(value), end, first, key: None, merged });
            self.start_merge(value)?;
            return Ok(None);
        }
        self.frames.push(Frame::Mapping { next: value, end, first, key: None, merged });
        self.start(next, Purpose::Value)
    }

    /// Whether a key asks for a merge.
    fn is_merge(&self, node: usize) -> bool {
        match self.nodes.get(node).map(|node| &node.kind) {
            Some(NodeKind::Scalar { value, tag, implicit }) => {
                value == "<<"
                    && (*implicit || tag.as_deref().is_some_and(|tag| tag == "tag:yaml.org,2002:merge"))
            }
            _ => false,
        }
    }

    /// Enters the value of a merge key.
    fn start_merge(&mut self, node: usize) -> Result<(), Problem> {
        match self.nodes.get(node).map(|node| &node.kind) {
            Some(NodeKind::Sequence) => {
                let mut maps = Vec::new();
                let end = self.after(node);
                let mut child = node + 1;
                while child < end {
                    maps.push(child);
                    child = self.after(child);
                }
                // Go: the last one is merged first, so that earlier ones take precedence.
                self.frames.push(Frame::Merge { maps });
                Ok(())
            }
            _ => self.start(node, Purpose::Merge).map(drop),
        }
    }

    /// Starts to decode a node; scalars are done at once.
    fn start(&mut self, node: usize, purpose: Purpose) -> Result<Option<usize>, Problem> {
        let nodes = self.nodes;
        let Some(found) = nodes.get(node) else {
            return Ok(None);
        };
        if purpose == Purpose::Merge && !self.is_mergeable(found) {
            return Err(Problem::plain("map merge requires map or sequence of maps as the value"));
        }
        self.count()?;
        match &found.kind {
            NodeKind::Scalar { value, tag, implicit } => {
                let item = self.scalar(value, tag.as_deref(), *implicit)?;
                Ok(Some(self.item(item)))
            }
            NodeKind::Sequence => {
                self.enter();
                self.frames.push(Frame::Sequence {
                    next: node + 1,
                    end: found.end,
                    first: self.pending.len(),
                });
                Ok(None)
            }
            NodeKind::Mapping => {
                let merged = purpose == Purpose::Merge;
                if !merged {
                    self.enter();
                }
                let first = self.pending.len();
                self.frames.push(Frame::Mapping { next: node + 1, end: found.end, first, key: None, merged });
                Ok(None)
            }
            NodeKind::Alias { name, target } => {
                if !self.aliases.insert(node) {
                    return Err(Problem::plain(format!("anchor '{name}' value contains itself")));
                }
                self.alias_depth += 1;
                self.frames.push(Frame::Alias { node });
                self.start_target(*target, purpose)
            }
        }
    }

    /// Starts to decode what an alias stands for; an anchor is never an alias itself.
    fn start_target(&mut self, target: usize, purpose: Purpose) -> Result<Option<usize>, Problem> {
        match self.nodes.get(target).map(|node| &node.kind) {
            Some(NodeKind::Alias { .. }) | None => Ok(None),
            Some(_) => self.start(target, purpose),
        }
    }

    /// Whether a node, or what it stands for, is a map.
    fn is_mergeable(&self, node: &Node<'_>) -> bool {
        match node.kind {
            NodeKind::Mapping => true,
            NodeKind::Alias { target, .. } => {
                matches!(self.nodes.get(target).map(|node| &node.kind), Some(NodeKind::Mapping))
            }
            _ => false,
        }
    }

    fn enter(&mut self) {
        self.containers += 1;
        self.document.depth = self.document.depth.max(self.containers);
    }

    /// Counts a decoded node against the budget of aliases.
    fn count(&mut self) -> Result<(), Problem> {
        self.decodes += 1;
        if self.alias_depth > 0 {
            self.alias_decodes += 1;
        }
        // Outside of aliases too: what is allowed shrinks with the size of the document.
        if self.alias_decodes > 100 && self.decodes > 1000 { self.check_ratio() } else { Ok(()) }
    }

    /// Fails if too many of the decoded nodes came from aliases.
    fn check_ratio(&self) -> Result<(), Problem> {
        const LOW: usize = 400_000;
        const HIGH: usize = 4_000_000;
        let allowed = match self.decodes {
            ..=LOW => 0.99,
            HIGH.. => 0.10,
            decodes => 0.99 - 0.89 * ((decodes - LOW) as f64 / (HIGH - LOW) as f64),
        };
        if self.alias_decodes as f64 / self.decodes as f64 > allowed {
            return Err(Problem::plain("document contains excessive aliasing"));
        }
        Ok(())
    }

    /// Resolves a scalar.
    fn scalar(
        &mut self,
        value: &Cow<'a, str>,
        tag: Option<&str>,
        implicit: bool,
    ) -> Result<Item<'a>, Problem> {
        let resolved = match tag {
            None if !implicit => Scalar::String,
            None => resolve(value),
            Some(tag) => match tag.strip_prefix(TAG_PREFIX) {
                Some("binary") => {
                    let Some(data) = base64::decode(value.as_bytes()) else {
                        return Err(Problem::plain("!!binary value contains invalid base64 data"));
                    };
                    return Ok(Item::String(Cow::Owned(json_text(&data))));
                }
                Some(short @ ("bool" | "int" | "float" | "null" | "timestamp")) => tagged(value, short)?,
                _ => Scalar::String,
            },
        };
        Ok(match resolved {
            Scalar::Null => Item::Null,
            Scalar::Bool(value) => Item::Bool(value),
            Scalar::Int(value) => Item::Int(value),
            Scalar::Uint(value) => Item::Uint(value),
            Scalar::Float(value) => {
                self.document.not_finite |= !value.is_finite();
                Item::Float(value)
            }
            Scalar::Timestamp | Scalar::String => Item::String(value.clone()),
        })
    }

    /// Closes a map: makes its keys strings, in order, with the last of equal ones.
    fn finish_map(&mut self, first: usize) -> usize {
        let known = self.document.bad_key;
        let mut sorted = true;
        let mut previous: Option<usize> = None;
        for position in first..self.pending.len() {
            let Some(&entry) = self.pending.get(position) else { break };
            self.stringify_key(entry);
            sorted = sorted
                && !self.typed
                && previous.is_none_or(|previous| self.key(previous) < self.key(entry.key));
            previous = Some(entry.key);
        }
        self.document.bad_key = known.or(self.document.bad_key);
        let start = self.document.entries.len();
        if sorted || self.typed {
            self.document.entries.extend(self.pending.drain(first..));
        } else {
            let mut entries: Vec<Entry> = self.pending.drain(first..).collect();
            entries.sort_by(|a, b| self.key(a.key).cmp(self.key(b.key)));
            // A stable sort keeps the order of equal keys, so the last one is the one to keep.
            for entry in entries {
                let same = self
                    .document
                    .entries
                    .get(start..)
                    .and_then(<[Entry]>::last)
                    .is_some_and(|last| self.key(last.key) == self.key(entry.key));
                if same {
                    self.document.entries.pop();
                }
                self.document.entries.push(entry);
            }
        }
        let range = start..self.document.entries.len();
        self.item(Item::Object(range))
    }

    /// Gives a key that is a string already.
    fn key(&self, index: usize) -> &str {
        match self.document.items.get(index) {
            Some(Item::String(key)) => key,
            _ => "",
        }
    }

    /// Makes a key a string, as sigs.k8s.io/yaml does.
    fn stringify_key(&mut self, entry: Entry) {
        let typed = self.typed;
        let Some(item) = self.document.items.get_mut(entry.key) else {
            return;
        };
        let text = match item {
            Item::String(_) => return,
            Item::Bool(_) | Item::Int(_) | Item::Float(_) if typed => return,
            Item::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Item::Int(value) => Cow::Owned(value.to_string()),
            Item::Float(value) => Cow::Owned(float_text(*value)),
            // Go: unsigned integers have been forgotten there.
            Item::Uint(_) | Item::Null | Item::Array(_) | Item::Object(_) => {
                self.document.bad_key = Some(entry);
                return;
            }
        };
        *item = Item::String(text);
    }

    /// A problem with a key that is a container.
    fn invalid_key(&self, key: usize) -> Problem {
        if !self.typed {
            // Keys further in have lost their types: decode again, up to here, and keep them.
            if let Err(problem) = decode_typed(self.nodes) {
                return problem;
            }
        }
        Problem::plain(format!("invalid map key: {}", crate::gosyntax::print(&self.document, key)))
    }
}

/// Resolves a scalar with one of the tags that demand a type.
fn tagged(value: &str, tag: &str) -> Result<Scalar, Problem> {
    let resolved = resolve_hinted(value, tag == "timestamp");
    match resolved {
        Scalar::Int(value) if tag == "float" => Ok(Scalar::Float(value as f64)),
        _ if resolved.tag().strip_prefix("!!") == Some(tag) => Ok(resolved),
        _ => Err(Problem::plain(format!("cannot decode {} `{value}` as a !!{tag}", resolved.tag()))),
    }
}

/// Writes a float as a key or as the value of a text field.
pub(crate) fn float_text(value: f64) -> String {
    match number::format_float_g32(value).as_str() {
        "+Inf" => ".inf".to_owned(),
        "-Inf" => "-.inf".to_owned(),
        "NaN" => ".nan".to_owned(),
        text => text.to_owned(),
    }
}

/// Makes text of bytes as `encoding/json` does: every byte that is no part of a character is replaced.
pub(crate) fn json_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

impl Document<'_> {
    /// Fails if `encoding/json` would not write the document, or not read it back.
    pub(crate) fn check_json(&self) -> Result<(), crate::Error> {
        let mut too_deep = None;
        // The second part is the nesting around the item.
        let mut steps = vec![(self.root, 0)];
        while let Some((index, depth)) = steps.pop() {
            let range = match self.items.get(index) {
                Some(Item::Float(value)) if !value.is_finite() => {
                    let value = number::format_float_json(*value);
                    return Err(crate::Error::Convert(format!("json: unsupported value: {value}")));
                }
                Some(Item::Array(range) | Item::Object(range)) => range.clone(),
                _ => continue,
            };
            if depth >= crate::MAX_JSON_DEPTH && too_deep.is_none() {
                too_deep =
                    Some(if matches!(self.items.get(index), Some(Item::Array(_))) { '[' } else { '{' });
            }
            let entries = self.entries.get(range).unwrap_or_default();
            steps.extend(entries.iter().rev().map(|entry| (entry.item, depth + 1)));
        }
        match too_deep {
            None => Ok(()),
            Some(c) => Err(crate::Error::Decode(format!("invalid character '{c}' exceeded max depth"))),
        }
    }
}
