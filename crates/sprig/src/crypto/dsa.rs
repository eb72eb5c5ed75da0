//! DSA keys, which no crypto library makes any more: 2048 bit parameters by Go's `crypto/dsa`.

use num_bigint::BigUint;
use pintle_gotemplate::FuncError;

use super::der::{self, Reader};
use crate::environment::Environment;

/// Bytes of the modulus and of the order of its subgroup.
const P_BYTES: usize = 256;
const Q_BYTES: usize = 32;

/// How many rounds of Miller and Rabin Go asks for.
const ROUNDS: usize = 64;

/// Whether the data has the form of a DSA key: six integers.
pub(super) fn is_key(data: &[u8]) -> bool {
    let read = || {
        let mut key = Reader(Reader(data).expect(der::SEQUENCE)?);
        (0..6).map(|_| key.expect(der::INTEGER)).collect::<Option<Vec<_>>>()
    };
    read().is_some()
}

/// A new key as sprig's own DER: version, p, q, g, y, x.
pub(super) fn generate(environment: &Environment) -> Result<Vec<u8>, FuncError> {
    let one = BigUint::from(1u8);
    let draw = |bytes: usize| -> Result<BigUint, FuncError> {
        let mut buffer = vec![0; bytes];
        environment.fill(&mut buffer)?;
        Ok(BigUint::from_bytes_be(&buffer))
    };
    let small = small_primes();
    let (q, p) = 'parameters: loop {
        let mut q = draw(Q_BYTES)?;
        q.set_bit(0, true);
        q.set_bit(8 * 32 - 1, true);
        if !is_prime(&q, &small, environment)? {
            continue;
        }
        for _ in 0..4 * 8 * P_BYTES {
            let mut p = draw(P_BYTES)?;
            p.set_bit(0, true);
            p.set_bit(8 * 256 - 1, true);
            let excess = &p % (&q * 2u8);
            p = p - excess + &one;
            if p.bits() == 8 * 256 && is_prime(&p, &small, environment)? {
                break 'parameters (q, p);
            }
        }
    };
    let exponent = (&p - &one) / &q;
    let g =
        (2u32..).map(|h| BigUint::from(h).modpow(&exponent, &p)).find(|g| *g != one).unwrap_or(one.clone());
    let x = loop {
        let x = draw(Q_BYTES)?;
        if x.bits() > 0 && x < q {
            break x;
        }
    };
    let y = g.modpow(&x, &p);
    let numbers: Vec<Vec<u8>> =
        [BigUint::ZERO, p, q, g, y, x].iter().map(|n| der::unsigned(&n.to_bytes_be())).collect();
    Ok(der::sequence(&numbers.iter().map(Vec::as_slice).collect::<Vec<_>>()))
}

fn small_primes() -> Vec<u32> {
    let mut primes: Vec<u32> = Vec::new();
    for n in 2..4096 {
        if primes.iter().take_while(|prime| *prime * *prime <= n).all(|prime| n % prime != 0) {
            primes.push(n);
        }
    }
    primes
}

/// Trial division, then Miller and Rabin's test.
fn is_prime(n: &BigUint, small: &[u32], environment: &Environment) -> Result<bool, FuncError> {
    if small.iter().any(|prime| (n % *prime) == BigUint::ZERO) {
        return Ok(false);
    }
    let one = BigUint::from(1u8);
    let top = n - &one;
    let twos = top.trailing_zeros().unwrap_or(0);
    let odd = &top >> twos;
    let mut buffer = vec![0; usize::try_from(n.bits().div_ceil(8)).unwrap_or(P_BYTES)];
    'rounds: for _ in 0..ROUNDS {
        environment.fill(&mut buffer)?;
        let base = BigUint::from_bytes_be(&buffer) % (&top - &one) + 2u8;
        let mut power = base.modpow(&odd, n);
        if power == one || power == top {
            continue;
        }
        for _ in 1..twos {
            power = power.modpow(&BigUint::from(2u8), n);
            if power == top {
                continue 'rounds;
            }
        }
        return Ok(false);
    }
    Ok(true)
}
