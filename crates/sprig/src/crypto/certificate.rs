//! Certificates as Go's `crypto/x509` builds them from sprig's templates.

use std::any::Any;
use std::net::IpAddr;
use std::rc::Rc;

use aws_lc_rs::digest::{SHA256, digest};
use pintle_gotemplate::{Entries, FuncError, Object, State, Value};

use super::der::{self, Reader};
use super::key::Key;
use super::pem;
use crate::args::Args;
use crate::date::{Duration, Time};
use crate::encoding::decode_base64;
use crate::environment::{self, Environment};
use crate::go::{self, Outcome, failure};

/// Go's name of the type that the functions return and take.
pub(crate) const CERTIFICATE: &str = "sprig.certificate";

/// sprig's `certificate`: both halves as PEM.
#[derive(PartialEq)]
struct Certificate {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Object for Certificate {
    fn type_name(&self) -> &str {
        CERTIFICATE
    }

    fn kind(&self) -> &'static str {
        "struct"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Cert" => Some(self.cert.clone().into()),
            "Key" => Some(self.key.clone().into()),
            _ => None,
        }
    }

    fn print(&self) -> Vec<u8> {
        [b"{", &self.cert[..], b" ", &self.key, b"}"].concat()
    }

    fn to_plain(&self) -> Option<Value> {
        let field = |name: &str| Some((name.into(), self.field(name)?));
        Some(Value::map(["Cert", "Key"].into_iter().filter_map(field).collect::<Entries>()))
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A certificate that was made before.
pub(crate) fn certificate(cert: &str, key: &str) -> Value {
    Value::Object(Rc::new(Certificate { cert: cert.into(), key: key.into() }))
}

/// Both halves of a value that is a certificate.
pub(crate) fn certificate_of(value: &Value) -> Option<(String, String)> {
    let certificate = value.as_object::<Certificate>()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(&certificate.cert), text(&certificate.key)))
}

const RSA_BITS: u32 = 2048;

/// What making a key and signing count as in the step budget.
const RSA_2048: u64 = 500_000;
const SIGNING: u64 = 20_000;

/// What a certificate says, apart from its keys.
struct Template {
    name: Vec<u8>,
    addresses: Vec<IpAddr>,
    dns: Vec<Vec<u8>>,
    days: i64,
    authority: bool,
}

/// Who signs: the subject, its key identifier if it has one, its key.
struct Issuer<'k> {
    subject: Vec<u8>,
    key_id: Option<Vec<u8>>,
    key: &'k Key,
}

/// `buildCustomCert CERT KEY`: both in base64.
pub(crate) fn build_custom_cert(args: &[Value]) -> Outcome {
    let cert = decode_base64(args.bytes(0)).map_err(|_| failure("unable to decode base64 certificate"))?;
    let key = decode_base64(args.bytes(1)).map_err(|_| failure("unable to decode base64 private key"))?;
    let (_, data) = pem::decode(&cert).ok_or_else(|| failure("unable to decode certificate"))?;
    if Parsed::read(&data).is_none() {
        return Err(failure("error parsing certificate: decodedCert.Bytes: x509: malformed certificate"));
    }
    Key::from_pem(&key).map_err(|error| failure(format!("error parsing private key: {error}")))?;
    Ok(Value::Object(Rc::new(Certificate { cert, key })))
}

/// `genCA NAME DAYS`.
pub(crate) fn gen_ca(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    state.spend(RSA_2048)?;
    environment::with(state, |environment| {
        let key = new_key(environment)?;
        self_signed(environment, &ca_template(args), &key)
    })
}

/// `genCAWithKey NAME DAYS KEY`.
pub(crate) fn gen_ca_with_key(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    state.spend(SIGNING)?;
    environment::with(state, |environment| {
        let key = given_key(args.bytes(2))?;
        self_signed(environment, &ca_template(args), &key)
    })
}

