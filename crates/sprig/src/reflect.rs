//! Reflection: Go's names of types and kinds, and deep equality.

use pintle_gotemplate::Value;

use crate::args::Args;
use crate::go::Outcome;

/// `typeOf VALUE`.
pub(crate) fn type_of(args: &[Value]) -> Outcome {
    Ok(Value::string(args.value(0).type_name()))
}

/// `typeIs NAME VALUE`.
pub(crate) fn type_is(args: &[Value]) -> Outcome {
    Ok((args.bytes(0) == args.value(1).type_name().as_bytes()).into())
}

/// `typeIsLike NAME VALUE`: also a pointer to it.
pub(crate) fn type_is_like(args: &[Value]) -> Outcome {
    let (name, wanted) = (args.value(1).type_name(), args.bytes(0));
    let name = name.as_bytes();
    Ok((name == wanted || name.strip_prefix(b"*") == Some(wanted)).into())
}

/// `kindOf VALUE`.
pub(crate) fn kind_of(args: &[Value]) -> Outcome {
    Ok(args.value(0).kind().into())
}

/// `kindIs NAME VALUE`.
pub(crate) fn kind_is(args: &[Value]) -> Outcome {
    Ok((args.bytes(0) == args.value(1).kind().as_bytes()).into())
}

/// `deepEqual A B`.
pub(crate) fn deep_equal(args: &[Value]) -> Outcome {
    Ok(pintle_gotemplate::deep_equal(args.value(0), args.value(1)).into())
}
