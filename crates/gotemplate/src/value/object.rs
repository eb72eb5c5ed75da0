//! Values with fields or methods that are neither maps nor lists.

use std::any::Any;
use std::rc::Rc;

use super::Value;
use crate::error::FuncError;
use crate::exec::State;

/// A method bound to its receiver, ready to be called with the template's arguments.
pub struct Method {
    /// Its parameters.
    pub signature: crate::funcs::Signature,
    /// Does it.
    #[allow(clippy::type_complexity, reason = "the one place that spells it")]
    pub call: Box<dyn Fn(&[Value]) -> Result<Value, FuncError>>,
}

/// A Go value with fields or methods that is neither map nor list: a time, a semver, `.Capabilities`, `.Files`.
#[allow(clippy::len_without_is_empty, reason = "templates ask for the length only")]
pub trait Object: Any {
    /// `typeOf`: `time.Time`, `*semver.Version`.
    fn type_name(&self) -> &str;

    /// `kindOf`: `struct`, `ptr`, `map`, `slice`.
    fn kind(&self) -> &'static str;

    /// What a pointer points to, which a template prints in its place; `None` for what is no pointer, or has a text of
    /// its own.
    fn pointee(&self) -> Option<Rc<dyn Object>> {
        None
    }

    /// An exported field of that name.
    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    /// A method of that name.
    fn method(self: Rc<Self>, _name: &str) -> Option<Method> {
        None
    }

    /// A template has taken it out of a map by its name, as in `.Capabilities`: whoever must know that learns it here.
    fn taken(&self, _state: &State<'_, '_>) {}

    /// What `%v` prints (Go's `String()` or `Error()`, else the struct dump).
    fn print(&self) -> Vec<u8>;

    /// What a function gets in place of this: Go copies structs, and what has no address prints without the `String()`
    /// that only its pointer has.
    fn copied(self: Rc<Self>) -> Option<Rc<dyn Object>> {
        None
    }

    /// What sprig's `deepCopy` makes of it, where that is not the same: fields that are not exported stay empty.
    fn deep_copied(&self) -> Option<Rc<dyn Object>> {
        None
    }

    /// The empty map or slice that a nil one is like, except in JSON and when compared; `None` if this is not nil.
    fn nil_of(&self) -> Option<Value> {
        None
    }

    /// Go's truth: structs and non-nil pointers are true, an empty map or slice is not.
    fn truth(&self) -> bool {
        true
    }

    /// The plain value behind it for JSON and YAML, as Go's `encoding/json` would see it; `None` cannot be marshalled.
    fn to_plain(&self) -> Option<Value> {
        None
    }

    /// What go-yaml would see, which does not go by way of JSON; `None` cannot be marshalled.
    fn to_yaml(&self) -> Option<YamlForm> {
        self.to_plain().map(YamlForm::Value)
    }

    /// Its JSON as Go's `encoding/json` writes it, where that is another than [`Object::to_plain`]'s: a struct's fields
    /// keep their order.
    fn to_json(&self) -> Option<String> {
        None
    }

    /// The elements in `range` order (key, value) when it can be ranged over.
    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        None
    }

    /// For `len`.
    fn len(&self) -> Option<usize> {
        None
    }

    /// Go's `reflect.DeepEqual` with another object of the same type.
    fn equals(&self, _other: &dyn Object) -> bool {
        false
    }

    /// To get the concrete type back.
    fn as_any(&self) -> &dyn Any;
}

/// What go-yaml makes of an [`Object`].
pub enum YamlForm {
    /// A plain value.
    Value(Value),
    /// A struct: its fields by go-yaml's names for them, in Go's order.
    Struct(Vec<(&'static str, Value)>),
    /// A time, in RFC 3339.
    Timestamp(String),
}