/// `genSelfSignedCert NAME ADDRESSES NAMES DAYS`.
pub(crate) fn gen_self_signed_cert(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    state.spend(RSA_2048)?;
    environment::with(state, |environment| {
        let template = template(args)?;
        let key = new_key(environment)?;
        self_signed(environment, &template, &key)
    })
}

/// `genSelfSignedCertWithKey NAME ADDRESSES NAMES DAYS KEY`.
pub(crate) fn gen_self_signed_cert_with_key(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    state.spend(SIGNING)?;
    environment::with(state, |environment| {
        let key = given_key(args.bytes(4))?;
        self_signed(environment, &template(args)?, &key)
    })
}

/// `genSignedCert NAME ADDRESSES NAMES DAYS CA`.
pub(crate) fn gen_signed_cert(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    state.spend(RSA_2048)?;
    environment::with(state, |environment| signed(environment, args, new_key))
}

/// `genSignedCertWithKey NAME ADDRESSES NAMES DAYS CA KEY`.
pub(crate) fn gen_signed_cert_with_key(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    state.spend(SIGNING)?;
    environment::with(state, |environment| {
        let key = given_key(args.bytes(5))?;
        signed(environment, args, |_| Ok(key))
    })
}

fn new_key(environment: &Environment) -> Result<Key, FuncError> {
    Key::rsa(environment, RSA_BITS).map_err(|error| failure(format!("error generating rsa key: {error}")))
}

fn given_key(text: &[u8]) -> Result<Key, FuncError> {
    Key::from_pem(text).map_err(|error| failure(format!("parsing private key: {error}")))
}

fn ca_template(args: &[Value]) -> Template {
    let name = args.bytes(0).to_vec();
    Template { name, addresses: Vec::new(), dns: Vec::new(), days: args.int(1), authority: true }
}

fn template(args: &[Value]) -> Result<Template, FuncError> {
    let list = |i| go::elements(args.value(i)).unwrap_or_default();
    let mut addresses = Vec::new();
    for address in list(1).iter() {
        let Value::String(text) = address else {
            let shown = String::from_utf8_lossy(&go::to_text(address)?).into_owned();
            return Err(failure(format!("error parsing ip: {shown} is not a string")));
        };
        let text = text.to_string_lossy();
        addresses.push(text.parse().map_err(|_| failure(format!("error parsing ip: {text}")))?);
    }
    let mut dns = Vec::new();
    for name in list(2).iter() {
        let Value::String(text) = name else {
            let shown = String::from_utf8_lossy(&go::to_text(name)?).into_owned();
            return Err(failure(format!("error processing alternate dns name: {shown} is not a string")));
        };
        dns.push(text.as_bytes().to_vec());
    }
    Ok(Template { name: args.bytes(0).to_vec(), addresses, dns, days: args.int(3), authority: false })
}

fn self_signed(environment: &Environment, template: &Template, key: &Key) -> Outcome {
    let subject = subject(&template.name)?;
    issue(environment, template, key, &Issuer { subject, key_id: None, key })
}

fn signed(
    environment: &Environment,
    args: &[Value],
    key: impl FnOnce(&Environment) -> Result<Key, FuncError>,
) -> Outcome {
    let authority = args.value(4).as_object::<Certificate>().ok_or_else(|| failure(go::NIL_DEREFERENCE))?;
    let (_, data) = pem::decode(&authority.cert).ok_or_else(|| failure("unable to decode certificate"))?;
    let Some(parent) = Parsed::read(&data) else {
        return Err(failure(
            "error parsing certificate: decodedSignerCert.Bytes: x509: malformed certificate",
        ));
    };
    let signer = Key::from_pem(&authority.key)
        .map_err(|error| failure(format!("error parsing private key: {error}")))?;
    let template = template(args)?;
    if signer.public().is_some_and(|(_, bits)| bits != parent.public_key) {
        let text = "error creating certificate: x509: provided PrivateKey doesn't match parent's PublicKey";
        return Err(failure(text));
    }
    let key = key(environment)?;
    let issuer =
        Issuer { subject: parent.subject.to_vec(), key_id: parent.key_id.map(<[u8]>::to_vec), key: &signer };
    issue(environment, &template, &key, &issuer)
}

