//! Exact decimal arithmetic with the precision rules of `shopspring/decimal`.

use num_bigint::{BigInt, Sign};
use pintle_gotemplate::FuncError;

use crate::go::failure;

/// How many digits after the point a quotient keeps.
const DIVISION_PRECISION: i64 = 16;

/// `value * 10^exponent`.
#[derive(Clone, Debug)]
pub(crate) struct Decimal {
    value: BigInt,
    exponent: i64,
}

impl Decimal {
    /// The shortest decimal that reads back as `n`.
    ///
    /// # Errors
    ///
    /// Infinities and NaN have none; Go panics.
    pub(crate) fn from_float(n: f64) -> Result<Self, FuncError> {
        if !n.is_finite() {
            let shown = if n.is_nan() {
                "NaN"
            } else if n > 0.0 {
                "+Inf"
            } else {
                "-Inf"
            };
            return Err(failure(format!("Cannot create a Decimal from {shown}")));
        }
        let text = format!("{n:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let fraction = mantissa.split_once('.').map_or(0, |(_, digits)| digits.len());
        let value = mantissa.replace('.', "").parse().unwrap_or_default();
        let exponent = exponent.parse::<i64>().unwrap_or(0) - i64::try_from(fraction).unwrap_or(0);
        Ok(Self { value, exponent })
    }

    /// The nearest `f64`.
    pub(crate) fn to_float(&self) -> f64 {
        // The text has all digits, so there is one rounding only.
        format!("{}e{}", self.value, self.exponent).parse().unwrap_or(0.0)
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        Self { value: self.rescaled(exponent) + other.rescaled(exponent), exponent }
    }

    pub(crate) fn sub(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        Self { value: self.rescaled(exponent) - other.rescaled(exponent), exponent }
    }

    pub(crate) fn mul(&self, other: &Self) -> Self {
        Self { value: &self.value * &other.value, exponent: self.exponent + other.exponent }
    }

    /// The quotient rounded to 16 digits after the point, half away from zero.
    pub(crate) fn div(&self, other: &Self) -> Result<Self, FuncError> {
        if other.value.sign() == Sign::NoSign {
            return Err(failure("decimal division by 0"));
        }
        let shift = self.exponent - other.exponent + DIVISION_PRECISION;
        let (dividend, divisor) = if shift < 0 {
            (self.value.clone(), &other.value * power_of_ten(-shift))
        } else {
            (&self.value * power_of_ten(shift), other.value.clone())
        };
        let (quotient, remainder) = (&dividend / &divisor, &dividend % &divisor);
        let away = if dividend.sign() == divisor.sign() { 1 } else { -1 };
        let round = remainder.magnitude() * 2u8 >= *divisor.magnitude();
        Ok(Self { value: if round { quotient + away } else { quotient }, exponent: -DIVISION_PRECISION })
    }

    /// The value for a smaller exponent.
    fn rescaled(&self, exponent: i64) -> BigInt {
        &self.value * power_of_ten(self.exponent - exponent)
    }
}

fn power_of_ten(exponent: i64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).unwrap_or(0))
}
