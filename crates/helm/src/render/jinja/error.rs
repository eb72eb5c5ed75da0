//! What minijinja says, as errors of rendering: `template:line: message`, and the same of each inner level.

use std::error::Error as StdError;
use std::fmt;

use minijinja::{Error, ErrorKind};
use pintle_gotemplate::Limit;

use super::super::{Place, RenderError};

/// A budget that is not minijinja's own ran out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exhausted(pub(super) Limit);

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Exhausted {}

/// The template asked to stop.
#[derive(Clone, Debug)]
pub(super) struct Stop(pub(super) String);

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Stop {}

/// An error with which a filter says that a budget ran out.
pub(super) fn exhausted(limit: Limit) -> Error {
    Error::new(ErrorKind::InvalidOperation, limit.to_string()).with_source(Exhausted(limit))
}

/// An error with which a filter stops the render.
pub(super) fn stop(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Stop(message))
}

/// A budget ran out before the template began.
pub(super) fn limit(file: &str, limit: Limit) -> RenderError {
    let place = Place { file: file.to_owned(), line: 0, column: None };
    RenderError::LimitExceeded { text: format!("{file}: {limit}"), limit, place }
}

/// The file is no text.
pub(super) fn not_utf8(file: &str) -> RenderError {
    let place = Place { file: file.to_owned(), line: 0, column: None };
    RenderError::Parse { text: format!("{file}: a Jinja template must be UTF-8"), place }
}

pub(super) fn of_parsing(error: &Error, file: &str) -> RenderError {
    RenderError::Parse { text: told(error, file), place: place(error, file) }
}

pub(super) fn of_execution(error: &Error, file: &str) -> RenderError {
    let place = place(error, file);
    if let Some(limit) = limit_of(error) {
        return RenderError::LimitExceeded {
            text: format!("{}:{}: {limit}", place.file, place.line),
            limit,
            place,
        };
    }
    if let Some(Stop(message)) = causes(error).find_map(|cause| cause.downcast_ref::<Stop>()) {
        let text = format!("{}:{}: {message}", place.file, place.line);
        return RenderError::Aborted { text, message: message.clone(), place };
    }
    RenderError::Execute { text: told(error, file), place }
}

/// Where in the file that was being rendered.
fn place(error: &Error, file: &str) -> Place {
    let file = error.name().unwrap_or(file).to_owned();
    Place { file, line: error.line().unwrap_or(0), column: None }
}

/// An error and what caused it, outermost first.
fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    let next = |error: &&'e (dyn StdError + 'static)| -> Option<&'e (dyn StdError + 'static)> {
        let error = *error;
        error.source()
    };
    std::iter::successors(Some(error), next)
}

fn limit_of(error: &Error) -> Option<Limit> {
    causes(error).find_map(|cause| {
        if let Some(Exhausted(limit)) = cause.downcast_ref() {
            return Some(*limit);
        }
        // An error of writing carries its own cause inside.
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(Exhausted(limit)) = inner.and_then(|inner| inner.downcast_ref()) {
            return Some(*limit);
        }
        let error = cause.downcast_ref::<Error>()?;
        match error.kind() {
            ErrorKind::OutOfFuel => Some(Limit::Steps),
            // minijinja has no kind of its own for it.
            _ if error.detail().is_some_and(|detail| detail.contains("recursion limit exceeded")) => {
                Some(Limit::Depth)
            }
            _ => None,
        }
    })
}

/// The levels of the error, joined by `: `.
fn told(error: &Error, file: &str) -> String {
    let levels = causes(error).map(|cause| match cause.downcast_ref::<Error>() {
        Some(error) => {
            let file = error.name().unwrap_or(file);
            let line = error.line().unwrap_or(0);
            match error.detail() {
                Some(detail) => format!("{file}:{line}: {}: {detail}", error.kind()),
                None => format!("{file}:{line}: {}", error.kind()),
            }
        }
        None => cause.to_string(),
    });
    levels.collect::<Vec<_>>().join(": ")
}
