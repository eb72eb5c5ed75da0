//! Floats as text: Go's `strconv.FormatFloat` for 64 bits.
//!
//! The digits come from Rust's formatter, which like Go's yields the shortest that read back as the same number, or
//! the exactly rounded ones; the layout is Go's.

/// No `f64` has more digits than this before only zeros follow.
const MAX_DIGITS: usize = 1100;

/// A decimal: `0.DIGITS × 10^point`.
struct Decimal {
    digits: Vec<u8>,
    point: i32,
}

impl Decimal {
    fn shortest(f: f64) -> Self {
        let shortest = Self::read(&format!("{f:e}"));
        if shortest.digits.len() < 15 {
            return shortest;
        }
        // Go: of two equally near texts of that length the even one, where Rust takes the upper one.
        let text = format!("{f:.*e}", shortest.digits.len() - 1);
        if text.parse() == Ok(f) { Self::read(&text) } else { shortest }
    }

    /// With `count` significant digits.
    fn rounded(f: f64, count: usize) -> Self {
        Self::read(&format!("{f:.*e}", count.saturating_sub(1).min(MAX_DIGITS)))
    }

    fn read(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
        let point = exponent.parse::<i32>().unwrap_or(0) + 1;
        let zero = digits.iter().all(|&digit| digit == b'0');
        if zero { Self { digits: Vec::new(), point: 0 } } else { Self { digits, point } }
    }

    fn digit(&self, i: i32) -> u8 {
        usize::try_from(i).ok().and_then(|i| self.digits.get(i)).copied().unwrap_or(b'0')
    }

    fn count(&self) -> i32 {
        i32::try_from(self.digits.len()).unwrap_or(i32::MAX)
    }
}

/// Go's `strconv.FormatFloat(f, fmt, prec, 64)`: `fmt` is one of `b e E f g G x X`, `prec` −1 asks for the shortest
/// text that reads back as the same number.
pub fn format_float(f: f64, fmt: u8, prec: i32) -> String {
    if f.is_nan() {
        return "NaN".to_owned();
    }
    if f.is_infinite() {
        return if f > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let sign = if f.is_sign_negative() { "-" } else { "" };
    let f = f.abs();
    let text = match fmt {
        b'b' => binary(f),
        b'x' => hex(f, prec),
        b'X' => hex(f, prec).to_ascii_uppercase(),
        b'e' | b'E' => exponent(f, fmt, prec),
        b'f' => fixed(f, prec),
        b'g' | b'G' => general(f, fmt, prec),
        _ => return format!("%{}", char::from(fmt)),
    };
    format!("{sign}{text}")
}

fn to_count(prec: i32) -> usize {
    usize::try_from(prec).unwrap_or(0)
}

fn exponent(f: f64, fmt: u8, prec: i32) -> String {
    if prec < 0 {
        let decimal = Decimal::shortest(f);
        let prec = (decimal.count() - 1).max(0);
        return exponent_of(&decimal, fmt, prec);
    }
    exponent_of(&Decimal::rounded(f, to_count(prec) + 1), fmt, prec)
}

/// `d.ddde±dd`
fn exponent_of(decimal: &Decimal, fmt: u8, prec: i32) -> String {
    let mut out = String::new();
    out.push(char::from(decimal.digit(0)));
    if prec > 0 {
        out.push('.');
        out.extend((1..=prec).map(|i| char::from(decimal.digit(i))));
    }
    let exponent = if decimal.digits.is_empty() { 0 } else { decimal.point - 1 };
    out.push(char::from(if fmt == b'E' || fmt == b'G' { b'E' } else { b'e' }));
    out.push(if exponent < 0 { '-' } else { '+' });
    out.push_str(&format!("{:02}", exponent.unsigned_abs()));
    out
}

fn fixed(f: f64, prec: i32) -> String {
    if prec < 0 {
        let decimal = Decimal::shortest(f);
        return fixed_of(&decimal, (decimal.count() - decimal.point).max(0));
    }
    let prec = to_count(prec);
    let mut text = format!("{f:.*}", prec.min(MAX_DIGITS));
    text.extend(std::iter::repeat_n('0', prec.saturating_sub(MAX_DIGITS)));
    text
}

fn general(f: f64, fmt: u8, prec: i32) -> String {
    let shortest = prec < 0;
    let prec = if prec == 0 { 1 } else { prec };
    let decimal = if shortest { Decimal::shortest(f) } else { Decimal::rounded(f, to_count(prec)) };
    // Go: trailing zeros do not count, except in the decision below.
    let significant = decimal.digits.iter().rposition(|&digit| digit != b'0').map_or(0, |i| i + 1);
    let significant = i32::try_from(significant).unwrap_or(i32::MAX);
    let mut threshold = if shortest { 6 } else { prec };
    if !shortest && threshold > significant && significant >= decimal.point {
        threshold = significant;
    }
    let exponent = decimal.point - 1;
    if exponent < -4 || exponent >= threshold {
        let digits = if shortest || prec > significant { significant } else { prec };
        return exponent_of(&decimal, fmt, (digits - 1).max(0));
    }
    fixed_of(&decimal, (significant - decimal.point).max(0))
}

/// `ddd.ddd`, with `fraction` digits after the point.
fn fixed_of(decimal: &Decimal, fraction: i32) -> String {
    let mut out = String::new();
    if decimal.point > 0 {
        out.extend((0..decimal.point).map(|i| char::from(decimal.digit(i))));
    } else {
        out.push('0');
    }
    if fraction > 0 {
        out.push('.');
        out.extend((0..fraction).map(|i| char::from(decimal.digit(decimal.point + i))));
    }
    out
}

/// Mantissa and binary exponent of a positive number.
fn parts(f: f64) -> (u64, i32) {
    let bits = f.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0) {
        0 => (fraction, -1074),
        exponent => (fraction | 1 << 52, exponent - 1075),
    }
}

/// `4503599627370496p-52`
fn binary(f: f64) -> String {
    let (mantissa, exponent) = parts(f);
    format!("{mantissa}p{exponent:+}")
}

/// `0x1.8p+00`
fn hex(f: f64, prec: i32) -> String {
    let (mut mantissa, mut exponent) = parts(f);
    exponent += 52;
    if mantissa == 0 {
        exponent = 0;
    }
    while mantissa != 0 && mantissa >> 52 == 0 {
        mantissa <<= 1;
        exponent -= 1;
    }
    // 1 bit before the point, 60 after it: 15 digits.
    mantissa <<= 8;
    let mut shown = 15;
    if (0..15).contains(&prec) {
        shown = prec;
        let shift = 60 - 4 * prec.unsigned_abs();
        let extra = mantissa & ((1 << shift) - 1);
        let half = 1u64 << (shift - 1);
        mantissa >>= shift;
        if extra > half || extra == half && mantissa & 1 == 1 {
            mantissa += 1;
        }
        mantissa <<= shift;
        if mantissa >> 61 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let mut digits = format!("{:015x}", mantissa & ((1 << 60) - 1));
    if prec < 0 {
        digits.truncate(digits.trim_end_matches('0').len());
    } else {
        digits.truncate(usize::try_from(shown).unwrap_or(0));
        digits.extend(std::iter::repeat_n('0', to_count(prec).saturating_sub(15)));
    }
    let point = if digits.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("0x{}{point}{digits}p{sign}{:02}", mantissa >> 60, exponent.unsigned_abs())
}