/// Go's `x509.CreateCertificate` and the PEM of both halves.
fn issue(environment: &Environment, template: &Template, key: &Key, issuer: &Issuer<'_>) -> Outcome {
    let failed = |error: String| failure(format!("error creating certificate: {error}"));
    let unusable = || failed("x509: certificate private key does not implement crypto.Signer".to_owned());
    let (algorithm, bits) = key.public().ok_or_else(unusable)?;
    let subject = subject(&template.name)?;
    let mut serial = [0; 16];
    environment.fill(&mut serial)?;
    let now =
        Time::from_timestamp(environment.now(), environment.time_zone()).in_zone(crate::date::Zone::Utc);
    // Go: the validity is a duration, which overflows after 292 years.
    let valid = Duration(template.days.wrapping_mul(24 * 3_600_000_000_000));
    let until = now.plus(valid);
    let signature_algorithm = issuer.key.signature_algorithm();
    let own_id =
        template.authority.then(|| digest(&SHA256, bits).as_ref().get(..20).unwrap_or_default().to_vec());
    let issuer_id = issuer.key_id.as_deref().filter(|_| issuer.subject != subject);
    let extensions = extensions(template, own_id.as_deref(), issuer_id, subject == der::sequence(&[]))?;
    let body = der::sequence(&[
        &der::element(der::context(0), &[&der::unsigned(&[2])]),
        &der::unsigned(&serial),
        &signature_algorithm,
        &issuer.subject,
        &der::sequence(&[&time(&now).map_err(failed)?, &time(&until).map_err(failed)?]),
        &subject,
        &der::sequence(&[&algorithm, &der::bits(bits)]),
        &der::element(der::context(3), &[&extensions]),
    ]);
    let signature = issuer.key.sign(&body).map_err(failed)?;
    let certificate = der::sequence(&[&body, &signature_algorithm, &der::bits(&signature)]);
    let key = key.to_pem().map_err(|error| failure(format!("error pem-encoding key: {error}")))?;
    let cert = pem::encode("CERTIFICATE", &certificate).into_bytes();
    Ok(Value::Object(Rc::new(Certificate { cert, key: key.into_bytes() })))
}

/// A distinguished name of the common name only; an empty one is left out.
fn subject(name: &[u8]) -> Result<Vec<u8>, FuncError> {
    if name.is_empty() {
        return Ok(der::sequence(&[]));
    }
    if std::str::from_utf8(name).is_err() {
        return Err(failure("error creating certificate: asn1: string not valid UTF-8"));
    }
    let printable = name.iter().all(|b| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(b));
    let tag = if printable { der::PRINTABLE_STRING } else { der::UTF8_STRING };
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    let pair = der::sequence(&[&der::element(der::OBJECT_ID, &[COMMON_NAME]), &der::element(tag, &[name])]);
    Ok(der::sequence(&[&der::element(der::SET, &[&pair])]))
}

/// Two digits of the year up to 2049, four from then on.
fn time(time: &Time) -> Result<Vec<u8>, String> {
    let long = time.format(b"20060102150405Z");
    // Go: years beyond four digits have no form.
    if long.len() != 15 || long.starts_with(b"-") {
        return Err("asn1: structure error: cannot represent time as GeneralizedTime".to_owned());
    }
    let short = long.get(..4).is_some_and(|year| (&b"1950"[..]..&b"2050"[..]).contains(&year));
    Ok(match long.get(2..) {
        Some(text) if short => der::element(der::UTC_TIME, &[text]),
        _ => der::element(der::GENERALIZED_TIME, &[&long]),
    })
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { der::TRUE } else { &[] };
    der::sequence(&[
        &der::element(der::OBJECT_ID, &[oid]),
        critical,
        &der::element(der::OCTET_STRING, &[value]),
    ])
}

