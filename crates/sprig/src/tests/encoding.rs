//! Encodings, JSON, paths and URLs: what real sprig (v3.3.0, semver v3.5.0, Go 1.26) answers.

use super::{
    Expected::{self, Fails, Gives},
    check,
};

const CASES: &[(&str, Expected)] = &[
    (
        r#"{{ b64enc "hé" }} {{ b64dec "aGk=" }} {{ b64dec "aGk" }}|{{ b64dec "a=" }}|{{ b64dec "aG\nk=" }}|{{ b64dec "aGk=x" }}|{{ b64dec "!" }}|{{ b64dec "aG=x" }}|{{ b64dec "aG=" }}"#,
        Gives(
            "aMOp hi illegal base64 data at input byte 0|illegal base64 data at input byte 1|hi|illegal base64 data at input byte 4|illegal base64 data at input byte 0|illegal base64 data at input byte 2|illegal base64 data at input byte 3",
        ),
    ),
    (
        r#"{{ b32enc "hello" }} {{ b32enc "a" }} {{ b32dec "NBSWY3DP" }} {{ b32dec "ME======" }} {{ b32dec "ME" }}|{{ b32dec "me======" }}|{{ b32dec "M=======" }}|{{ b32dec "MEAAA==A" }}"#,
        Gives(
            "NBSWY3DP ME====== hello a illegal base32 data at input byte 0|illegal base32 data at input byte 0|illegal base32 data at input byte 1|illegal base32 data at input byte 6",
        ),
    ),
    (
        r#"{{ sha1sum "abc" }} {{ sha256sum "abc" }} {{ adler32sum "hello" }} {{ sha512sum "" | trunc 16 }}"#,
        Gives(
            "a9993e364706816aba3e25717850c26c9cd0d89d ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 103547413 cf83e1357eefb8bd",
        ),
    ),
    (
        r#"{{ toJson (dict "b" (list 1 1.5 nil true "<&>\u2028\u0001\"\\\n") "a" 1e21 "c" 1e-7 "é" "x") }} {{ mustToJson (list 1e20 0.000001 -0.0 12345678901.0) }} {{ toJson "\xff" }} {{ toJson 1i }}|{{ toRawJson "<a>" }} {{ mustToRawJson "&" }}"#,
        Gives(
            r#"{"a":1e+21,"b":[1,1.5,null,true,"\u003c\u0026\u003e\u2028\u0001\"\\\n"],"c":1e-7,"é":"x"} [100000000000000000000,0.000001,-0,12345678901] "\ufffd" |"<a>" "&""#,
        ),
    ),
    ("{{ mustToJson 1i }}", Fails("error calling mustToJson: json: unsupported type: complex128")),
    (
        "{{ toRawJson (list (mul 1 1) 2i) }}",
        Fails("error calling toRawJson: json: unsupported type: complex128"),
    ),
    (r#"{{ mustToJson (float64 "nan") }}"#, Fails("error calling mustToJson: json: unsupported value: NaN")),
    (
        r#"{{ toPrettyJson (dict "a" (list 1 (dict)) "b" (dict "c" (list))) }}{{ mustToPrettyJson "<" }}"#,
        Gives("{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": []\n  }\n}\"\\u003c\""),
    ),
    (
        r#"{{ fromJson "{\"a\":[1,2.5,\"\\u00e9\\ud83d\\ude00\",null,true]}" }} {{ fromJson "x" }}|{{ mustFromJson "[]" }} {{ mustFromJson "\"\\ud800x\"" }} {{ mustFromJson " 1e3 " }}"#,
        Gives("map[a:[1 2.5 é😀 <nil> true]] <no value>|[] �x 1000"),
    ),
    (r#"{{ mustFromJson "" }}"#, Fails("error calling mustFromJson: unexpected end of JSON input")),
    (
        r#"{{ mustFromJson "{\"a\":1,}" }}"#,
        Fails("error calling mustFromJson: invalid character '}' looking for beginning of object key string"),
    ),
    (
        r#"{{ mustFromJson "[1 2]" }}"#,
        Fails("error calling mustFromJson: invalid character '2' after array element"),
    ),
    (
        r#"{{ mustFromJson "tru" }}"#,
        Fails("error calling mustFromJson: invalid character ' ' in literal true (expecting 'e')"),
    ),
    (
        r#"{{ mustFromJson "'" }}"#,
        Fails(r#"error calling mustFromJson: invalid character '\'' looking for beginning of value"#),
    ),
    (
        r#"{{ mustFromJson "1." }}"#,
        Fails("error calling mustFromJson: invalid character ' ' after decimal point in numeric literal"),
    ),
    (
        r#"{{ mustFromJson "\"\\x\"" }}"#,
        Fails("error calling mustFromJson: invalid character 'x' in string escape code"),
    ),
    (
        r#"{{ mustFromJson "{} x" }}"#,
        Fails("error calling mustFromJson: invalid character 'x' after top-level value"),
    ),
    (
        r#"{{ mustFromJson "1e400" }}"#,
        Fails(
            "error calling mustFromJson: json: cannot unmarshal number 1e400 into Go value of type float64",
        ),
    ),
    (
        r#"{{ mustFromJson "\"a\nb\"" }}"#,
        Fails(r#"error calling mustFromJson: invalid character '\n' in string literal"#),
    ),
    (
        r#"{{ base "a/b.c" }} {{ base "" }} {{ base "//" }} {{ dir "a/b/c" }} {{ dir "a" }} {{ dir "/" }} {{ clean "a//b/../../../c/." }} {{ clean "/../a" }} {{ clean "" }} {{ ext "a.b/c" }}|{{ ext "a.tar.gz" }} {{ isAbs "/a" }} {{ osBase "/a/b" }} {{ osDir "/a/b" }} {{ osExt "a.b" }} {{ osClean "/a/../b" }} {{ osIsAbs "a" }}"#,
        Gives("b.c . / a/b . / ../c /a . |.gz true b /a .b /b false"),
    ),
    (
        r#"{{ urlParse "http://ad%20min:s%3Acret@server.com:8080/a%20pi?list=false&x=%20#an%20chor" | toJson }}"#,
        Gives(
            r#"{"fragment":"an chor","host":"server.com:8080","hostname":"server.com","opaque":"","path":"/a pi","query":"list=false\u0026x=%20","scheme":"http","userinfo":"ad%20min:s%3Acret"}"#,
        ),
    ),
    (
        r#"{{ urlParse "mailto:a@b" | toJson }} {{ (urlParse "http://[fe80::1%25en0]:80/").hostname }} {{ (urlParse "mongodb://a:1,b:2/x").host }}"#,
        Gives(
            r#"{"fragment":"","host":"","hostname":"","opaque":"a@b","path":"","query":"","scheme":"mailto","userinfo":""} fe80::1%en0 a:1,b:2"#,
        ),
    ),
    (
        r#"{{ urlParse "://x" }}"#,
        Fails(r#"error calling urlParse: unable to parse url: parse "://x": missing protocol scheme"#),
    ),
    (
        r#"{{ urlParse "http://h/%zz" }}"#,
        Fails(
            r#"error calling urlParse: unable to parse url: parse "http://h/%zz": invalid URL escape "%zz""#,
        ),
    ),
    (
        r#"{{ urlParse "a:b:c d" | toJson }} {{ urlParse "1a:b" }}"#,
        Fails(
            r#"error calling urlParse: unable to parse url: parse "1a:b": first path segment in URL cannot contain colon"#,
        ),
    ),
    (
        r#"{{ urlParse "http://h:port/" }}"#,
        Fails(
            r#"error calling urlParse: unable to parse url: parse "http://h:port/": invalid port ":port" after host"#,
        ),
    ),
    (
        r#"{{ urlParse "http://a b/" }}"#,
        Fails(
            r#"error calling urlParse: unable to parse url: parse "http://a b/": invalid character " " in host name"#,
        ),
    ),
    (
        r#"{{ urlParse "http://[::1" }}"#,
        Fails(r#"error calling urlParse: unable to parse url: parse "http://[::1": missing ']' in host"#),
    ),
    (
        r#"{{ urlParse "http://h\u0001" }}"#,
        Fails(
            r#"error calling urlParse: unable to parse url: parse "http://h\x01": net/url: invalid control character in URL"#,
        ),
    ),
    (
        r#"{{ urlJoin (dict "scheme" "http" "host" "h" "path" "a b" "userinfo" "u:p" "query" "q" "fragment" "f g") }} {{ urlJoin (dict "path" "a:b") }} {{ urlJoin (dict "opaque" "x" "scheme" "y") }} {{ urlJoin (dict) }}|"#,
        Gives("http://u:p@h/a%20b?q#f%20g ./a:b y:x |"),
    ),
    (
        r#"{{ urlJoin (dict "host" 5) }}"#,
        Fails("error calling urlJoin: unable to parse host key, must be of type string, but int found"),
    ),
    (
        r#"{{ urlJoin (dict "host" nil) }}"#,
        Fails("error calling urlJoin: runtime error: invalid memory address or nil pointer dereference"),
    ),
];

#[test]
fn cases() {
    check(CASES);
}
