//! Writes a tree as go-yaml's emitter does.
//!
//! The emitter of libyaml is an event machine that can do far more; this is what is left of it for block
//! style, one document and no comments. [`scalars`](crate::scalars) decides on quotes and writes scalars.

use crate::ser::{Item, Tree};
use crate::sorter::{self, Order};

/// How the two go-yaml versions differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) order: Order,
    /// The column after which lines are folded.
    pub(crate) width: usize,
}

/// What `sigs.k8s.io/yaml` writes with.
pub(crate) const V2: Style = Style { order: Order::V2, width: 80 };

/// What `toYamlPretty` writes with.
pub(crate) const V3: Style = Style { order: Order::V3, width: usize::MAX };

/// Where a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    Root,
    Item,
    /// A key that fits before its `:`.
    SimpleKey,
    /// A value of a map, or a key after `?`.
    Mapping,
}

/// The emitter.
pub(crate) struct Emitter<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) style: Style,
    pub(crate) out: Vec<u8>,
    pub(crate) column: usize,
    /// The current indentation, -1 outside of everything.
    pub(crate) indent: isize,
    /// Whether the last character was white space or an indicator that counts as such.
    pub(crate) whitespace: bool,
    /// Whether the line holds nothing but indentation and `-`, `?` or `:`.
    pub(crate) indention: bool,
    /// Keys of the open maps, sorted, innermost last.
    keys: Vec<usize>,
}

/// A container that is being written.
enum Frame {
    Seq { next: usize, end: usize, outer: isize },
    Map { first: usize, next: usize, end: usize, outer: isize, state: MapState },
}

/// What comes next in a map.
#[derive(Clone, Copy)]
enum MapState {
    Key,
    SimpleValue,
    Value,
}

impl<'t> Emitter<'t> {
    /// Writes the document.
    pub(crate) fn write(tree: &'t Tree, style: Style) -> Vec<u8> {
        let mut emitter = Self {
            tree,
            style,
            out: Vec::with_capacity(tree.items.len() * 16),
            column: 0,
            indent: -1,
            whitespace: true,
            indention: true,
            keys: Vec::new(),
        };
        emitter.document();
        emitter.write_indent();
        emitter.out
    }

    fn document(&mut self) {
        let mut frames = Vec::new();
        self.node(0, Context::Root, &mut frames);
        while let Some(frame) = frames.pop() {
            match frame {
                Frame::Seq { next, end, outer } if next >= end => self.indent = outer,
                Frame::Seq { next, end, outer } => {
                    frames.push(Frame::Seq { next: self.tree.after(next), end, outer });
                    self.write_indent();
                    self.indicator(b"-", true, false, true);
                    self.node(next, Context::Item, &mut frames);
                }
                Frame::Map { first, next, end, outer, state: MapState::Key } => {
                    let Some(&key) = self.keys.get(next).filter(|_| next < end) else {
                        self.keys.truncate(first);
                        self.indent = outer;
                        continue;
                    };
                    self.write_indent();
                    if self.is_simple_key(key) {
                        frames.push(Frame::Map { first, next, end, outer, state: MapState::SimpleValue });
                        self.node(key, Context::SimpleKey, &mut frames);
                    } else {
                        self.indicator(b"?", true, false, true);
                        frames.push(Frame::Map { first, next, end, outer, state: MapState::Value });
                        self.node(key, Context::Mapping, &mut frames);
                    }
                }
                Frame::Map { first, next, end, outer, state } => {
                    if let MapState::SimpleValue = state {
                        self.indicator(b":", false, false, false);
                    } else {
                        self.write_indent();
                        self.indicator(b":", true, false, true);
                    }
                    frames.push(Frame::Map { first, next: next + 1, end, outer, state: MapState::Key });
                    let value = self.keys.get(next).map_or(0, |&key| key + 1);
                    self.node(value, Context::Mapping, &mut frames);
                }
            }
        }
    }

