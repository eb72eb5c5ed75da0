//! Slices.

use std::rc::Rc;

use super::{Value, drop_deep};

/// The element type of a Go slice, for `typeOf`, `%#v` and argument checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElemType {
    /// `[]interface {}`.
    Any,
    /// `[]string`.
    String,
    /// `[]int`.
    Int,
    /// `[]uint8`; printed as numbers, written by `%s` as text.
    Byte,
    /// `[]map[string]interface {}` (arrays of tables of `fromToml`).
    Map,
    /// `[][]interface {}` (`chunk`).
    AnyList,
}

impl ElemType {
    /// The slice's name in Go: `[]interface {}`.
    pub fn slice_name(self) -> &'static str {
        match self {
            Self::Any => "[]interface {}",
            Self::String => "[]string",
            Self::Int => "[]int",
            Self::Byte => "[]uint8",
            Self::Map => "[]map[string]interface {}",
            Self::AnyList => "[][]interface {}",
        }
    }
}

/// A Go slice. Never changed in place: sprig's list functions copy.
#[derive(Clone)]
pub struct List {
    /// What `typeOf` says of it.
    pub elem: ElemType,
    /// The elements.
    pub items: Rc<Vec<Value>>,
}

impl List {
    /// A new slice.
    pub fn new(elem: ElemType, items: Vec<Value>) -> Self {
        Self { elem, items: Rc::new(items) }
    }

    /// The bytes of a `[]byte`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let byte = |item: &Value| match item {
            Value::Int(n, _) => n.to_le_bytes()[0],
            _ => 0,
        };
        self.items.iter().map(byte).collect()
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if Rc::strong_count(&self.items) == 1
            && self.items.iter().any(Value::is_container)
            && let Some(items) = Rc::get_mut(&mut self.items)
        {
            drop_deep(std::mem::take(items));
        }
    }
}
