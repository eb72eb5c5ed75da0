//! One expression: what it may say, and what it says of an object.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString};
use cel::common::value::Val;
use cel::{Context, Env, ExecutionError, ParseErrors};
use serde_json::Value;

use super::budget;

/// Characters that an expression may have; the schema says so, too.
const LENGTH: usize = 2048;
/// Brackets and the like within each other, for the parser.
const NESTING: u16 = 32;
/// Levels of the tree that it comes to: evaluating it recurses.
const DEPTH: usize = 64;
/// Bytes that a regular expression may take when it is compiled.
const REGEX_BYTES: usize = 256 << 10;
/// Bytes of an expression that a message quotes.
const QUOTED: usize = 200;

/// What may be called besides the macros. Each takes no longer, and gives no more, than the size of its arguments asks
/// for; functions that multiply them, such as `replace` and `join`, are left out.
const FUNCTIONS: [&str; 46] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::NOT_STRICTLY_FALSE,
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::NEGATE,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::IN,
    operators::INDEX,
    operators::OPT_INDEX,
    operators::OPT_SELECT,
    "bool",
    "bytes",
    "charAt",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "hasValue",
    "int",
    "lowerAscii",
    "matches",
    "none",
    "of",
    "ofNonZeroValue",
    "or",
    "orValue",
    "size",
    "startsWith",
    "string",
    "substring",
    "trim",
    "type",
    "uint",
    "upperAscii",
    "value",
];

/// What all expressions may use.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // They fail only when a name is taken, and then every expression that needs them does.
    let _ = env.add_extension(cel::extensions::strings);
    let _ = budget::declare(&mut env);
    Arc::new(env)
});

/// A parsed expression.
#[derive(Debug)]
pub(super) struct Expression {
    field: String,
    text: String,
    metered: IdedExpr,
    cost: u64,
    /// The variables that it may ask for.
    names: BTreeSet<String>,
}

impl Expression {
    /// Parses the expression that stands in `field`.
    ///
    /// # Errors
    /// What is wrong with it; the text begins with the field.
    pub(super) fn parse(field: String, text: &str) -> Result<Self, String> {
        let parsed = match parse(text) {
            Ok(parsed) => parsed,
            Err(problem) => return Err(format!("{field}: {problem}")),
        };
        let (mut names, cost) = (BTreeSet::new(), budget::cost(&parsed));
        add_names(&parsed, &mut names);
        Ok(Self { field, text: text.to_owned(), metered: budget::metered(parsed), cost, names })
    }

    /// Where it stands.
    pub(super) fn field(&self) -> &str {
        &self.field
    }

    /// Its text, as far as a message shows it.
    pub(super) fn text(&self) -> String {
        crate::api::condition::truncate(&self.text, QUOTED)
    }

    /// Whether it is true of an object.
    ///
    /// # Errors
    /// Why it is neither true nor false. The text holds nothing of the object, which may be a Secret.
    pub(super) fn holds(&self, object: &Value) -> Result<bool, String> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        for (name, value) in object.as_object().into_iter().flatten() {
            if self.names.contains(name) {
                context.add_variable_as_val(name, converted(value));
            }
        }
        let result = budget::within(self.cost, || {
            let value = cel::Value::resolve_val(&self.metered, &context)?;
            Ok(value.downcast_ref::<CelBool>().map(|verdict| *verdict.inner()))
        });
        match result {
            None => Err("it takes too long to evaluate for an object of this size".to_owned()),
            Some(Ok(Some(verdict))) => Ok(verdict),
            Some(Ok(None)) => Err("it is neither true nor false".to_owned()),
            Some(Err(error)) => Err(self.words(&error)),
        }
    }

    /// An error without what may be of the object.
    fn words(&self, error: &ExecutionError) -> String {
        match error {
            ExecutionError::NoSuchKey(key) if self.text.contains(key.as_str()) => {
                format!("there is no field `{key}`")
            }
            ExecutionError::NoSuchKey(_) => "there is no such field".to_owned(),
            ExecutionError::UndeclaredReference(name) => format!("the object has no `{name}`"),
            ExecutionError::NoSuchOverload(overload) => overload.to_string(),
            ExecutionError::IndexOutOfBounds(_) => "a list is shorter than an index asks for".to_owned(),
            ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
                "division by zero".to_owned()
            }
            ExecutionError::Overflow(..) => "a number is too large".to_owned(),
            ExecutionError::UnexpectedType { got, want } if NAMES_OF_TYPES.contains(&got.as_str()) => {
                format!("a value of type {got} stands where {want} is expected")
            }
            _ => "a value is not of the type that is expected".to_owned(),
        }
    }
}

/// An error may give a value in place of its type.
const NAMES_OF_TYPES: [&str; 11] =
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "optional_type", "string", "type", "uint"];

fn parse(text: &str) -> Result<IdedExpr, String> {
    if text.chars().count() > LENGTH {
        return Err(format!("it is longer than {LENGTH} characters"));
    }
    let parsed = ENV.parser().max_recursion_depth(NESTING).parse(text).map_err(|errors| first(&errors))?;
    inspect(&parsed, DEPTH)?;
    Ok(parsed)
}

/// The parser's first complaint.
fn first(errors: &ParseErrors) -> String {
    let Some(error) = errors.errors.first() else { return "it cannot be parsed".to_owned() };
    match error.pos {
        (0, _) => error.msg.clone(),
        (line, column) => format!("{line}:{column}: {}", error.msg),
    }
}

/// Fails when an expression says what it may not.
fn inspect(expr: &IdedExpr, depth: usize) -> Result<(), String> {
    let Some(depth) = depth.checked_sub(1) else { return Err("it is nested too deeply".to_owned()) };
    match &expr.expr {
        Expr::Unspecified => return Err("a part of it is missing".to_owned()),
        Expr::Struct(made) => return Err(format!("`{}` is no type that can be made", made.type_name)),
        Expr::Call(call) if !FUNCTIONS.contains(&call.func_name.as_str()) => {
            return Err(format!("there is no function `{}`", call.func_name));
        }
        Expr::Call(call) if call.func_name == "matches" => {
            let Some(IdedExpr { expr: Expr::Literal(LiteralValue::String(pattern)), .. }) = call.args.last()
            else {
                return Err("the pattern of `matches` has to be written out".to_owned());
            };
            let compiled = regex::RegexBuilder::new(pattern.inner()).size_limit(REGEX_BYTES).build();
            compiled.map_err(|error| error.to_string())?;
        }
        _ => {}
    }
    budget::children(expr).into_iter().try_for_each(|child| inspect(child, depth))
}

/// Adds the names of the variables of an expression.
fn add_names(expr: &IdedExpr, names: &mut BTreeSet<String>) {
    if let Expr::Ident(name) = &expr.expr {
        names.insert(name.trim_start_matches('.').to_owned());
    }
    budget::children(expr).into_iter().for_each(|child| add_names(child, names));
}

/// A value as an expression sees it; texts are borrowed.
fn converted(value: &Value) -> Box<dyn Val + '_> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        // Go: what is no int64 is a float64.
        Value::Number(number) => match number.as_i64() {
            Some(number) => Box::new(CelInt::from(number)),
            None => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => Box::new(CelList::from(items.iter().map(converted).collect::<Vec<_>>())),
        Value::Object(fields) => {
            let fields =
                fields.iter().map(|(name, value)| (CelMapKey::from(name.as_str()), converted(value)));
            Box::new(CelMap::from(fields.collect::<HashMap<_, _>>()))
        }
    }
}
