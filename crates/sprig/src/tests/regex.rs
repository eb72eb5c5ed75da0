//! Regular expressions: what real sprig (v3.3.0, semver v3.5.0, Go 1.26) answers.

use super::{
    Expected::{self, Fails, Gives},
    check,
};

const CASES: &[(&str, Expected)] = &[
    (
        r#"{{ regexMatch "^a.c$" "abc" }} {{ regexMatch "[" "a" }} {{ mustRegexMatch "a+" "xaay" }}"#,
        Gives("true false true"),
    ),
    (
        r#"{{ mustRegexMatch "[" "a" }}"#,
        Fails("error calling mustRegexMatch: error parsing regexp: missing closing ]: `[`"),
    ),
    (
        r#"{{ regexFind "a(" "a" }}"#,
        Fails(
            "error calling regexFind: regexp: Compile(`a(`): error parsing regexp: missing closing ): `a(`",
        ),
    ),
    (
        r#"{{ regexFind "a\tb`(" "" }}"#,
        Fails(
            "error calling regexFind: regexp: Compile(\"a\\tb`(\"): error parsing regexp: missing closing ): `a\tb`(`",
        ),
    ),
    (
        r#"{{ mustRegexFind "a**" "a" }}"#,
        Fails("error calling mustRegexFind: error parsing regexp: invalid nested repetition operator: `**`"),
    ),
    (
        r#"{{ mustRegexFind "*a" "a" }}"#,
        Fails(
            "error calling mustRegexFind: error parsing regexp: missing argument to repetition operator: `*`",
        ),
    ),
    (
        r#"{{ mustRegexFind "(?P<n>a" "a" }}"#,
        Fails("error calling mustRegexFind: error parsing regexp: missing closing ): `(?P<n>a`"),
    ),
    (
        r#"{{ mustRegexFind "a)" "a" }}"#,
        Fails("error calling mustRegexFind: error parsing regexp: unexpected ): `a)`"),
    ),
    (
        r#"{{ mustRegexFind "(?z)a" "a" }}"#,
        Fails("error calling mustRegexFind: error parsing regexp: invalid or unsupported Perl syntax: `(?z`"),
    ),
    (
        r#"{{ mustRegexFind "\\8" "a" }}"#,
        Fails(r#"error calling mustRegexFind: error parsing regexp: invalid escape sequence: `\8`"#),
    ),
    (
        r#"{{ mustRegexFind "\\" "a" }}"#,
        Fails(
            "error calling mustRegexFind: error parsing regexp: trailing backslash at end of expression: ``",
        ),
    ),
    (
        r#"{{ mustRegexFind "[b-a]" "a" }}"#,
        Fails("error calling mustRegexFind: error parsing regexp: invalid character class range: `b-a`"),
    ),
    (
        r#"{{ mustRegexFind "[[:foo:]]" "a" }}"#,
        Fails("error calling mustRegexFind: error parsing regexp: invalid character class range: `[:foo:]`"),
    ),
    (
        r#"{{ mustRegexFind "\\p{Foo}" "a" }}"#,
        Fails(
            r#"error calling mustRegexFind: error parsing regexp: invalid character class range: `\p{Foo}`"#,
        ),
    ),
    (
        r#"{{ mustRegexFind "(x{100}){100}" "a" }}"#,
        Fails("error calling mustRegexFind: error parsing regexp: invalid repeat count: `{100}`"),
    ),
    (
        r#"{{ mustRegexFind "x{2,1}" "a" }}"#,
        Fails("error calling mustRegexFind: error parsing regexp: invalid repeat count: `{2,1}`"),
    ),
    (
        r#"{{ regexFind "[0-9]+" "ab12c3" }}|{{ mustRegexFind "(?i)HELLO" "say Hello" }}|{{ regexFind "(?U)a+" "aaa" }}|{{ regexFind "a(?i)*" "aaA" }}|{{ regexFind "a{,2}" "a{,2}" }}"#,
        Gives("12|Hello|a|aa|a{,2}"),
    ),
    (
        r#"{{ regexFind "[a&&b]+" "a&b" }}|{{ regexFind "[^\\d\\s]+" "12 ab3" }}|{{ regexFind "\\w+" "éa_1" }}|{{ regexFind "\\pL+" "1é☃" }}|{{ regexFind "[[:^alpha:]]+" "ab12" }}|{{ regexFind "\\Qa.b\\E+" "a.bb" }}"#,
        Gives("a&b|ab|a_1|é|12|a.bb"),
    ),
    (
        r#"{{ regexFindAll "a*" "baac" -1 | toJson }} {{ regexFindAll "[a-c]" "abcabc" 2 | toJson }} {{ regexFindAll "x" "abc" -1 | toJson }} {{ mustRegexFindAll "\\B" "aé b" -1 | len }}"#,
        Gives(r#"["","aa",""] ["a","b"] null 1"#),
    ),
    (
        r#"{{ regexSplit "z+" "pizza" -1 | toJson }} {{ regexSplit "a" "banana" 2 | toJson }} {{ regexSplit "a" "banana" 0 | toJson }} {{ regexSplit "" "abc" -1 | toJson }} {{ mustRegexSplit "x*" "axbxc" -1 | toJson }} {{ regexSplit "a" "" -1 | toJson }}"#,
        Gives(r#"["pi","a"] ["b","nana"] null ["a","b","c"] ["a","b","c"] [""]"#),
    ),
    (
        r#"{{ regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W" }} {{ regexReplaceAll "a(x*)b" "-ab-axxb-" "$1W" }} {{ regexReplaceAll "(?P<n>x)" "axb" "[$n]" }} {{ mustRegexReplaceAll "a" "aaa" "$$-$-${-$01" }} {{ regexReplaceAll "" "aé" "-" }} {{ regexReplaceAll "a*" "baaac" "x" }}"#,
        Gives("-W-xxW- --- a[x]b $-$-${-$-$-${-$-$-${- -a-é- xbxcx"),
    ),
    (
        r#"{{ regexReplaceAllLiteral "a(x*)b" "-ab-axxb-" "${1}" }} {{ mustRegexReplaceAllLiteral "(?m)^" "a\nb" "> " }}"#,
        Gives("-${1}-${1}- > a\n> b"),
    ),
    (r#"{{ regexQuoteMeta "a.b[c]{d}^$*+?()|\\" }}"#, Gives(r#"a\.b\[c\]\{d\}\^\$\*\+\?\(\)\|\\"#)),
];

#[test]
fn cases() {
    check(CASES);
}
