//! Nil slices and nil maps, which Go tells from empty ones where it matters: JSON and YAML write `null`.

use std::any::Any;
use std::rc::Rc;

use pintle_gotemplate::{ElemType, Entries, List, Map, MapType, Object, Value, YamlForm};

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

    fn to_yaml(&self) -> Option<YamlForm> {
        self.nil_of().map(YamlForm::Value)
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

/// A nil map: JSON's `null` is read as one, a nil argument for a map parameter comes back as one, and fields of
/// structs that were not set are some.
pub struct NilMap(MapType);

impl NilMap {
    /// A nil `map[string]interface {}`.
    pub fn value() -> Value {
        Self::typed(MapType::Any)
    }

    /// A nil map of type `ty`.
    pub fn typed(ty: MapType) -> Value {
        Value::Object(Rc::new(Self(ty)))
    }
}

impl Object for NilMap {
    fn type_name(&self) -> &str {
        self.0.name()
    }

    fn field(&self, _: &str) -> Option<Value> {
        // What is not there is the empty text in a map of texts.
        (self.0 == MapType::String).then(|| Value::string(""))
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
        Some(Value::Map(Map::typed(self.0, Entries::new())))
    }

    fn to_yaml(&self) -> Option<YamlForm> {
        self.nil_of().map(YamlForm::Value)
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
