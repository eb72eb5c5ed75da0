//! TOML as `github.com/BurntSushi/toml` writes and reads it.

mod decode;
mod encode;

pub(super) use decode::decode;
pub(super) use encode::encode;
