//! What an expression may cost.
//!
//! The interpreter has no limits of its own, so the expression is rewritten before it is evaluated: what could be copied
//! or gone over passes through one of two functions that nobody can write in an expression, which give it back and take
//! its size from what is left of a budget. A loop takes the nodes of its body for each item, too. When nothing is left,
//! every such function is an error, and the evaluation ends.

use std::cell::Cell;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::{CelBytes, CelInt, CelList, CelMap, CelOptional, CelString, DYN_TYPE, INT_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{Env, ExecutionError};

/// Nodes that are evaluated, and values that are made or gone over, in one evaluation.
const BUDGET: u64 = 250_000;
/// Bytes of text that count as one value.
const BYTES: usize = 32;
/// What a regular expression costs, which is compiled each time: as many nodes.
const REGEX: u64 = 1000;

/// Gives a value back, for its size.
const PAY: &str = "@pay";
/// Gives a value back that a loop goes over, for its size and for what the body costs for each item.
const PAY_FOR_LOOP: &str = "@pay_for_loop";

/// Functions that neither copy their arguments nor go over them.
const FREE: [&str; 8] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::NOT_STRICTLY_FALSE,
    operators::INDEX,
    operators::OPT_INDEX,
    operators::OPT_SELECT,
];
/// Those of them that copy what they find.
const COPYING: [&str; 2] = [operators::OPT_INDEX, operators::OPT_SELECT];

thread_local! {
    /// What is left; nothing when more was asked for.
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Evaluates with the whole budget. None when it was not enough, whatever came of the evaluation.
pub(super) fn within<T>(cost: u64, evaluate: impl FnOnce() -> T) -> Option<T> {
    LEFT.set(BUDGET.checked_sub(cost));
    let result = evaluate();
    LEFT.take().map(|_| result)
}

/// Declares the two functions.
pub(super) fn declare(env: &mut Env) -> Result<(), cel::DeclarationError> {
    env.add_overload(PAY, "pay", vec![DYN_TYPE], pay)?;
    env.add_overload(PAY_FOR_LOOP, "pay_for_loop", vec![DYN_TYPE, INT_TYPE], pay_for_loop)
}

fn pay<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.into_iter().next().ok_or(ExecutionError::MissingArgumentOrTarget)?;
    spend(|| size(&*value))?;
    Ok(value)
}

fn pay_for_loop<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let mut args = args.into_iter();
    let (Some(range), Some(body)) = (args.next(), args.next()) else {
        return Err(ExecutionError::MissingArgumentOrTarget);
    };
    let body = body.downcast_ref::<CelInt>().and_then(|body| u64::try_from(*body.inner()).ok());
    let items = range.as_sizer().and_then(|sizer| u64::try_from(*sizer.size().inner()).ok());
    let turns = items.unwrap_or(1).saturating_mul(body.unwrap_or(BUDGET));
    spend(|| turns)?;
    spend(|| size(&*range))?;
    Ok(range)
}

/// Takes the cost from what is left; it is not counted when nothing is: a loop over what `all` and `exists` ask about goes
/// on after an error.
fn spend(cost: impl FnOnce() -> u64) -> Result<(), ExecutionError> {
    let left = LEFT.get().and_then(|left| left.checked_sub(cost()));
    LEFT.set(left);
    left.map(drop).ok_or_else(|| ExecutionError::InternalError("the budget is used up".to_owned()))
}

