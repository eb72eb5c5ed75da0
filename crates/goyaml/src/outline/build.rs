//! Values of what is read line by line, as far as they are wanted.

use std::borrow::Cow;

use super::Kind;
use crate::Value;
use crate::resolve::{Scalar, resolve};

/// A map or list that is open; what its last entry holds is null until it is set.
enum Container {
    Map(Vec<(String, Value)>),
    Sequence(Vec<Value>),
}

/// Builds a value from the outside inwards.
#[derive(Default)]
pub(super) struct Builder {
    /// The containers that are open, the innermost last.
    open: Vec<Container>,
    /// Whether the current entry of the outermost map is not wanted: nothing is made of it.
    skips: bool,
    /// How many entries the outermost map had before the current one.
    complete: usize,
}

impl Builder {
    /// Says whether the entry of the outermost map that begins now is wanted.
    pub(super) fn set_wanted(&mut self, wanted: bool) {
        self.skips = !wanted;
    }

    pub(super) fn is_wanted(&self) -> bool {
        !self.skips
    }

    /// Begins an entry of the outermost map.
    pub(super) fn mark(&mut self) {
        self.skips = false;
        if let Some(Container::Map(entries)) = self.open.first() {
            self.complete = entries.len();
        }
    }

    /// Puts other entries in the place of the one that was begun last.
    pub(super) fn replace(&mut self, others: impl Iterator<Item = (String, Value)>) {
        self.open.truncate(1);
        if let Some(Container::Map(entries)) = self.open.first_mut() {
            entries.truncate(self.complete);
            entries.extend(others);
        }
    }

    /// Opens a container that is the value of the last entry.
    pub(super) fn open(&mut self, kind: Kind) {
        if !self.skips {
            self.open.push(match kind {
                Kind::Map => Container::Map(Vec::new()),
                Kind::Sequence => Container::Sequence(Vec::new()),
            });
        }
    }

    /// Closes the innermost container.
    pub(super) fn close(&mut self) {
        if !self.skips
            && let Some(container) = self.open.pop()
        {
            self.set(|| container.into_value());
        }
    }

    /// Begins an entry of the innermost map.
    pub(super) fn key(&mut self, key: &str) {
        if !self.skips
            && let Some(Container::Map(entries)) = self.open.last_mut()
        {
            entries.push((key.to_owned(), Value::Null));
        }
    }

    /// Begins an item of the innermost list.
    pub(super) fn item(&mut self) {
        if !self.skips
            && let Some(Container::Sequence(items)) = self.open.last_mut()
        {
            items.push(Value::Null);
        }
    }

    /// Gives the last entry its value.
    pub(super) fn set(&mut self, value: impl FnOnce() -> Value) {
        if self.skips {
            return;
        }
        let last = match self.open.last_mut() {
            Some(Container::Map(entries)) => entries.last_mut().map(|(_, value)| value),
            Some(Container::Sequence(items)) => items.last_mut(),
            None => None,
        };
        if let Some(last) = last {
            *last = value();
        }
    }

    /// Gives the last entry a scalar without quotes as its value.
    pub(super) fn plain(&mut self, text: &str) {
        self.set(|| match resolve(text) {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(value),
            Scalar::Int(value) => Value::Int(value),
            Scalar::Uint(value) => Value::Uint(value),
            Scalar::Float(value) => Value::Float(value),
            Scalar::Timestamp | Scalar::String => Value::String(text.to_owned()),
        });
    }

    /// Gives the last entry a scalar with its quotes as its value.
    pub(super) fn quoted(&mut self, quoted: &str) {
        self.set(|| Value::String(unquote(quoted).into_owned()));
    }

    /// The outermost map, if there was one.
    pub(super) fn finish(mut self) -> Option<Value> {
        while self.open.len() > 1 {
            self.close();
        }
        self.open.pop().map(Container::into_value)
    }
}

impl Container {
    fn into_value(self) -> Value {
        match self {
            // Of equal keys the last one counts.
            Self::Map(entries) => Value::Object(entries.into_iter().collect()),
            Self::Sequence(items) => Value::Array(items),
        }
    }
}

/// What a quoted scalar of one line says; of escapes there are those that the outline knows.
fn unquote(quoted: &str) -> Cow<'_, str> {
    let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
    if quoted.starts_with('\'') {
        return if inner.contains('\'') { inner.replace("''", "'").into() } else { inner.into() };
    }
    if !inner.contains('\\') {
        return inner.into();
    }
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(c) => c,
                None => continue,
            },
            c => c,
        });
    }
    text.into()
}
