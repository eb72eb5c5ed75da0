//! Versions as templates see them: `*semver.Version` with its methods.

use std::any::Any;
use std::rc::Rc;

use pintle_gotemplate::{FuncError, Method, Object, Signature, Type, Value};

use super::Version;
use crate::args::Args;
use crate::go::{failure, uint64};

const NAME: &str = "*semver.Version";

/// A version in a template: what `semver` returns is a pointer, what `IncMajor` returns a struct.
struct Shared {
    version: Version,
    pointer: bool,
}

/// What `semver` returns.
pub(super) fn pointer(version: Version) -> Value {
    Value::Object(Rc::new(Shared { version, pointer: true }))
}

fn plain(version: Version) -> Value {
    Value::Object(Rc::new(Shared { version, pointer: false }))
}

impl Object for Shared {
    fn type_name(&self) -> &str {
        if self.pointer { NAME } else { "semver.Version" }
    }

    fn kind(&self) -> &'static str {
        if self.pointer { "ptr" } else { "struct" }
    }

    fn method(self: Rc<Self>, name: &str) -> Option<Method> {
        type Call = fn(&Version, &[Value]) -> Result<Value, FuncError>;
        const NONE: &[Type] = &[];
        const OTHER: &[Type] = &[Type::Object(NAME)];
        const TEXT: &[Type] = &[Type::String];
        let (params, call): (_, Call) = match name {
            "Major" => (NONE, |v, _| Ok(uint64(v.major))),
            "Minor" => (NONE, |v, _| Ok(uint64(v.minor))),
            "Patch" => (NONE, |v, _| Ok(uint64(v.patch))),
            "Prerelease" => (NONE, |v, _| Ok(v.pre.clone().into())),
            "Metadata" => (NONE, |v, _| Ok(v.metadata.clone().into())),
            "String" => (NONE, |v, _| Ok(v.to_string().into())),
            "IncMajor" => (NONE, |v, _| v.next_major().map(plain)),
            "IncMinor" => (NONE, |v, _| v.next_minor().map(plain)),
            "IncPatch" => (NONE, |v, _| v.next_patch().map(plain)),
            "SetPrerelease" => (TEXT, |v, args| v.with_pre(&args.text(0)).map(plain)),
            "SetMetadata" => (TEXT, |v, args| v.with_metadata(&args.text(0)).map(plain)),
            // Go: these are methods of the pointer only.
            _ if !self.pointer => return None,
            "Original" => (NONE, |v, _| Ok(v.original.clone().into())),
            "Compare" => (OTHER, |v, args| Ok(Value::int(v.cmp(other(args)?) as i64))),
            "Equal" => (OTHER, |v, args| {
                Ok((args.value(0).as_object::<Shared>().map(|o| &o.version) == Some(v)).into())
            }),
            "LessThan" => (OTHER, |v, args| Ok((v < other(args)?).into())),
            "LessThanEqual" => (OTHER, |v, args| Ok((v <= other(args)?).into())),
            "GreaterThan" => (OTHER, |v, args| Ok((v > other(args)?).into())),
            "GreaterThanEqual" => (OTHER, |v, args| Ok((v >= other(args)?).into())),
            _ => return None,
        };
        let signature = Signature { params, variadic: false };
        Some(Method { signature, call: Box::new(move |args| call(&self.version, args)) })
    }

    fn print(&self) -> Vec<u8> {
        self.version.to_string().into_bytes()
    }

    fn deep_copied(&self) -> Option<Rc<dyn Object>> {
        // Go: copystructure cannot see private fields, so the copy is 0.0.0.
        let empty = String::new;
        let version =
            Version { major: 0, minor: 0, patch: 0, pre: empty(), metadata: empty(), original: empty() };
        Some(Rc::new(Self { version, pointer: self.pointer }))
    }

    fn to_plain(&self) -> Option<Value> {
        Some(self.version.to_string().into())
    }

    fn equals(&self, other: &dyn Object) -> bool {
        let fields =
            |v: &Version| (v.major, v.minor, v.patch, v.pre.clone(), v.metadata.clone(), v.original.clone());
        let other = other.as_any().downcast_ref::<Self>();
        other.is_some_and(|other| fields(&self.version) == fields(&other.version))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn other(args: &[Value]) -> Result<&Version, FuncError> {
    let found = args.value(0).as_object::<Shared>().map(|other| &other.version);
    found.ok_or_else(|| failure(crate::go::NIL_DEREFERENCE))
}

impl Version {
    fn next_major(&self) -> Result<Self, FuncError> {
        let next = increment(self.major, "major")?;
        Ok(self.core().derived(|v| (v.major, v.minor, v.patch) = (next, 0, 0)))
    }

    fn next_minor(&self) -> Result<Self, FuncError> {
        let next = increment(self.minor, "minor")?;
        Ok(self.core().derived(|v| (v.minor, v.patch) = (next, 0)))
    }

    /// The release after a pre-release is the one it prepares.
    fn next_patch(&self) -> Result<Self, FuncError> {
        let next = if self.pre.is_empty() { increment(self.patch, "patch")? } else { self.patch };
        Ok(self.core().derived(|v| v.patch = next))
    }

    fn with_pre(&self, pre: &str) -> Result<Self, FuncError> {
        if !pre.is_empty() {
            super::check_pre(pre).map_err(|error| failure(error.0))?;
        }
        Ok(self.derived(|v| v.pre = pre.to_owned()))
    }

    fn with_metadata(&self, metadata: &str) -> Result<Self, FuncError> {
        if !metadata.is_empty() && !metadata.split('.').all(super::is_identifier) {
            return Err(failure("invalid metadata string"));
        }
        Ok(self.derived(|v| v.metadata = metadata.to_owned()))
    }
}

fn increment(n: u64, part: &str) -> Result<u64, FuncError> {
    n.checked_add(1).ok_or_else(|| failure(format!("{part} version increment would overflow uint64")))
}
