//! Unit: what expressions say of objects, and what they may cost.

use serde_json::{Value, json};

use super::*;

fn entry(current: &str) -> HealthCheckExpr {
    HealthCheckExpr {
        api_version: "x.io/v1".into(),
        kind: Some("X".into()),
        current: current.into(),
        ..HealthCheckExpr::default()
    }
}

fn expression(text: &str) -> Result<Expression, String> {
    Expression::parse("f".to_owned(), text)
}

fn holds(text: &str, object: &Value) -> Result<bool, String> {
    expression(text)?.holds(object)
}

/// On the stack that it has in the operator.
fn apart_from_the_test<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap()
}

#[test]
fn an_expression_sees_the_fields_of_the_object() {
    let object = json!({
        "metadata": {"name": "x", "annotations": {"a.b/c": "v"}, "generation": 3},
        "spec": {"replicas": 3, "rate": 1.5, "big": 9_223_372_036_854_775_808_u64},
        "status": {
            "phase": "Bound", "replicas": 3, "nothing": null,
            "conditions": [{"type": "Synced", "status": "True"}, {"type": "Other", "status": "False"}],
        },
        "data": {"k": "v"},
    });
    for (text, want) in [
        ("status.phase == 'Bound'", true),
        ("status.phase in ['Pending', 'Failed']", false),
        ("status.replicas == spec.replicas && spec.replicas - 4 < 0", true),
        ("spec.rate * 2.0 == 3.0 && spec.rate > 1", true),
        ("spec.big > 9000000000000000000.0", true),
        ("has(status.gone) || !has(status.phase)", false),
        ("status.nothing == null", true),
        ("metadata.annotations['a.b/c'] == 'v'", true),
        ("data.k.startsWith('v') && size(data) == 1 && data.k.matches('^[a-z]$')", true),
        ("status.conditions.filter(e, e.type == 'Synced').all(e, e.status == 'True')", true),
        ("status.conditions.filter(e, e.type == 'Synced').all(e, e.status == 'False')", false),
        ("status.conditions.exists(e, e.type == 'Synced' && e.status == 'True')", true),
        ("status.conditions.exists_one(e, e.status == 'True')", true),
        ("status.conditions.map(e, e.type).exists(t, t == 'Other')", true),
        ("status.conditions.map(e, e.status == 'True', e.type) == ['Synced']", true),
        ("status.?conditions.orValue([]).exists(e, e.type == 'Synced')", true),
        ("status.?gone.orValue([]).exists(e, e.type == 'Synced')", false),
        ("status.?gone.?deeper.hasValue()", false),
        ("optional.of(status.phase).value() == 'Bound'", true),
        ("status.phase.lowerAscii() == 'bound' && string(spec.replicas) == '3'", true),
        ("status.exists(key, key == 'phase')", true),
        ("{'a': status.phase}.a == 'Bound' ? true : false", true),
        ("[1, 2][1] == 2 && type(1) == int", true),
    ] {
        assert_eq!(holds(text, &object), Ok(want), "{text}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_told_without_what_is_in_the_object() {
    let object =
        json!({"metadata": {"name": "x"}, "data": {"password": "hunter2", "other": "q"}, "status": {}});
    for (text, want) in [
        ("status.phase == 'Bound'", "there is no field `phase`"),
        ("spec.replicas == 1", "the object has no `spec`"),
        ("data[data.password] == 'x'", "there is no such field"),
        ("data.password > 1", "found no matching overload for '_>_' applied to '(string, int)'"),
        ("data.password", "it is neither true nor false"),
        ("data.password ? true : false", "a value of type string stands where bool is expected"),
        ("int(data.password) == 1", "a value is not of the type that is expected"),
        ("{data: 1} == {}", "a value is not of the type that is expected"),
        ("data.password.all(c, true)", "a value of type string stands where iterable is expected"),
        ("[1][4] == 1", "a list is shorter than an index asks for"),
        ("1 / 0 == 1", "division by zero"),
        ("9223372036854775807 + 1 == 1", "a number is too large"),
        ("status.phase == 'Bound' || data.other == 'r'", "there is no field `phase`"),
    ] {
        assert_eq!(holds(text, &object), Err(want.to_owned()), "{text}");
    }
}

#[test]
fn what_an_expression_may_not_say() {
    let long = format!("'{}' == ''", "x".repeat(2048));
    let sum = vec!["1"; 200].join(" + ");
    let classes = format!("'a'.matches('{}')", r"(\\w{100}){100}");
    let rows = [
        ("status.phase = 'Bound'".to_owned(), "1:14: "),
        ("status.\nphase ==".to_owned(), "2:9: "),
        (String::new(), ""),
        ("has(status)".to_owned(), "1:5: invalid argument to has() macro"),
        ("now() > 1".to_owned(), "there is no function `now`"),
        (
            "timestamp(status.at) > timestamp('2020-01-01T00:00:00Z')".to_owned(),
            "there is no function `timestamp`",
        ),
        ("'a'.replace('', 'b') == ''".to_owned(), "there is no function `replace`"),
        (
            "google.protobuf.Any{value: 1} == 1".to_owned(),
            "`google.protobuf.Any` is no type that can be made",
        ),
        ("'a'.matches(status.pattern)".to_owned(), "the pattern of `matches` has to be written out"),
        ("'a'.matches('(')".to_owned(), "regex parse error"),
        (classes, "Compiled regex exceeds size limit"),
        (long, "it is longer than 2048 characters"),
        (format!("{sum} == 200"), "it is nested too deeply"),
        (format!("{}1{} == 1", "(".repeat(40), ")".repeat(40)), ""),
    ];
    for (text, want) in rows {
        let problem = apart_from_the_test({
            let text = text.clone();
            move || expression(&text).unwrap_err()
        });
        let problem = problem.strip_prefix("f: ").expect("the field comes first");
        assert!(problem.contains(want), "{text}: {problem}");
    }
}

#[test]
fn no_text_brings_the_parser_down() {
    let opens =
        ["(", "[", "{", "!", "-", "a.", "a[", "f(", "a?b:", "{1:", "a+", "a&&", "'", "\"\"\"", "[1].map(a,"];
    for open in opens {
        let text: String = open.repeat(2048 / open.len());
        let begun = std::time::Instant::now();
        let ended = apart_from_the_test(move || expression(&text).is_ok());
        assert!(begun.elapsed().as_secs() < 20, "{open} took {:?}", begun.elapsed());
        assert!(!ended, "{open} is no expression");
    }
}

#[test]
fn no_expression_takes_long_or_much() {
    let items: Vec<Value> = (0..2000).map(|n| json!({"n": n, "text": "x".repeat(500)})).collect();
    let object = json!({"spec": {"items": items}, "text": "x".repeat(1 << 20)});
    let copies = format!("[{}].size() == 0", vec!["spec"; 300].join(","));
    let doubled = format!("[text]{} == []", ".map(a, a + a)".repeat(30));
    let of_literals = "[1,2,3,4,5,6,7,8,9,10]";
    let loops = format!(
        "{of_literals}.map(a, {of_literals}.map(b, {of_literals}.map(c, {of_literals}.map(d, {of_literals}.map(e, {of_literals}))))) == []"
    );
    for text in [
        "spec.items.all(a, spec.items.all(b, spec.items.all(c, a.n + b.n + c.n >= 0)))",
        "spec.items.exists(a, spec.items == [a])",
        "spec.items.exists(a, spec == a)",
        "spec.items.exists(a, text.contains('y'))",
        "spec.items.exists(a, text.matches('y+z'))",
        "spec.items.map(a, spec.items.map(b, text)) == []",
        "spec.items.exists(a, optional.of(spec).value().items.size() == 0)",
        "spec.items.exists(a, [0].exists(b, [spec][b] == a))",
        &copies,
        &doubled,
        &loops,
    ] {
        let (text, object) = (text.to_owned(), object.clone());
        let begun = std::time::Instant::now();
        let asked = text.clone();
        let ended = apart_from_the_test(move || holds(&asked, &object));
        assert!(begun.elapsed().as_secs() < 20, "{text} took {:?}", begun.elapsed());
        let too_long = "it takes too long to evaluate for an object of this size";
        assert_eq!(ended, Err(too_long.to_owned()), "{text}");
    }
}

#[tokio::test]
async fn the_first_expression_that_is_true_decides() {
    let with = |in_progress: Option<&str>, failed: Option<&str>| HealthCheckExpr {
        in_progress: in_progress.map(str::to_owned),
        failed: failed.map(str::to_owned),
        ..entry("status.phase == 'Good'")
    };
    let of = |phase: &str| json!({"metadata": {"generation": 2}, "status": {"phase": phase, "observedGeneration": 2}});
    let progress = |text: &str| Readiness::InProgress(text.to_owned());
    let field = |name: &str, text: &str| progress(&format!("spec.healthCheckExprs[0].{name}{text}"));
    let failed = "spec.healthCheckExprs[0].failed is true: status.phase != 'New'";
    let mut late = of("Good");
    late["status"]["observedGeneration"] = json!(1);
    let mut going = of("Good");
    going["metadata"]["deletionTimestamp"] = json!("now");
    for (name, expr, object, want) in [
        ("current", with(None, None), of("Good"), Readiness::Current),
        ("not yet", with(None, None), of("New"), field("current", " is not true yet")),
        ("no status yet", with(None, None), json!({}), field("current", ": the object has no `status`")),
        (
            "failed",
            with(None, Some("status.phase != 'New'")),
            of("Bad"),
            Readiness::Failed(failed.to_owned()),
        ),
        (
            "failed before current",
            with(None, Some("true")),
            of("Good"),
            Readiness::Failed(failed.replace("status.phase != 'New'", "true")),
        ),
        (
            "in progress before failed",
            with(Some("true"), Some("true")),
            of("Bad"),
            field("inProgress", " is true"),
        ),
        (
            "an error is no failure",
            with(None, Some("status.reason == 'x'")),
            of("Good"),
            field("failed", ": there is no field `reason`"),
        ),
        ("an empty one is none", with(Some(""), Some("")), of("Good"), Readiness::Current),
        ("an old status", with(None, None), late, progress("its controller has not seen the change yet")),
        ("on its way out", with(None, None), going, progress("is being deleted")),
    ] {
        let checks = Arc::new(HealthChecks::new(&[expr]).await);
        assert_eq!(checks.problem(), None, "{name}");
        assert_eq!(checks.judge("x.io", "X", &LiveObject::new(object)).await, Some(want), "{name}");
    }
}

#[tokio::test]
async fn the_group_counts_and_a_kind_of_its_own_comes_first() {
    let exprs = [
        HealthCheckExpr { kind: None, ..entry("false") },
        entry("true"),
        HealthCheckExpr { api_version: "v1".into(), kind: Some("ConfigMap".into()), ..entry("true") },
    ];
    let checks = Arc::new(HealthChecks::new(&exprs).await);
    assert!(checks.is_of(&exprs) && !checks.is_of(&exprs[1..]));
    let judge = async |group: &str, kind: &str| checks.judge(group, kind, &LiveObject::new(json!({}))).await;
    assert_eq!(judge("x.io", "X").await, Some(Readiness::Current));
    assert!(matches!(judge("x.io", "Y").await, Some(Readiness::InProgress(_))));
    assert_eq!(judge("", "ConfigMap").await, Some(Readiness::Current));
    assert_eq!(judge("", "Secret").await, None);
    assert_eq!(judge("y.io", "X").await, None);
}

#[tokio::test]
async fn a_broken_expression_is_named_and_leaves_its_objects_waiting() {
    for (expr, want) in [
        (entry("a =="), "spec.healthCheckExprs[1].current: 1:5: "),
        (
            HealthCheckExpr { failed: Some("a b".into()), ..entry("true") },
            "spec.healthCheckExprs[1].failed: 1:3: ",
        ),
        (entry(""), "spec.healthCheckExprs[1].current: "),
        (
            HealthCheckExpr { api_version: "a/b/c".into(), ..entry("true") },
            "spec.healthCheckExprs[1].apiVersion: `a/b/c` is not GROUP/VERSION",
        ),
    ] {
        let other = HealthCheckExpr { api_version: "v1".into(), ..entry("true") };
        let checks = Arc::new(HealthChecks::new(&[other, expr]).await);
        let problem = checks.problem().unwrap_or_default();
        assert!(problem.starts_with(want), "{problem}");
    }
    let checks = Arc::new(HealthChecks::new(&[entry("a ==")]).await);
    let judged = checks.judge("x.io", "X", &LiveObject::new(json!({}))).await;
    assert_eq!(judged, Some(Readiness::InProgress(checks.problem().unwrap().to_owned())));
}

#[tokio::test]
async fn a_panic_ends_nothing_else() {
    assert_eq!(apart(|| -> u8 { panic!("on purpose") }).await, None);
    assert_eq!(apart(|| 1).await, Some(1));
}
