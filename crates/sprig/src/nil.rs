//! Nil slices and nil maps, which Go tells from empty ones where it matters: JSON and YAML write `null`.

use std::any::Any;
use std::rc::Rc;

use pintle_gotemplate::{ElemType, List, Object, Value};

/// A nil slice, empty in every other respect.
pub struct NilSlice(ElemType);

impl NilSlice {
    /// A nil slice with elements of type `elem`.
    pub fn value(elem: ElemType) -> Value {
        Value::Object(Rc::new(Self(elem)))
    }
}

impl Object for NilSlice {
    fn type_name(&self) -> &str {
        self.0.slice_name()
    }

    fn kind(&self) -> &'static str {
        "slice"
    }

    fn print(&self) -> Vec<u8> {
        b"[]".to_vec()
    }

    fn truth(&self) -> bool {
        false
    }

    fn to_plain(&self) -> Option<Value> {
        Some(Value::Nil)
    }

    fn nil_of(&self) -> Option<Value> {
        Some(Value::List(List::new(self.0, Vec::new())))
    }

    fn to_yaml(&self) -> Option<Value> {
        self.nil_of()
    }

    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        Some(Vec::new())
    }

    fn len(&self) -> Option<usize> {
        Some(0)
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|other| other.0 == self.0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A nil `map[string]interface {}`, as JSON's `null` is read and a nil argument for a map parameter comes back.
pub struct NilMap;

impl NilMap {
    /// A nil map.
    pub fn value() -> Value {
        Value::Object(Rc::new(Self))
    }
}

impl Object for NilMap {
    fn type_name(&self) -> &str {
        "map[string]interface {}"
    }

    fn kind(&self) -> &'static str {
        "map"
    }

    fn print(&self) -> Vec<u8> {
        b"map[]".to_vec()
    }

    fn truth(&self) -> bool {
        false
    }

    fn to_plain(&self) -> Option<Value> {
        Some(Value::Nil)
    }

    fn nil_of(&self) -> Option<Value> {
        Some(Value::map(Default::default()))
    }

    fn to_yaml(&self) -> Option<Value> {
        self.nil_of()
    }

    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        Some(Vec::new())
    }

    fn len(&self) -> Option<usize> {
        Some(0)
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().is::<Self>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
