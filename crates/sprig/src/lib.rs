//! The functions of `Masterminds/sprig` v3.3 for [`pintle_gotemplate`], as Helm has them: all of sprig's text map but
//! `env` and `expandenv`.
//!
//! [`funcs`] is the whole library as one table, Go's builtins included; a module holds one family, in sprig's own
//! division. Results and error
//! texts are Go's, panics come back as errors. What depends on clock, chance or the local time zone reads it from the
//! [`Environment`] that the host executes with, and is listed in [`NON_HERMETIC`].
//!
//! [`semver`], [`json`] and [`Duration`] are public because Helm's own functions and its choice of chart versions are
//! built on the same rules. Everything is bounded: no call builds more than 64 MiB of text or a million elements.
//!
//! ```
//! let funcs = pintle_sprig::funcs();
//! assert!(funcs.get("snakecase").is_some() && funcs.get("env").is_none());
//! ```

mod args;
mod crypto;
mod date;
mod decimal;
mod defaults;
mod dict;
mod encoding;
mod environment;
mod go;
pub mod impure;
pub mod json;
mod limit;
mod list;
mod nil;
mod numeric;
mod path;
mod random;
mod reflect;
mod regex;
pub mod semver;
mod strings;
mod table;
#[cfg(test)]
mod tests;
mod unicode;
mod url;
mod xstrings;

pub use date::{Duration, Time, Zone};
pub use environment::{Environment, Random, RsaKeys};
pub use nil::{NilMap, NilSlice};
pub use numeric::{parse_float64, to_float64, to_int64};
pub use table::{NON_HERMETIC, SLOW, add_to, funcs};
