//! Slash-separated paths. The `os` functions are the same: templates are rendered for Linux.

use pintle_gotemplate::Value;

use crate::args::Args;
use crate::go::Outcome;

/// `base PATH`.
pub(crate) fn base(args: &[Value]) -> Outcome {
    let path = args.bytes(0);
    if path.is_empty() {
        return Ok(".".into());
    }
    let end = path.iter().rposition(|&b| b != b'/').map_or(0, |at| at + 1);
    let name = path.get(..end).unwrap_or_default().rsplit(|&b| b == b'/').next().unwrap_or_default();
    Ok(if name.is_empty() { "/".into() } else { Value::string(name) })
}

/// `dir PATH`.
pub(crate) fn dir(args: &[Value]) -> Outcome {
    let path = args.bytes(0);
    let end = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    Ok(cleaned(path.get(..end).unwrap_or_default()).into())
}

/// `clean PATH`.
pub(crate) fn clean(args: &[Value]) -> Outcome {
    Ok(cleaned(args.bytes(0)).into())
}

/// Go's `path.Clean`.
pub(crate) fn cleaned(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => {
                kept.pop();
            }
            b".." if rooted => {}
            part => kept.push(part),
        }
    }
    let joined = kept.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", &joined[..]].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// `ext PATH`: from the last dot of the last element on.
pub(crate) fn ext(args: &[Value]) -> Outcome {
    let path = args.bytes(0);
    let name = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let dot = name.iter().rposition(|&b| b == b'.');
    Ok(Value::string(dot.and_then(|at| name.get(at..)).unwrap_or_default()))
}

/// `isAbs PATH`.
pub(crate) fn is_abs(args: &[Value]) -> Outcome {
    Ok(args.bytes(0).starts_with(b"/").into())
}
