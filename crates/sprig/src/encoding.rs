//! Base64, base32 and checksums. A text that cannot be decoded gives the error as the result.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pintle_gotemplate::Value;

use crate::args::Args;
use crate::go::Outcome;

/// `b64enc TEXT`.
pub(crate) fn b64enc(args: &[Value]) -> Outcome {
    Ok(STANDARD.encode(args.bytes(0)).into())
}

/// `b64dec TEXT`.
pub(crate) fn b64dec(args: &[Value]) -> Outcome {
    Ok(decode_base64(args.bytes(0)).map_or_else(Value::from, Value::from))
}

/// Go's `base64.StdEncoding.DecodeString`, which skips line breaks.
pub(crate) fn decode_base64(text: &[u8]) -> Result<Vec<u8>, String> {
    const INVALID: u8 = 0xff;
    let digit = |b: u8| match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => INVALID,
    };
    let corrupt = |at: usize| format!("illegal base64 data at input byte {at}");
    let is_break = |b: u8| b == b'\n' || b == b'\r';
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut at = 0;
    let next = |at: &mut usize| {
        while text.get(*at).copied().is_some_and(is_break) {
            *at += 1;
        }
        let b = text.get(*at).copied();
        *at += usize::from(b.is_some());
        b
    };
    loop {
        let mut group = [0u8; 4];
        let mut filled = 0;
        let mut ended = false;
        while filled < 4 {
            let Some(b) = next(&mut at) else {
                return match filled {
                    0 => Ok(out),
                    // Go: an unfinished group is reported where it starts.
                    _ => Err(corrupt(at - filled)),
                };
            };
            let value = digit(b);
            if value != INVALID {
                if let Some(slot) = group.get_mut(filled) {
                    *slot = value;
                }
                filled += 1;
                continue;
            }
            if b != b'=' || filled < 2 {
                return Err(corrupt(at - 1));
            }
            if filled == 2 {
                match next(&mut at) {
                    Some(b'=') => {}
                    None => return Err(corrupt(text.len())),
                    Some(_) => return Err(corrupt(at - 2)),
                }
            }
            if next(&mut at).is_some() {
                return Err(corrupt(at - 1));
            }
            ended = true;
            break;
        }
        let [a, b, c, d] = group;
        let bytes = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
        out.extend_from_slice(bytes.get(..filled.saturating_sub(1)).unwrap_or_default());
        if ended {
            return Ok(out);
        }
    }
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `b32enc TEXT`.
pub(crate) fn b32enc(args: &[Value]) -> Outcome {
    let mut out = String::new();
    for chunk in args.bytes(0).chunks(5) {
        let bits = chunk.iter().chain(&[0; 5]).take(5).fold(0u64, |bits, b| bits << 8 | u64::from(*b));
        let digits = (chunk.len() * 8).div_ceil(5);
        for i in 0..8 {
            let index = usize::try_from(bits >> (35 - 5 * i) & 31).unwrap_or(0);
            out.push(if i < digits { BASE32.get(index).map_or('=', |b| *b as char) } else { '=' });
        }
    }
    Ok(out.into())
}

/// `b32dec TEXT`.
pub(crate) fn b32dec(args: &[Value]) -> Outcome {
    Ok(decode_base32(args.bytes(0)).map_or_else(Value::from, Value::from))
}

/// Go's `base32.StdEncoding.DecodeString`, which skips line breaks.
fn decode_base32(text: &[u8]) -> Result<Vec<u8>, String> {
    let text: Vec<u8> = text.iter().copied().filter(|b| *b != b'\n' && *b != b'\r').collect();
    let corrupt = |at: usize| format!("illegal base32 data at input byte {at}");
    let mut out = Vec::with_capacity(text.len() / 8 * 5);
    let mut rest = text.as_slice();
    while !rest.is_empty() {
        let mut bits = 0u64;
        let mut digits = 8;
        for j in 0..8 {
            let at = text.len() - rest.len();
            let Some((&b, after)) = rest.split_first() else { return Err(corrupt(at - j)) };
            rest = after;
            if b == b'=' && j >= 2 && rest.len() < 8 {
                // The rest of the last group must be padding.
                if rest.len() + j < 7 {
                    return Err(corrupt(text.len()));
                }
                for k in 0..7 - j {
                    if rest.get(k).is_some_and(|b| *b != b'=') {
                        return Err(corrupt(text.len() - rest.len() + k - 1));
                    }
                }
                if matches!(j, 1 | 3 | 6) {
                    return Err(corrupt(text.len() - rest.len() - 1));
                }
                digits = j;
                rest = b"";
                break;
            }
            let value =
                BASE32.iter().position(|d| *d == b).ok_or_else(|| corrupt(text.len() - rest.len() - 1))?;
            bits |= u64::try_from(value).unwrap_or(0) << (35 - 5 * j);
        }
        let bytes = bits.to_be_bytes();
        out.extend_from_slice(bytes.get(3..3 + digits * 5 / 8).unwrap_or_default());
    }
    Ok(out)
}

/// `adler32sum TEXT`: decimal.
pub(crate) fn adler32sum(args: &[Value]) -> Outcome {
    let (mut a, mut b) = (1u32, 0u32);
    for byte in args.bytes(0) {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    Ok((b << 16 | a).to_string().into())
}
