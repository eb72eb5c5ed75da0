//! Cryptography and chance, as far as the result can be told: what real sprig (v3.3.0, semver v3.5.0, Go 1.26) answers.

use super::{
    Expected::{self, Fails, Gives},
    check,
};

const CASES: &[(&str, Expected)] = &[
    (
        r#"{{ derivePassword 1 "long" "password" "user" "example.com" }} {{ derivePassword 2 "maximum" "password" "user" "example.com" }} {{ derivePassword 1 "nope" "p" "u" "s" }}"#,
        Gives("ZedaFaxcZaso9* O8-6Bwz1*I5XVPPq)@H! cannot find password template nope"),
    ),
    (
        r#"{{ decryptAES "secretkey" "30tEfhuJSVRhpG97XCuWgz2okj7L8vQ1s6V9zVUPeDQ=" }} {{ decryptAES "k" "" }}|{{ encryptAES "k" "" }}|{{ encryptAES "k" "hi" | decryptAES "k" }} {{ encryptAES "k" "0123456789abcdef" | b64dec | len }}"#,
        Gives("plaintext ||hi 48"),
    ),
    (
        r#"{{ decryptAES "k" "cGxhaW4=" }}"#,
        Fails("error calling decryptAES: runtime error: slice bounds out of range [:16] with capacity 6"),
    ),
    (r#"{{ decryptAES "k" "!" }}"#, Fails("error calling decryptAES: illegal base64 data at input byte 0")),
    (
        r#"{{ decryptAES "k" "MDEyMzQ1Njc4OWFiY2RlZjAx" }}"#,
        Fails("error calling decryptAES: crypto/cipher: input not full blocks"),
    ),
    (
        r#"{{ decryptAES "k" "MDEyMzQ1Njc4OWFiY2RlZg==" }}"#,
        Fails("error calling decryptAES: runtime error: index out of range [-1]"),
    ),
    (
        r#"{{ bcrypt "x" | len }} {{ bcrypt "x" | trunc 7 }} {{ bcrypt (repeat 73 "a") }} {{ htpasswd "u" "p" | trunc 9 }} {{ htpasswd "a:b" "p" }}"#,
        Gives(
            "60 $2a$10$ failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes u:$2a$10$ invalid username: a:b",
        ),
    ),
    (
        r#"{{ genPrivateKey "ed25519" | splitList "\n" | first }} {{ genPrivateKey "ecdsa" | splitList "\n" | first }} {{ genPrivateKey "xyz" }}"#,
        Gives("-----BEGIN PRIVATE KEY----- -----BEGIN EC PRIVATE KEY----- Unknown type xyz"),
    ),
    (
        r#"{{ $k := genPrivateKey "ecdsa" }}{{ $ca := genCAWithKey "my-ca" 365 $k }}{{ $c := genSignedCertWithKey "cn" (list "10.0.0.1" "::1") (list "a.b") 1 $ca $k }}{{ $ca.Cert | splitList "\n" | first }} {{ eq $c.Key $k }} {{ typeOf $c }} {{ kindOf $c }} {{ (buildCustomCert (b64enc $ca.Cert) (b64enc $ca.Key)).Cert | eq $ca.Cert }} {{ (genSelfSignedCertWithKey "x" nil nil 1 $k).Key | eq $k }}"#,
        Gives("-----BEGIN CERTIFICATE----- true sprig.certificate struct true true"),
    ),
    (
        r#"{{ genSelfSignedCert "cn" (list "bad") nil 1 }}"#,
        Fails("error calling genSelfSignedCert: error parsing ip: bad"),
    ),
    (
        r#"{{ genSelfSignedCert "cn" (list 5) nil 1 }}"#,
        Fails("error calling genSelfSignedCert: error parsing ip: 5 is not a string"),
    ),
    (
        r#"{{ genSelfSignedCert "cn" nil (list 5) 1 }}"#,
        Fails("error calling genSelfSignedCert: error processing alternate dns name: 5 is not a string"),
    ),
    (
        r#"{{ genSelfSignedCert "cn" nil (list "é") 1 }}"#,
        Fails(
            r#"error calling genSelfSignedCert: error creating certificate: x509: "é" cannot be encoded as an IA5String"#,
        ),
    ),
    (
        r#"{{ genCAWithKey "x" 1 "nope" }}"#,
        Fails("error calling genCAWithKey: parsing private key: no PEM data in input"),
    ),
    (
        r#"{{ buildCustomCert "x" "y" }}"#,
        Fails("error calling buildCustomCert: unable to decode base64 certificate"),
    ),
    (
        r#"{{ randAlphaNum 10 | len }} {{ randAlpha 7 | len }} {{ randNumeric 5 | len }} {{ randAscii 9 | len }} {{ randAlphaNum -1 }}|{{ regexMatch "^[A-Za-z0-9]{20}$" (randAlphaNum 20) }} {{ randBytes 3 | len }} {{ shuffle "aaa" }} {{ randInt 3 4 }} {{ uuidv4 | len }} {{ now | kindOf }} {{ ago (now) }} {{ getHostByName "localhost" | empty | kindOf }}"#,
        Gives("10 7 5 9 |true 4 aaa 3 36 struct 0s bool"),
    ),
    ("{{ randBytes -1 }}", Fails("error calling randBytes: runtime error: makeslice: len out of range")),
];

#[test]
fn cases() {
    check(CASES);
}
