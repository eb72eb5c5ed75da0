//! Numbers: what real sprig (v3.3.0, semver v3.5.0, Go 1.26) answers.

use super::{
    Expected::{self, Fails, Gives},
    check,
};

const CASES: &[(&str, Expected)] = &[
    (
        r#"{{ int "0x1F" }} {{ int "010" }} {{ int "1_000" }} {{ int "5.00" }} {{ int "1.5" }} {{ int 2.9 }} {{ int -2.9 }} {{ int true }} {{ int nil }} {{ int (list) }} {{ int 1e19 }} {{ int64 "-7" }} {{ int "9223372036854775808" }}"#,
        Gives("31 8 1000 5 0 2 -2 1 0 0 -9223372036854775808 -7 0"),
    ),
    (
        r#"{{ float64 "1e3" }} {{ float64 "0x1p4" }} {{ float64 "0x10" }} {{ float64 "inf" }} {{ float64 "1e400" }} {{ float64 "1_0" }} {{ float64 true }} {{ float64 nil }} {{ float64 3 }}"#,
        Gives("1000 16 0 +Inf 0 10 1 0 3"),
    ),
    (
        r#"{{ atoi "42" }} {{ atoi "x" }} {{ atoi "99999999999999999999" }} {{ atoi "0x10" }} {{ toDecimal "755" }} {{ toDecimal 777 }} {{ toDecimal "9" }} {{ toDecimal nil }}"#,
        Gives("42 0 9223372036854775807 0 493 511 0 0"),
    ),
    (
        r#"{{ add }} {{ add 1 "2" 3.9 }} {{ add1 9223372036854775807 }} {{ sub 1 5 }} {{ mul 2 3 4 }} {{ div -7 2 }} {{ mod -7 2 }} {{ add 1 | typeOf }}"#,
        Gives("0 6 -9223372036854775808 -4 24 -3 -1 int64"),
    ),
    ("{{ div 1 0 }}", Fails("error calling div: runtime error: integer divide by zero")),
    ("{{ mod 1 0 }}", Fails("error calling mod: runtime error: integer divide by zero")),
    (
        r#"{{ max 1 5 3 }} {{ biggest 2 9 }} {{ min 4 2 8 }} {{ max "x" }} {{ maxf 1.5 2.5 }} {{ minf 1.5 "0.5" }} {{ maxf "nan" 1 }}"#,
        Gives("5 9 2 0 2.5 0.5 NaN"),
    ),
    (
        "{{ addf 0.1 0.2 }} {{ add1f 1.5 }} {{ subf 1 0.9 }} {{ mulf 1.1 1.1 }} {{ divf 1 3 }} {{ divf 2 3 }} {{ addf 1e300 1e300 1e-300 }} {{ divf 1 1e300 }} {{ mulf 1e200 1e200 }}",
        Gives("0.3 2.5 0.1 1.21 0.3333333333333333 0.6666666666666667 2e+300 0 +Inf"),
    ),
    ("{{ divf 1 0 }}", Fails("error calling divf: decimal division by 0")),
    (r#"{{ addf "inf" 1 }}"#, Fails("error calling addf: Cannot create a Decimal from +Inf")),
    (
        "{{ ceil 1.2 }} {{ floor -1.2 }} {{ round 2.5 0 }} {{ round -2.5 0 }} {{ round 123.555 2 }} {{ round 1.4 0 0.3 }} {{ round 1234.5 -2 }} {{ round 0.1 30 }}",
        Gives("2 -2 3 -3 123.56 2 1200 0.1"),
    ),
    (
        "{{ until 3 }} {{ until -3 }} {{ untilStep 0 10 3 }} {{ untilStep 10 0 -4 }} {{ untilStep 0 5 0 }} {{ typeOf (until 2) }}",
        Gives("[0 1 2] [0 -1 -2] [0 3 6 9] [10 6 2] [] []int"),
    ),
    (
        "{{ seq }}|{{ seq 3 }}|{{ seq 0 }}|{{ seq -2 }}|{{ seq 2 5 }}|{{ seq 5 2 }}|{{ seq 0 2 7 }}|{{ seq 7 -2 0 }}|{{ seq 5 2 0 }}|{{ seq 1 2 3 4 }}",
        Gives("|1 2 3|1 0|1 0 -1 -2|2 3 4 5|5 4 3 2|0 2 4 6|7 5 3 1||"),
    ),
    ("{{ randInt 5 5 }}", Fails("error calling randInt: invalid argument to Intn")),
];

#[test]
fn cases() {
    check(CASES);
}
