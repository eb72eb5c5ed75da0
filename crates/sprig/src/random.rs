//! Randomness, drawn from the [`Environment`](crate::Environment).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pintle_gotemplate::{FuncError, State, Value};

use crate::args::Args;
use crate::environment::{self, Environment};
use crate::go::{Outcome, failure};
use crate::{limit, unicode};

/// The system's randomness.
///
/// Asked of the kernel: aws-lc's generator first measures the processor's jitter, for every thread anew, which takes
/// longer than rendering a large chart.
pub(crate) fn system(buffer: &mut [u8]) -> Result<(), String> {
    getrandom::fill(buffer).map_err(|_| "no randomness available".to_owned())
}

/// Uniform numbers below a bound, from blocks of random bytes.
struct Draws<'e> {
    environment: &'e Environment,
    block: [u8; 256],
    at: usize,
}

impl<'e> Draws<'e> {
    fn new(environment: &'e Environment) -> Self {
        Self { environment, block: [0; 256], at: 256 }
    }

    fn below(&mut self, bound: u64) -> Result<u64, FuncError> {
        // Small bounds take a byte, others eight: a random text costs a byte or two a character.
        let width = if bound <= 256 { 1 } else { 8 };
        let space = if width == 1 { 256 } else { 1u128 << 64 };
        let fair = space - space % u128::from(bound.max(1));
        loop {
            if self.at + width > self.block.len() {
                self.environment.fill(&mut self.block)?;
                self.at = 0;
            }
            let bytes = self.block.iter().skip(self.at).take(width);
            let drawn = bytes.fold(0u64, |n, b| n << 8 | u64::from(*b));
            self.at += width;
            if u128::from(drawn) < fair {
                return Ok(drawn % bound.max(1));
            }
        }
    }

    fn index(&mut self, length: usize) -> Result<usize, FuncError> {
        let drawn = self.below(u64::try_from(length).unwrap_or(u64::MAX))?;
        Ok(usize::try_from(drawn).unwrap_or(0))
    }
}

fn drawing<T>(
    state: &State<'_, '_>,
    draw: impl FnOnce(&mut Draws<'_>) -> Result<T, FuncError>,
) -> Result<T, FuncError> {
    environment::with(state, |environment| draw(&mut Draws::new(environment)))
}

fn text(state: &State<'_, '_>, count: i64, alphabet: &[u8]) -> Outcome {
    // goutils: a negative length is an error, which sprig drops.
    let count = usize::try_from(count).unwrap_or(0);
    limit::bytes(count)?;
    drawing(state, |draws| {
        let mut out = Vec::with_capacity(count);
        for _ in 0..count {
            out.extend(alphabet.get(draws.index(alphabet.len())?));
        }
        Ok(out.into())
    })
}

const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// `randAlphaNum COUNT`.
pub(crate) fn alphanumeric(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    text(state, args.int(0), ALPHANUMERIC)
}

/// `randAlpha COUNT`.
pub(crate) fn alphabetic(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    text(state, args.int(0), ALPHANUMERIC.get(..52).unwrap_or_default())
}

/// `randNumeric COUNT`.
pub(crate) fn numeric(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    text(state, args.int(0), ALPHANUMERIC.get(52..).unwrap_or_default())
}

/// `randAscii COUNT`: what can be printed.
pub(crate) fn ascii(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    text(state, args.int(0), &(b' '..=b'~').collect::<Vec<_>>())
}

/// `shuffle TEXT`.
pub(crate) fn shuffle(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    let mut runes: Vec<char> = unicode::runes(args.bytes(0)).map(|rune| rune.char).collect();
    drawing(state, |draws| {
        for i in (1..runes.len()).rev() {
            runes.swap(i, draws.index(i + 1)?);
        }
        Ok(runes.iter().collect::<String>().into())
    })
}

/// `randInt MIN MAX`: `MAX` is not drawn.
pub(crate) fn int(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    let (min, max) = (args.int(0), args.int(1));
    match u64::try_from(max.wrapping_sub(min)) {
        Ok(span) if span > 0 => drawing(state, |draws| {
            Ok(Value::int(min.wrapping_add(i64::try_from(draws.below(span)?).unwrap_or(0))))
        }),
        _ => Err(failure("invalid argument to Intn")),
    }
}

/// `randBytes COUNT`: in base64.
pub(crate) fn bytes(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    let count = args.int(0);
    let count = usize::try_from(count).map_err(|_| failure("runtime error: makeslice: len out of range"))?;
    limit::bytes(count)?;
    environment::with(state, |environment| {
        let mut buffer = vec![0; count];
        environment.fill(&mut buffer)?;
        Ok(STANDARD.encode(buffer).into())
    })
}

/// `uuidv4`.
pub(crate) fn uuid(state: &mut State<'_, '_>, _: &[Value]) -> Outcome {
    environment::with(state, |environment| {
        let mut bytes = [0; 16];
        environment.fill(&mut bytes)?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut out = String::with_capacity(36);
        for (i, byte) in bytes.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                out.push('-');
            }
            out.push_str(&format!("{byte:02x}"));
        }
        Ok(out.into())
    })
}
