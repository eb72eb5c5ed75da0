//! Lists: what real sprig (v3.3.0, semver v3.5.0, Go 1.26) answers.

use super::{
    Expected::{self, Fails, Gives},
    check,
};

const CASES: &[(&str, Expected)] = &[
    (r#"{{ list 1 "a" nil }} {{ tuple 1 2 }} {{ list | toJson }}"#, Gives("[1 a <nil>] [1 2] []")),
    (
        r#"{{ append (list 1) 2 }} {{ push (until 2) "x" }} {{ mustAppend (list) nil }} {{ mustPush (list 1) (list) }} {{ prepend (list 1) 0 }} {{ mustPrepend (list) 0 }}"#,
        Gives("[1 2] [0 1 x] [<nil>] [1 []] [0 1] [0]"),
    ),
    (r#"{{ append "x" 1 }}"#, Fails("error calling append: Cannot push on type string")),
    (
        "{{ prepend nil 1 }}",
        Fails("error calling prepend: runtime error: invalid memory address or nil pointer dereference"),
    ),
    (
        "{{ first (list 1 2) }} {{ last (list 1 2) }} {{ rest (list 1 2 3) }} {{ initial (list 1 2 3) }} {{ rest (list) | toJson }} {{ initial (list) | toJson }} {{ mustFirst (list 9) }} {{ mustLast (list 9) }} {{ mustRest (list 1 2) }} {{ mustInitial (list 1 2) }}",
        Gives("1 2 [2 3] [1 2] null null 9 9 [2] [1]"),
    ),
    ("{{ first 5 }}", Fails("error calling first: Cannot find first on type int")),
    (
        r#"{{ reverse (list 1 2 3) }} {{ mustReverse (until 3) }} {{ compact (list 0 1 "" "a" nil (list)) }} {{ mustCompact (list) | toJson }}"#,
        Gives("[3 2 1] [2 1 0] [1 a] []"),
    ),
    (
        r#"{{ uniq (list 1 1 1.0 "1" (list 1) (list 1)) }} {{ mustUniq (list "a" "b" "a") }} {{ without (list 1 2 3) 2 9 }} {{ mustWithout (list 1 1.0) 1 }}"#,
        Gives("[1 1 1 [1]] [a b] [1 3] [1]"),
    ),
    (
        r#"{{ has 1 (list 1 2) }} {{ has 1.0 (list 1) }} {{ mustHas "a" nil }} {{ has 2 (until 3) }}"#,
        Gives("true false false true"),
    ),
    (r#"{{ has 1 "x" }}"#, Fails("error calling has: Cannot find has on type string")),
    (
        r#"{{ slice (list 1 2 3) 1 }} {{ slice (list 1 2 3) "1" 2 }} {{ mustSlice (splitList "," "a,b,c") 1 | typeOf }} {{ slice (list) 5 }}|"#,
        Gives("[2 3] [2] []string <no value>|"),
    ),
    (
        "{{ slice (list 1 2 3) 2 9 }}",
        Fails("error calling slice: reflect.Value.Slice: slice index out of bounds"),
    ),
    (
        r#"{{ slice "abc" 1 }}"#,
        Fails("error calling slice: list should be type of slice or array but string"),
    ),
    (
        "{{ concat (list 1) (until 2) (list) }} {{ concat | toJson }} {{ concat (list) | toJson }}",
        Gives("[1 0 1] null null"),
    ),
    (r#"{{ concat "x" }}"#, Fails("error calling concat: Cannot concat type string as list")),
    (
        "{{ chunk 2 (list 1 2 3) }} {{ mustChunk 3 (list 1 2 3) | toJson }} {{ chunk 2 (list) | toJson }} {{ typeOf (chunk 1 (list 1)) }} {{ chunk -3 (list 1 2 3 4) }} {{ chunk -3 (list 1) }}",
        Gives("[[1 2] [3]] [[1,2,3]] [] [][]interface {} [] [[1]]"),
    ),
    ("{{ chunk 0 (list 1) }}", Fails("error calling chunk: runtime error: makeslice: len out of range")),
    (r#"{{ mustChunk 1 "x" }}"#, Fails("error calling mustChunk: Cannot chunk type string")),
];

#[test]
fn cases() {
    check(CASES);
}
