//! Strings and case styles: what real sprig (v3.3.0, semver v3.5.0, Go 1.26) answers.

use super::{
    Expected::{self, Fails, Gives},
    check,
};

const CASES: &[(&str, Expected)] = &[
    ("{{ hello }}", Gives("Hello!")),
    (
        r#"{{ trim " \t x y\u00a0 " }}|{{ trimAll "$-" "$-a-$" }}|{{ trimall "x" "xax" }}|{{ trimPrefix "a" "aab" }}|{{ trimSuffix "b" "abb" }}"#,
        Gives("x y|a|a|ab|ab"),
    ),
    (
        r#"{{ upper "straße ŉ ǆ" }} {{ lower "ÀİẞΣ" }} {{ title "it's hello_world 1st ǆ" }} {{ untitle "Hello World\tÀb" }}"#,
        Gives("STRAßE ŉ Ǆ àißσ It'S Hello_world 1st ǅ hello world\tàb"),
    ),
    (r#"{{ repeat 3 "ab" }}|{{ repeat 0 "ab" }}"#, Gives("ababab|")),
    (r#"{{ repeat -1 "a" }}"#, Fails("error calling repeat: strings: negative Repeat count")),
    (
        r#"{{ substr 0 5 "hello world" }}|{{ substr -1 3 "hello" }}|{{ substr 2 -1 "hello" }}|{{ substr 1 99 "hello" }}"#,
        Gives("hello|hel|llo|ello"),
    ),
    (
        r#"{{ substr -1 9 "abc" }}"#,
        Fails("error calling substr: runtime error: slice bounds out of range [:9] with length 3"),
    ),
    (
        r#"{{ substr 3 2 "abcd" }}"#,
        Fails("error calling substr: runtime error: slice bounds out of range [3:2]"),
    ),
    (
        r#"{{ substr 5 -1 "abc" }}"#,
        Fails("error calling substr: runtime error: slice bounds out of range [5:3]"),
    ),
    (
        r#"{{ substr -1 -1 "abc" }}"#,
        Fails("error calling substr: runtime error: slice bounds out of range [:-1]"),
    ),
    (
        r#"{{ trunc 3 "hello" }}|{{ trunc -3 "hello" }}|{{ trunc -9 "hello" }}|{{ trunc 1 "é" | quote }}"#,
        Gives(r#"hel|llo|hello|"\xc3""#),
    ),
    (r#"{{ nospace "a é b" }}|{{ nospace "é" }}|{{ initials "foo élan  bar" }}"#, Gives("aÃ©b|é|fÃb")),
    (r#"{{ swapcase "Hello wORLD ǅ éa" }}"#, Gives("hELLO World ǆ ÉA")),
    (
        r#"{{ abbrev 5 "hello world" }}|{{ abbrev 3 "hello" }}|{{ abbrevboth 5 10 "1234 5678 9123" }}|{{ abbrevboth 7 9 "abcdefghijklmnop" }}|{{ abbrevboth -3 6 "abcdefghij" }}"#,
        Gives("he...|hello|...5678...|...hij...|abc..."),
    ),
    (
        r#"{{ wrap 5 "hello world foo" }}|{{ wrap 3 "abcdef gh  i" }}|{{ wrap 0 "a b" }}|{{ wrapWith 3 "\n--" "abcdef gh" }}|{{ wrapWith 2 "" "abcd" }}"#,
        Gives("hello\nworld\nfoo|abcdef\ngh \ni|a\nb|abc\n--def\n--gh|ab\ncd"),
    ),
    (
        r#"{{ contains "b" "abc" }} {{ hasPrefix "b" "abc" }} {{ hasSuffix "c" "abc" }}"#,
        Gives("true false true"),
    ),
    (
        r#"{{ quote "a\"b" 1 nil 2.5 (list 1 "x") "\u200b☃" }}|{{ squote "it's" nil 1 }}|{{ cat "a" nil 1 (list) true }}"#,
        Gives(r#""a\"b" "1" "2.5" "[1 x]" "\u200b☃"|'it's' '1'|a 1 [] true"#),
    ),
    (r#"{{ indent 2 "a\n\nb\n" }}|{{ nindent 1 "a" }}"#, Gives("  a\n  \n  b\n  |\n a")),
    (r#"{{ indent -1 "a" }}"#, Fails("error calling indent: strings: negative Repeat count")),
    (r#"{{ replace "a" "b" "banana" }}|{{ replace "" "-" "aé" }}"#, Gives("bbnbnb|-a-é-")),
    (r#"{{ plural "one" "many" 1 }} {{ plural "one" "many" 2 }}"#, Gives("one many")),
    (
        "{{ toString nil }}|{{ toString 1e6 }}|{{ toString (list 1 nil) }}|{{ toString (until 3) }}",
        Gives("<nil>|1e+06|[1 <nil>]|[0 1 2]"),
    ),
    (
        r#"{{ toStrings (list 1 nil "a") | toJson }} {{ toStrings "x" }} {{ toStrings nil | toJson }} {{ toStrings (dict "a" 1) }}"#,
        Gives(r#"["1","a"] [x] [] [map[a:1]]"#),
    ),
    (
        r#"{{ join "-" (list 1 nil "a") }}|{{ join "-" "x" }}|{{ join "," (until 3) }}|{{ join "," (dict "a" 1) }}"#,
        Gives("1-a|x|0,1,2|map[a:1]"),
    ),
    (
        r#"{{ sortAlpha (list "b" 1 nil "a") }}|{{ sortAlpha nil }}|{{ sortAlpha 5 }}"#,
        Gives("[1 a b]|[<nil>]|[5]"),
    ),
    (
        r#"{{ split "," "a,,b" }}|{{ (split "," "a,b")._1 }}|{{ split "" "aé" }}|{{ splitn "," 2 "a,b,c" }}|{{ splitn "," 0 "a" }}|{{ splitn "" 2 "abc" }}"#,
        Gives("map[_0:a _1: _2:b]|b|map[_0:a _1:é]|map[_0:a _1:b,c]|map[]|map[_0:a _1:bc]"),
    ),
    (
        r#"{{ splitList "," "" | toJson }} {{ splitList "" "aé" | toJson }} {{ splitList "" "" | toJson }} {{ typeOf (splitList "," "a") }}"#,
        Gives(r#"[""] ["a","é"] [] []string"#),
    ),
    (
        r#"{{ snakecase "FirstName HTTPServer NoHTTPS GO_PATH http2xx HTTP20xOK Duration2m3s Bld4Floor3rd" }}"#,
        Gives("first_name_http_server_no_https_go_path_http_2xx_http_20x_ok_duration_2m3s_bld4_floor_3rd"),
    ),
    (
        r#"{{ kebabcase "FirstName HTTP20xOK a.bC ÀéÎ 中文Ab 1A" }}"#,
        Gives("first-name-http-20x-ok-a.b-c-àé-î-中文-ab-1-a"),
    ),
    (
        r#"{{ camelcase "first_name" }} {{ camelcase "__foo--bar baz__" }} {{ camelcase "GOLANG_IS_GREAT" }} {{ camelcase "a" }} {{ camelcase "__" }}"#,
        Gives("FirstName __Foo-BarBaz__ GolangIsGreat A ___"),
    ),
    (r#"{{ fail "boom" }}"#, Fails("error calling fail: boom")),
];

#[test]
fn cases() {
    check(CASES);
}
