//! Go's `text/template`: lexer, parser, executor and value model, byte for byte.
//!
//! A text is cut into tokens (`lex`), parsed into trees (`parse`, `node`) that a [`TemplateSet`] holds together, and
//! executed (`exec`) with [`Value`]s and a table of [`Funcs`]. The files are named as Go's, so that the two can be
//! read side by side. Trees are immutable and shared by threads; values belong to one thread.
//!
//! It knows nothing of Helm: sprig's functions are in `pintle-sprig`, Helm's own (`include`, `tpl`, `toYaml`) in
//! `pintle-helm`, made of what [`State`] offers. See `docs/design/0001-value-model.md` for the values.
//!
//! Known differences from Go: nesting is bounded by [`Limits`] instead of by Go's growing stack; a variable whose
//! declaration was skipped inside `and` or `or` is undefined afterwards, where Go would find an outer one of the
//! same name; Go's own `slice` takes indexes from maps
//! and lists (sprig replaces it); channels, functions and user-defined struct types do not exist as values.

mod bytes;
mod error;
mod exec;
mod funcs;
mod lex;
mod node;
mod number;
mod parse;
pub mod printf;
mod stack;
mod template;
#[cfg(test)]
mod tests;
mod unicode;
mod value;

pub use bytes::Bytes;
pub use error::{Error, ErrorKind, Frame, FuncError, Limit};
pub use exec::{Limits, Location, MissingKey, Options, RECOMMENDED_STACK, State};
pub use funcs::{Call, Func, Funcs, Signature, Type};
pub use template::{Template, TemplateSet};
pub use value::{
    ElemType, Entries, IntKind, List, Map, MapType, Method, NamedMap, Object, Str, Value, YamlForm,
    deep_equal,
};