/// The extensions, in Go's order.
fn extensions(
    template: &Template,
    own_id: Option<&[u8]>,
    issuer_id: Option<&[u8]>,
    nameless: bool,
) -> Result<Vec<u8>, FuncError> {
    // Digital signature and key encipherment; an authority signs certificates too.
    let usage: &[u8] = if template.authority { &[2, 0xa4] } else { &[5, 0xa0] };
    let server = der::element(der::OBJECT_ID, &[&[0x2b, 6, 1, 5, 5, 7, 3, 1]]);
    let client = der::element(der::OBJECT_ID, &[&[0x2b, 6, 1, 5, 5, 7, 3, 2]]);
    let authority = if template.authority { der::TRUE } else { &[] };
    let mut all = vec![
        extension(&[0x55, 0x1d, 15], true, &der::element(der::BIT_STRING, &[usage])),
        extension(&[0x55, 0x1d, 37], false, &der::sequence(&[&server, &client])),
        extension(&[0x55, 0x1d, 19], true, &der::sequence(&[authority])),
    ];
    if let Some(id) = own_id {
        all.push(extension(SUBJECT_KEY_ID, false, &der::element(der::OCTET_STRING, &[id])));
    }
    if let Some(id) = issuer_id {
        all.push(extension(&[0x55, 0x1d, 35], false, &der::sequence(&[&der::element(0x80, &[id])])));
    }
    let mut names = Vec::new();
    for name in &template.dns {
        if !name.is_ascii() {
            let quoted = String::from_utf8_lossy(&go::quote(name)).into_owned();
            let text =
                format!("error creating certificate: x509: {quoted} cannot be encoded as an IA5String");
            return Err(failure(text));
        }
        names.extend(der::element(0x82, &[name]));
    }
    for address in &template.addresses {
        // Go: an IPv4 address written as IPv6 is the same as one written plainly.
        names.extend(match address.to_canonical() {
            IpAddr::V4(address) => der::element(0x87, &[&address.octets()]),
            IpAddr::V6(address) => der::element(0x87, &[&address.octets()]),
        });
    }
    if !names.is_empty() {
        all.push(extension(&[0x55, 0x1d, 17], nameless, &der::sequence(&[&names])));
    }
    Ok(der::sequence(&all.iter().map(Vec::as_slice).collect::<Vec<_>>()))
}

const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 14];

/// What signing needs of the certificate of an authority.
struct Parsed<'a> {
    /// The name, with its tag.
    subject: &'a [u8],
    public_key: &'a [u8],
    key_id: Option<&'a [u8]>,
}

impl<'a> Parsed<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let mut certificate = Reader(Reader(data).expect(der::SEQUENCE)?);
        let mut body = Reader(certificate.expect(der::SEQUENCE)?);
        certificate.expect(der::SEQUENCE)?;
        certificate.expect(der::BIT_STRING)?;
        body.optional(der::context(0));
        body.expect(der::INTEGER)?;
        body.expect(der::SEQUENCE)?;
        body.expect(der::SEQUENCE)?;
        body.expect(der::SEQUENCE)?;
        let (_, _, subject) = body.next().filter(|(tag, ..)| *tag == der::SEQUENCE)?;
        let mut info = Reader(body.expect(der::SEQUENCE)?);
        info.expect(der::SEQUENCE)?;
        let public_key = info.expect(der::BIT_STRING)?.get(1..)?;
        let mut key_id = None;
        while let Some((tag, contents, _)) = body.next() {
            if tag == der::context(3) {
                key_id = find_key_id(contents);
            }
        }
        Some(Self { subject, public_key, key_id })
    }
}

fn find_key_id(extensions: &[u8]) -> Option<&[u8]> {
    let mut extensions = Reader(Reader(extensions).expect(der::SEQUENCE)?);
    while let Some(extension) = extensions.expect(der::SEQUENCE) {
        let mut extension = Reader(extension);
        if extension.expect(der::OBJECT_ID)? == SUBJECT_KEY_ID {
            extension.optional(0x01);
            return Reader(extension.expect(der::OCTET_STRING)?).expect(der::OCTET_STRING);
        }
    }
    None
}
