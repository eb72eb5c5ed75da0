//! Templates that ask for too much end with an error, in little time and memory.

use pintle_gotemplate::ErrorKind;

use super::render;
use crate::Environment;

#[test]
fn absurd_sizes_are_refused() {
    for template in [
        r#"{{ repeat 100000000 "abcdefgh" }}"#,
        r#"{{ indent 1000000000 "a" }}"#,
        r#"{{ until 100000000 }}"#,
        r#"{{ untilStep 0 9223372036854775807 1 }}"#,
        r#"{{ seq 1 9223372036854775806 }}"#,
        r#"{{ randAlphaNum 9223372036854775807 }}"#,
        r#"{{ randBytes 9223372036854775807 }}"#,
        r#"{{ replace "" (repeat 1000000 "x") (repeat 1000 "a") }}"#,
        r#"{{ regexReplaceAll "a" (repeat 1000 "a") (repeat 1000000 "x") }}"#,
        r#"{{ splitList "" (repeat 1000001 "a") }}"#,
        r#"{{ wrapWith 1 (repeat 1000000 "x") (repeat 1000 "a") }}"#,
        r#"{{ $l := list }}{{ range until 50 }}{{ $l = append $l (repeat 10000000 "a") }}{{ end }}"#,
        r#"{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ deepCopy $d }}"#,
        r#"{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ $e := dict }}{{ $_ := set $e "d" $e }}{{ merge $d $e }}"#,
        r#"{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ quote $d }}"#,
        r#"{{ uniq (until 100000) }}"#,
        r#"{{ range until 1000 }}{{ $_ := genPrivateKey "rsa" }}{{ end }}"#,
    ] {
        let kind = render(template, &Environment::new()).map_err(|error| error.kind());
        assert_eq!(kind.err(), Some(ErrorKind::Limit), "{template}");
    }
}

#[test]
fn a_cycle_in_json_is_told_as_go_does() {
    let template = r#"{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ toJson $d }}|{{ mustToJson $d }}"#;
    let error = render(template, &Environment::new()).unwrap_err().to_string();
    let text = "json: unsupported value: encountered a cycle via map[string]interface {}";
    assert!(error.ends_with(text), "{error}");
}

#[test]
fn deep_json_is_no_danger() {
    let template = r#"{{ $s := repeat 10001 "[" }}{{ mustFromJson $s }}"#;
    let error = render(template, &Environment::new()).unwrap_err().to_string();
    assert!(error.ends_with("invalid character '[' exceeded max depth"), "{error}");
    let template = r#"{{ $v := mustFromJson (print (repeat 9999 "[") (repeat 9999 "]")) }}{{ kindOf $v }}"#;
    assert_eq!(render(template, &Environment::new()).unwrap(), "slice");
}

#[test]
fn generated_rsa_keys_and_certificates() {
    let template = r#"{{ $ca := genCA "ca" 1 }}{{ $c := genSignedCert "cn" nil (list "a") 1 $ca }}
        {{- $c.Key | splitList "\n" | first }} {{ (genSelfSignedCert "x" nil nil 1).Cert | hasPrefix "-----BEGIN" }}"#;
    let output = render(template, &Environment::new()).unwrap();
    assert_eq!(output, "-----BEGIN RSA PRIVATE KEY----- true");
}
