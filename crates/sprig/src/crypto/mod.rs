//! Cryptography: hashes, passwords, AES, keys and certificates.

mod certificate;
mod der;
mod dsa;
mod key;
mod pem;

use aws_lc_rs::cipher::{AES_256, AES_256_KEY_LEN, DecryptionContext, EncryptionContext};
use aws_lc_rs::cipher::{DecryptingKey, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pintle_gotemplate::{FuncError, State, Value};

use crate::args::Args;
use crate::encoding::decode_base64;
use crate::environment;
use crate::go::{Outcome, failure};

pub(crate) use certificate::{
    CERTIFICATE, build_custom_cert, certificate, certificate_of, gen_ca, gen_ca_with_key,
    gen_self_signed_cert, gen_self_signed_cert_with_key, gen_signed_cert, gen_signed_cert_with_key,
};
pub(crate) use key::{gen_private_key, system_rsa};

/// `sha1sum TEXT`.
pub(crate) fn sha1sum(args: &[Value]) -> Outcome {
    Ok(hex(&digest::SHA1_FOR_LEGACY_USE_ONLY, args))
}

/// `sha256sum TEXT`.
pub(crate) fn sha256sum(args: &[Value]) -> Outcome {
    Ok(hex(&digest::SHA256, args))
}

/// `sha512sum TEXT`.
pub(crate) fn sha512sum(args: &[Value]) -> Outcome {
    Ok(hex(&digest::SHA512, args))
}

fn hex(algorithm: &'static digest::Algorithm, args: &[Value]) -> Value {
    let hash = digest::digest(algorithm, args.bytes(0));
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// bcrypt's cost in Go, `bcrypt.DefaultCost`. A chart cannot choose another.
const BCRYPT_COST: u32 = 10;

/// What bcrypt and scrypt count as in the step budget.
const SLOW_HASH: u64 = 100_000;

/// `bcrypt TEXT`: an error is the result.
pub(crate) fn bcrypt(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    hashed(state, args.bytes(0)).map(Value::from)
}

/// `htpasswd USER PASSWORD`: an error is the result.
pub(crate) fn htpasswd(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    let user = args.bytes(0);
    if user.contains(&b':') {
        return Ok([b"invalid username: ", user].concat().into());
    }
    let hash = hashed(state, args.bytes(1))?;
    Ok([user, b":", hash.as_bytes()].concat().into())
}

fn hashed(state: &mut State<'_, '_>, password: &[u8]) -> Result<String, FuncError> {
    let failed = |reason: &str| format!("failed to encrypt string with bcrypt: {reason}");
    if password.len() > 72 {
        return Ok(failed("bcrypt: password length exceeds 72 bytes"));
    }
    state.spend(SLOW_HASH)?;
    let mut salt = [0; 16];
    environment::with(state, |environment| environment.fill(&mut salt))?;
    Ok(match bcrypt::hash_with_salt(password, BCRYPT_COST, salt) {
        Ok(parts) => parts.format_for_version(bcrypt::Version::TwoA),
        Err(error) => failed(&error.to_string()),
    })
}

/// The templates of the Master Password algorithm, by type.
fn password_templates(kind: &[u8]) -> &'static [&'static [u8]] {
    match kind {
        b"maximum" => &[b"anoxxxxxxxxxxxxxxxxx", b"axxxxxxxxxxxxxxxxxno"],
        b"long" => &[
            b"CvcvnoCvcvCvcv",
            b"CvcvCvcvnoCvcv",
            b"CvcvCvcvCvcvno",
            b"CvccnoCvcvCvcv",
            b"CvccCvcvnoCvcv",
            b"CvccCvcvCvcvno",
            b"CvcvnoCvccCvcv",
            b"CvcvCvccnoCvcv",
            b"CvcvCvccCvcvno",
            b"CvcvnoCvcvCvcc",
            b"CvcvCvcvnoCvcc",
            b"CvcvCvcvCvccno",
            b"CvccnoCvccCvcv",
            b"CvccCvccnoCvcv",
            b"CvccCvccCvcvno",
            b"CvcvnoCvccCvcc",
            b"CvcvCvccnoCvcc",
            b"CvcvCvccCvccno",
            b"CvccnoCvcvCvcc",
            b"CvccCvcvnoCvcc",
            b"CvccCvcvCvccno",
        ],
        b"medium" => &[b"CvcnoCvc", b"CvcCvcno"],
        b"short" => &[b"Cvcn"],
        b"basic" => &[b"aaanaaan", b"aannaaan", b"aaannaaa"],
        b"pin" => &[b"nnnn"],
        _ => &[],
    }
}

fn password_characters(class: u8) -> &'static [u8] {
    match class {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

/// `derivePassword COUNTER TYPE PASSWORD USER SITE`: the Master Password algorithm; an unknown type is told in the result.
pub(crate) fn derive_password(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    let (counter, kind, password, user, site) =
        (args.int(0), args.bytes(1), args.bytes(2), args.bytes(3), args.bytes(4));
    let templates = password_templates(kind);
    if templates.is_empty() {
        return Ok([b"cannot find password template ", kind].concat().into());
    }
    state.spend(SLOW_HASH)?;
    let failed = |error: &dyn std::fmt::Display| Value::from(format!("failed to derive password: {error}"));
    let length = |text: &[u8]| u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
    const SEED: &[u8] = b"com.lyndir.masterpassword";
    let salt = [SEED, &length(user), user].concat();
    let mut key = [0; 64];
    match scrypt::Params::new(15, 8, 2).map_err(|error| error.to_string()) {
        Err(error) => return Ok(failed(&error)),
        Ok(params) => {
            if let Err(error) = scrypt::scrypt(password, &salt, &params, &mut key) {
                return Ok(failed(&error));
            }
        }
    }
    let counter = u32::try_from(counter).unwrap_or(0).to_be_bytes();
    let message = [SEED, &length(site), site, &counter].concat();
    let seed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &message);
    let mut seed = seed.as_ref().iter().map(|byte| usize::from(*byte));
    let template =
        seed.next().and_then(|first| templates.get(first % templates.len())).copied().unwrap_or_default();
    let characters = template.iter().zip(seed).filter_map(|(class, drawn)| {
        let characters = password_characters(*class);
        characters.get(drawn % characters.len()).copied()
    });
    Ok(characters.collect::<Vec<u8>>().into())
}

const BLOCK: usize = 16;

/// sprig: the password itself is the key, cut or filled with zeros.
fn aes_key(password: &[u8]) -> Result<UnboundCipherKey, FuncError> {
    let mut key = [0; AES_256_KEY_LEN];
    key.iter_mut().zip(password).for_each(|(to, from)| *to = *from);
    UnboundCipherKey::new(&AES_256, &key).map_err(|_| failure("crypto/aes: invalid key"))
}

/// `encryptAES PASSWORD TEXT`: AES-256-CBC, in base64 behind its initialisation vector.
pub(crate) fn encrypt_aes(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    let text = args.bytes(1);
    if text.is_empty() {
        return Ok("".into());
    }
    let unusable = |_| failure("crypto/aes: invalid key");
    let key = EncryptingKey::ecb(aes_key(args.bytes(0))?).map_err(unusable)?;
    let padding = BLOCK - text.len() % BLOCK;
    let mut out = vec![0; BLOCK];
    environment::with(state, |environment| environment.fill(&mut out))?;
    let padded = text.iter().copied().chain(std::iter::repeat_n(u8::try_from(padding).unwrap_or(0), padding));
    let padded: Vec<u8> = padded.collect();
    for block in padded.chunks(BLOCK) {
        let previous = out.len() - BLOCK;
        let mut block: Vec<u8> = block.iter().zip(out.iter().skip(previous)).map(|(a, b)| a ^ b).collect();
        key.less_safe_encrypt(&mut block, EncryptionContext::None).map_err(unusable)?;
        out.extend_from_slice(&block);
    }
    Ok(STANDARD.encode(out).into())
}

/// `decryptAES PASSWORD TEXT`: the padding is not checked, as in sprig.
pub(crate) fn decrypt_aes(args: &[Value]) -> Outcome {
    let text = args.bytes(1);
    if text.is_empty() {
        return Ok("".into());
    }
    let data = decode_base64(text).map_err(failure)?;
    // Go: what is too short for the vector fails by the capacity of the buffer, which base64 rounds up.
    let capacity = text.len() / 4 * 3;
    let (mut previous, body) = match data.split_at_checked(BLOCK) {
        Some((vector, body)) => (vector, body),
        None if capacity < BLOCK => {
            let text = format!("runtime error: slice bounds out of range [:16] with capacity {capacity}");
            return Err(failure(text));
        }
        None => return Err(failure(format!("runtime error: slice bounds out of range [16:{}]", data.len()))),
    };
    if body.len() % BLOCK != 0 {
        return Err(failure("crypto/cipher: input not full blocks"));
    }
    let unusable = |_| failure("crypto/aes: invalid key");
    let key = DecryptingKey::ecb(aes_key(args.bytes(0))?).map_err(unusable)?;
    let mut out = Vec::with_capacity(body.len());
    for block in body.chunks(BLOCK) {
        let mut plain = block.to_vec();
        key.decrypt(&mut plain, DecryptionContext::None).map_err(unusable)?;
        out.extend(plain.iter().zip(previous).map(|(a, b)| a ^ b));
        previous = block;
    }
    let Some(padding) = out.last().map(|last| usize::from(*last)) else {
        return Err(failure("runtime error: index out of range [-1]"));
    };
    match out.len().checked_sub(padding) {
        Some(length) => out.truncate(length),
        None => {
            let missing = padding - out.len();
            return Err(failure(format!("runtime error: slice bounds out of range [:-{missing}]")));
        }
    }
    Ok(out.into())
}
