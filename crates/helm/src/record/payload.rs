//! The bytes of a record: base64 of gzip of JSON.

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{Error, Record};

/// Far more than fits into a Secret even when it is all blanks.
const MAX_BYTES: u64 = 64 << 20;

/// Writes a record as Helm stores it: the value of the Secret's key, before Kubernetes' own base64.
///
/// # Errors
/// None that a record made by Pintle can cause.
pub fn encode(record: &Record) -> Result<Vec<u8>, Error> {
    let json = serde_json::to_vec(record).map_err(|source| Error::Json { source })?;
    // Helm compresses as hard as it can. That was a tenth of what a small install cost the operator.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&json).map_err(|source| Error::Gzip { source })?;
    let bytes = encoder.finish().map_err(|source| Error::Gzip { source })?;
    Ok(STANDARD.encode(bytes).into_bytes())
}

/// Reads what Helm, or Pintle, stored. A record that is not compressed is read too, as Helm does.
///
/// # Errors
/// The bytes are no record, or larger than 64 MiB when decompressed.
pub fn decode(payload: &[u8]) -> Result<Record, Error> {
    decode_within(payload, MAX_BYTES)
}

/// As [`decode`], with a limit in bytes.
pub(super) fn decode_within(payload: &[u8], limit: u64) -> Result<Record, Error> {
    let bytes = STANDARD.decode(payload.trim_ascii()).map_err(|source| Error::Base64 { source })?;
    if !bytes.starts_with(&[0x1f, 0x8b, 0x08]) {
        return parse(&bytes);
    }
    let mut json = Vec::new();
    MultiGzDecoder::new(bytes.as_slice())
        .take(limit.saturating_add(1))
        .read_to_end(&mut json)
        .map_err(|source| Error::Gzip { source })?;
    if json.len() as u64 > limit {
        return Err(Error::TooLarge { limit });
    }
    parse(&json)
}

fn parse(json: &[u8]) -> Result<Record, Error> {
    // A struct could be read from a list too.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(Error::NotObject);
    }
    serde_json::from_slice(json).map_err(|source| Error::Json { source })
}

/// Go's `[]byte`: base64, null when empty.
pub(super) mod bytes {
    use base64::Engine as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::STANDARD;

    pub(in crate::record) fn serialize<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(data))
    }

    pub(in crate::record) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

/// Go's `[]byte` where nil and empty differ.
pub(super) mod optional_bytes {
    use base64::Engine as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::STANDARD;

    pub(in crate::record) fn serialize<S: Serializer>(
        data: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match data {
            Some(data) => serializer.serialize_str(&STANDARD.encode(data)),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::record) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        STANDARD.decode(text).map(Some).map_err(serde::de::Error::custom)
    }
}
