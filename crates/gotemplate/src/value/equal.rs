//! Equality, as Go's `reflect.DeepEqual`.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Map, Value};

/// How deep values are compared; deeper ones count as different.
const MAX_EQUAL_DEPTH: usize = 1000;

/// Go's `reflect.DeepEqual`.
pub fn deep_equal(left: &Value, right: &Value) -> bool {
    equal_at(left, right, 0)
}

fn equal_at(left: &Value, right: &Value, depth: usize) -> bool {
    if depth > MAX_EQUAL_DEPTH {
        return false;
    }
    match (left, right) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a, ak), Value::Int(b, bk)) => a == b && ak == bk,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Complex(a, ai), Value::Complex(b, bi)) => a == b && ai == bi,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            a.elem == b.elem
                && a.items.len() == b.items.len()
                && (Rc::ptr_eq(&a.items, &b.items)
                    || a.items.iter().zip(b.items.iter()).all(|(a, b)| equal_at(a, b, depth + 1)))
        }
        (Value::Map(a), Value::Map(b)) => a.ty == b.ty && (a.is_same(b) || maps_equal(a, b, depth)),
        (Value::Object(a), Value::Object(b)) => {
            Rc::ptr_eq(a, b) || (a.type_name() == b.type_name() && a.equals(&**b))
        }
        _ => false,
    }
}

fn maps_equal(left: &Map, right: &Map, depth: usize) -> bool {
    let (left, right) = (RefCell::borrow(&left.entries), RefCell::borrow(&right.entries));
    left.len() == right.len()
        && left.iter().zip(right.iter()).all(|((ak, a), (bk, b))| ak == bk && equal_at(a, b, depth + 1))
}
