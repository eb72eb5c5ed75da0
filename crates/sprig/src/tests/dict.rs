//! Dictionaries, defaults and reflection: what real sprig (v3.3.0, semver v3.5.0, Go 1.26) answers.

use super::{
    Expected::{self, Fails, Gives},
    check,
};

const CASES: &[(&str, Expected)] = &[
    (
        r#"{{ dict "a" 1 2 "b" "c" }} {{ dict nil 1 }} {{ dict | toJson }}"#,
        Gives("map[2:b a:1 c:] map[<nil>:1] {}"),
    ),
    (
        r#"{{ $d := dict "a" 1 }}{{ get $d "a" }}|{{ get $d "z" }}|{{ set $d "b" 2 }}|{{ $d }}|{{ unset $d "a" }}|{{ hasKey $d "b" }}{{ hasKey $d "a" }}"#,
        Gives("1||map[a:1 b:2]|map[a:1 b:2]|map[b:2]|truefalse"),
    ),
    (r#"{{ set nil "a" 1 }}"#, Fails("error calling set: assignment to entry in nil map")),
    (r#"{{ unset nil "a" | toJson }} {{ get nil "a" }}|"#, Gives("null |")),
    (
        r#"{{ pluck "a" (dict "a" 1) (dict "b" 2) (dict "a" 3) }} {{ keys (dict "b" 1 "a" 2) | sortAlpha }} {{ values (dict "a" 1) }} {{ pick (dict "a" 1 "b" 2) "a" "z" }} {{ omit (dict "a" 1 "b" 2) "a" }}"#,
        Gives("[1 3] [a b] [1] map[a:1] map[b:2]"),
    ),
    (
        r#"{{ get (split "," "a") "_0" }}"#,
        Fails("wrong type for value; expected map[string]interface {}; got map[string]string"),
    ),
    (
        r#"{{ merge (dict "a" 1 "n" (dict "x" 1)) (dict "a" 2 "b" 3 "n" (dict "x" 2 "y" 2)) }} {{ mustMerge (dict "a" 0 "l" (list) "n" nil) (dict "a" 5 "l" (list 1) "n" (dict "k" 1)) }} {{ merge (dict "a" (list 1)) (dict "a" (list 2) "b" (list)) (dict "c" nil) }} {{ merge (dict "a" "s") (dict "a" (dict "b" 1)) }}"#,
        Gives("map[a:1 b:3 n:map[x:1 y:2]] map[a:5 l:[1] n:map[k:1]] map[a:[1] b:[]] map[a:s]"),
    ),
    (
        r#"{{ mergeOverwrite (dict "a" 1 "m" (dict "x" 1 "y" 2)) (dict "a" 0 "m" (dict "x" nil)) }} {{ mustMergeOverwrite (dict "a" (dict "b" 1)) (dict "a" (dict)) }} {{ mergeOverwrite (dict "a" (list 1)) (dict "a" (list)) }} {{ mergeOverwrite (dict "a" (dict "b" 1)) (dict "a" 5) }}"#,
        Gives("map[a:0 m:map[x:<nil> y:2]] map[a:map[b:1]] map[a:[]] map[a:5]"),
    ),
    (
        r#"{{ $s := dict "n" (dict "x" 1) }}{{ $t := merge (dict) $s }}{{ $_ := set $t.n "y" 2 }}{{ $s }}"#,
        Gives("map[n:map[x:1 y:2]]"),
    ),
    (
        r#"{{ merge nil (dict "a" 1) }} {{ merge (dict "d" (semver "1.2.3")) (dict "d" (dict "a" 1)) | toJson }}"#,
        Gives(r#"map[a:1] """#),
    ),
    (
        r#"{{ mustMerge (dict "d" (semver "1.2.3")) (dict "d" (dict "a" 1)) }}"#,
        Fails("error calling mustMerge: src and dst must be of same type"),
    ),
    (
        r#"{{ dig "a" "b" "def" (dict "a" (dict "b" "v")) }} {{ dig "a" "z" "def" (dict "a" (dict)) }} {{ dig "a" nil (dict "a" nil) }}|"#,
        Gives("v def <no value>|"),
    ),
    (r#"{{ dig "a" (dict) }}"#, Fails("error calling dig: dig needs at least three arguments")),
    (
        r#"{{ dig "a" "b" "def" (dict "a" nil) }}"#,
        Fails("error calling dig: interface conversion: interface {} is nil, not map[string]interface {}"),
    ),
    (
        r#"{{ dig 1 "def" (dict) }}"#,
        Fails("error calling dig: interface conversion: interface {} is int, not string"),
    ),
    (
        r#"{{ $a := dict "x" (dict "y" 1) }}{{ $b := deepCopy $a }}{{ $_ := set $b.x "y" 2 }}{{ $a }}{{ $b }} {{ mustDeepCopy (list 1 nil) }} {{ deepCopy (semver "1.2.3") }}"#,
        Gives("map[x:map[y:1]]map[x:map[y:2]] [1 <nil>] 0.0.0"),
    ),
    (
        "{{ deepCopy nil }}",
        Fails("error calling deepCopy: reflect: call of reflect.Value.Type on zero Value"),
    ),
    (
        r#"{{ default "d" "" }} {{ default "d" 0 }} {{ default "d" "x" "y" }} {{ default "d" }} {{ empty (list) }} {{ empty (dict "a" 1) }} {{ empty nil }} {{ coalesce 0 "" nil 3 4 }} {{ coalesce nil }}|{{ all 1 "a" }} {{ all }} {{ any 0 "" }} {{ any 0 1 }} {{ ternary 1 2 true }} {{ ternary 1 2 false }}"#,
        Gives("d d x d true false true 3 <no value>|true true false true 1 2"),
    ),
    (
        r#"{{ typeOf 1 }} {{ typeOf 1.5 }} {{ typeOf nil }} {{ typeOf (list) }} {{ typeOf (dict) }} {{ typeOf (split "," "a") }} {{ typeOf (semver "1.2.3") }} {{ typeIs "int" 1 }} {{ typeIsLike "semver.Version" (semver "1.2.3") }} {{ kindOf nil }} {{ kindOf (semver "1.2.3") }} {{ kindIs "map" (dict) }} {{ deepEqual (list 1) (list 1) }} {{ deepEqual 1 1.0 }} {{ deepEqual (list) (rest (list)) }}"#,
        Gives(
            "int float64 <nil> []interface {} map[string]interface {} map[string]string *semver.Version true true invalid ptr true true false false",
        ),
    ),
];

#[test]
fn cases() {
    check(CASES);
}