    /// Writes a scalar or an empty container, or opens a container.
    fn node(&mut self, index: usize, context: Context, frames: &mut Vec<Frame>) {
        match self.tree.items.get(index).copied() {
            None | Some(Item::Null) => self.scalar(b"null"),
            Some(Item::Bool(value)) => self.scalar(if value { b"true" } else { b"false" }),
            Some(Item::Int(value)) => self.scalar(value.to_string().as_bytes()),
            Some(Item::Uint(value)) => self.scalar(value.to_string().as_bytes()),
            Some(Item::Float(value)) => {
                let text = crate::number::format_float_g(value);
                let text = match text.as_str() {
                    "+Inf" => ".inf",
                    "-Inf" => "-.inf",
                    "NaN" => ".nan",
                    text => text,
                };
                self.scalar(text.as_bytes());
            }
            Some(item @ Item::Text { .. }) => self.text(self.tree.text(item), context),
            Some(item @ Item::Plain { .. }) => self.scalar(self.tree.text(item)),
            Some(Item::Seq { end }) if end <= index + 1 => self.empty(b"[", b"]"),
            Some(Item::Map { end } | Item::Struct { end }) if end <= index + 1 => self.empty(b"{", b"}"),
            Some(Item::Seq { end }) => {
                let outer = self.indent;
                // Version 2 does not indent a list in a map, unless it starts its own line.
                let indentless =
                    self.style.order == Order::V2 && context == Context::Mapping && !self.indention;
                self.increase_indent(indentless);
                frames.push(Frame::Seq { next: index + 1, end, outer });
            }
            Some(item @ (Item::Map { end } | Item::Struct { end })) => {
                let outer = self.indent;
                self.increase_indent(false);
                let first = self.keys.len();
                self.push_keys(index + 1, end);
                if let Item::Map { .. } = item {
                    self.sort_keys(first);
                }
                frames.push(Frame::Map {
                    first,
                    next: first,
                    end: self.keys.len(),
                    outer,
                    state: MapState::Key,
                });
            }
        }
    }

    fn empty(&mut self, open: &[u8], close: &[u8]) {
        self.indicator(open, true, true, false);
        self.indicator(close, false, false, false);
    }

    /// Puts the keys of a map on the stack.
    fn push_keys(&mut self, mut index: usize, end: usize) {
        while index < end {
            self.keys.push(index);
            index = self.tree.after(index + 1);
        }
    }

    /// Sorts the keys on the stack from `first` on, and keeps the last of equal ones.
    fn sort_keys(&mut self, first: usize) {
        let tree = self.tree;
        let order = self.style.order;
        let key = |index: usize| {
            let item = tree.items.get(index).copied().unwrap_or(Item::Null);
            std::str::from_utf8(tree.text(item)).unwrap_or_default()
        };
        let keys = self.keys.get_mut(first..).unwrap_or_default();
        // Later ones come first among equals, and the others go.
        sorter::sort(keys, |a, b| {
            let (x, y) = (key(a), key(b));
            if x == y { a > b } else { sorter::less(x, y, order) }
        });
        let mut kept = first;
        for position in first..self.keys.len() {
            let Some(&next) = self.keys.get(position) else { break };
            let same = kept > first && self.keys.get(kept - 1).is_some_and(|&last| key(last) == key(next));
            if !same {
                if let Some(slot) = self.keys.get_mut(kept) {
                    *slot = next;
                }
                kept += 1;
            }
        }
        self.keys.truncate(kept);
    }

    fn increase_indent(&mut self, indentless: bool) {
        if self.indent < 0 {
            self.indent = 0;
        } else if !indentless {
            self.indent += 2;
        }
    }

    /// Writes bytes that are all one column wide.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.column += bytes.len();
    }

    /// Writes characters.
    pub(crate) fn put_text(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
        self.column += text.iter().filter(|&&b| b & 0xC0 != 0x80).count();
    }

    pub(crate) fn put_break(&mut self) {
        self.out.push(b'\n');
        self.column = 0;
        self.indention = true;
    }

    /// Goes to the indentation, on a new line unless the current one is blank.
    pub(crate) fn write_indent(&mut self) {
        let indent = usize::try_from(self.indent).unwrap_or(0);
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break();
        }
        while self.column < indent {
            self.put(b" ");
        }
        self.whitespace = true;
        self.indention = true;
    }

    pub(crate) fn indicator(
        &mut self,
        text: &[u8],
        need_whitespace: bool,
        whitespace: bool,
        indention: bool,
    ) {
        if need_whitespace && !self.whitespace {
            self.put(b" ");
        }
        self.put(text);
        self.whitespace = whitespace;
        self.indention = self.indention && indention;
    }
}