/// Values and bytes of a value, itself included; not counted further than the budget.
fn size(value: &(dyn Val + '_)) -> u64 {
    let mut total = 0;
    add_size(value, &mut total);
    total
}

fn add_size(value: &(dyn Val + '_), total: &mut u64) {
    let bytes = |len: usize| u64::try_from(len / BYTES).unwrap_or(u64::MAX);
    *total = total.saturating_add(1);
    if *total > BUDGET {
        return;
    }
    if let Some(text) = value.downcast_ref::<CelString>() {
        *total = total.saturating_add(bytes(text.inner().len()));
    } else if let Some(data) = value.downcast_ref::<CelBytes>() {
        *total = total.saturating_add(bytes(data.inner().len()));
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        list.inner().iter().for_each(|item| add_size(&**item, total));
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        for (key, value) in map.inner() {
            add_size(key.inner(), total);
            add_size(&**value, total);
        }
    } else if let Some(inner) = value.downcast_ref::<CelOptional>().and_then(CelOptional::option) {
        add_size(inner, total);
    }
}

/// What evaluating an expression costs without its loops: its nodes.
pub(super) fn cost(expr: &IdedExpr) -> u64 {
    let own = match &expr.expr {
        Expr::Call(call) if call.func_name == "matches" => REGEX,
        _ => 1,
    };
    children(expr).into_iter().map(cost).fold(own, u64::saturating_add)
}

/// The expressions that an expression is made of.
pub(super) fn children(expr: &IdedExpr) -> Vec<&IdedExpr> {
    match &expr.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).collect(),
        Expr::Comprehension(c) => {
            vec![&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => entries(&map.entries),
        Expr::Select(select) => vec![&select.operand],
        Expr::Struct(made) => entries(&made.entries),
    }
}

fn entries(entries: &[cel::common::ast::IdedEntryExpr]) -> Vec<&IdedExpr> {
    let of = entries.iter().map(|entry| match &entry.expr {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    });
    of.flatten().collect()
}

/// The same expression, which pays for what it does.
pub(super) fn metered(IdedExpr { id, expr }: IdedExpr) -> IdedExpr {
    let of = |expr| IdedExpr { id, expr };
    match expr {
        Expr::Call(call) => {
            let copies = COPYING.contains(&call.func_name.as_str());
            let call = of(Expr::Call(metered_call(call)));
            if copies { paid(call) } else { call }
        }
        Expr::Comprehension(comprehension) => of(Expr::Comprehension(Box::new(metered_loop(*comprehension)))),
        Expr::List(mut list) => {
            list.elements = list.elements.into_iter().map(|item| paid(metered(item))).collect();
            of(Expr::List(list))
        }
        Expr::Map(mut map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    entry.key = paid(metered(std::mem::take(&mut entry.key)));
                    entry.value = paid(metered(std::mem::take(&mut entry.value)));
                }
            }
            of(Expr::Map(map))
        }
        Expr::Select(mut select) => {
            // A field of an optional value is a copy.
            let copies = !select.test && !is_name(&select.operand);
            select.operand = Box::new(metered(*select.operand));
            let select = of(Expr::Select(select));
            if copies { paid(select) } else { select }
        }
        other => of(other),
    }
}

fn metered_call(mut call: CallExpr) -> CallExpr {
    let is_free = FREE.contains(&call.func_name.as_str());
    let pays = |argument| if is_free { metered(argument) } else { paid(metered(argument)) };
    call.args = call.args.into_iter().map(pays).collect();
    call.target = call.target.map(|target| match &target.expr {
        // No value, but a part of the function's name.
        Expr::Ident(name) if name == "optional" => target,
        _ => Box::new(paid(metered(*target))),
    });
    call
}

/// The accumulator of `map` and `filter` grows in place as long as the loop has the form that the parser gave it.
fn metered_loop(mut c: ComprehensionExpr) -> ComprehensionExpr {
    let body = cost(&c.loop_cond).saturating_add(cost(&c.loop_step));
    let body = literal(LiteralValue::Int(i64::try_from(body).unwrap_or(i64::MAX).into()));
    c.iter_range = call(PAY_FOR_LOOP, vec![metered(c.iter_range), body]);
    c.accu_init = paid(metered(c.accu_init));
    c.loop_cond = metered(c.loop_cond);
    c.loop_step = metered(c.loop_step);
    c.result = metered(c.result);
    c
}

/// Pays for what an expression gives, unless that is paid for already or small.
fn paid(expr: IdedExpr) -> IdedExpr {
    let is_paid = match &expr.expr {
        Expr::List(_) | Expr::Map(_) => true,
        Expr::Ident(name) => name.starts_with('@'),
        Expr::Literal(literal) => !matches!(literal, LiteralValue::String(_) | LiteralValue::Bytes(_)),
        _ => false,
    };
    if is_paid { expr } else { call(PAY, vec![expr]) }
}

/// Whether it is a variable, or fields of one.
fn is_name(expr: &IdedExpr) -> bool {
    match &expr.expr {
        Expr::Ident(_) => true,
        Expr::Select(select) => !select.test && is_name(&select.operand),
        _ => false,
    }
}

fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    let call = CallExpr { func_name: name.to_owned(), target: None, args };
    IdedExpr { id: 0, expr: Expr::Call(call) }
}

fn literal(value: LiteralValue) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(value) }
}
