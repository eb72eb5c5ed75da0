//! Which Helm to be like, where two of them differ.

use std::fmt;
use std::str::FromStr;

/// The generation of Helm whose behaviour is the contract.
///
/// The differences are listed in `COMPATIBILITY.md`; the conformance test pins them.
///
/// # Examples
/// ```
/// use pintle_helm::Compat;
/// assert_eq!("v3".parse::<Compat>(), Ok(Compat::V3));
/// assert_eq!(Compat::default().to_string(), "v4");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compat {
    /// As Helm 3.22.
    V3,
    /// As Helm 4.3.
    #[default]
    V4,
}

impl fmt::Display for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3 => "v3",
            Self::V4 => "v4",
        })
    }
}

impl FromStr for Compat {
    type Err = UnknownCompat;

    fn from_str(text: &str) -> Result<Self, UnknownCompat> {
        match text {
            "v3" => Ok(Self::V3),
            "v4" => Ok(Self::V4),
            _ => Err(UnknownCompat),
        }
    }
}

/// The text names no generation of Helm that Pintle can be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `v3` or `v4`")]
pub struct UnknownCompat;
