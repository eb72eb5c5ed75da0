//! Versions and constraints: what real sprig (v3.3.0, semver v3.5.0, Go 1.26) answers.

use super::{
    Expected::{self, Fails, Gives},
    check,
};

const CASES: &[(&str, Expected)] = &[
    (
        r#"{{ $v := semver "v1.2.3-rc.1+b" }}{{ $v }} {{ $v.Major }} {{ $v.Minor }} {{ $v.Patch }} {{ $v.Prerelease }} {{ $v.Metadata }} {{ $v.Original }} {{ $v.IncMajor }} {{ $v.IncMinor }} {{ $v.IncPatch }} {{ typeOf $v.IncPatch }} {{ toJson $v }} {{ ($v.SetPrerelease "x").Metadata }} {{ $v.SetMetadata "y" }} {{ typeOf $v.Major }}"#,
        Gives(
            r#"1.2.3-rc.1+b 1 2 3 rc.1 b v1.2.3-rc.1+b 2.0.0 1.3.0 1.2.3 semver.Version "1.2.3-rc.1+b" b 1.2.3-rc.1+y uint64"#,
        ),
    ),
    (
        r#"{{ $a := semver "1.2.3" }}{{ $b := semver "1.2.4-a" }}{{ $a.Compare $b }} {{ $a.LessThan $b }} {{ $a.GreaterThan $b }} {{ $a.Equal $a }} {{ $b.Compare $a }} {{ semver "1" }} {{ semver "01.02" }}"#,
        Gives("-1 true false true 1 1.0.0 1.2.0"),
    ),
    (r#"{{ semver "" }}"#, Fails("error calling semver: invalid semantic version")),
    (r#"{{ semver "1.2.3.4" }}"#, Fails("error calling semver: invalid semantic version")),
    (r#"{{ semver "1.2.3-01" }}"#, Fails("error calling semver: version segment starts with 0")),
    (
        r#"{{ semver "1.2.18446744073709551616" }}"#,
        Fails(
            r#"error calling semver: error parsing version segment: strconv.ParseUint: parsing "18446744073709551616": value out of range"#,
        ),
    ),
    (
        r#"{{ (semver "1.2.3").SetPrerelease "a..b" }}"#,
        Fails("error calling SetPrerelease: invalid prerelease string"),
    ),
    (
        r#"{{ semverCompare ">=1.2.0" "1.3.0" }} {{ semverCompare ">=1.2.0" "1.3.0-beta" }} {{ semverCompare ">=1.2.0-0" "1.3.0-beta" }} {{ semverCompare "^1.2" "1.9.9" }} {{ semverCompare "^0.0.3" "0.0.4" }} {{ semverCompare "^0.2" "0.3.0" }} {{ semverCompare "~1.2.3" "1.3.0" }} {{ semverCompare "~1" "1.9" }} {{ semverCompare "1.x" "1.5.0" }} {{ semverCompare "*" "1.0.0-alpha" }}"#,
        Gives("true false true true false false false true true false"),
    ),
    (
        r#"{{ semverCompare ">1 <3 || =5" "5.0.0" }} {{ semverCompare ">1, <3" "2.5" }} {{ semverCompare "!=1.2.3" "1.2.3" }} {{ semverCompare "!=1.x" "2.0.0" }} {{ semverCompare "1.2 - 1.4" "1.4.9" }} {{ semverCompare ">1.2" "1.2.1" }} {{ semverCompare "<=1.2" "1.2.9" }} {{ semverCompare "=>1.0" "1.0.0" }} {{ semverCompare "~0.0.0" "7.0.0" }} {{ semverCompare "1.2.3" "v1.2.3+meta" }} {{ semverCompare ">1.0.0-alpha.2" "1.0.0-alpha.10" }}"#,
        Gives("true true false true true false true true true true true"),
    ),
    (r#"{{ semverCompare "" "1.0.0" }}"#, Fails(r#"error calling semverCompare: improper constraint: """#)),
    (
        r#"{{ semverCompare "bad" "1.0.0" }}"#,
        Fails(r#"error calling semverCompare: improper constraint: "bad""#),
    ),
    (r#"{{ semverCompare ">=1.0" "bad" }}"#, Fails("error calling semverCompare: invalid semantic version")),
    (
        r#"{{ semverCompare ">=1.2.3-01" "1.0.0" }}"#,
        Fails("error calling semverCompare: constraint parser error"),
    ),
];

#[test]
fn cases() {
    check(CASES);
}
