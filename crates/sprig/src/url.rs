//! URLs, taken apart and put together by the rules of Go's `net/url`.

use std::net::Ipv6Addr;

use memchr::{memchr, memmem, memrchr};
use pintle_gotemplate::{Entries, FuncError, Map, Value};

use crate::args::Args;
use crate::go::{self, NIL_DEREFERENCE, Outcome, failure};

/// Which part of a URL is escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Host,
    Zone,
    User,
    Fragment,
}

#[derive(Default)]
struct Url {
    scheme: Vec<u8>,
    opaque: Vec<u8>,
    user: Option<User>,
    host: Vec<u8>,
    path: Vec<u8>,
    query: Vec<u8>,
    force_query: bool,
    fragment: Vec<u8>,
}

struct User {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

/// `urlParse TEXT`.
pub(crate) fn url_parse(args: &[Value]) -> Outcome {
    let url = parse(args.bytes(0)).map_err(|error| failure(format!("unable to parse url: {error}")))?;
    let entries = [
        ("scheme", url.scheme),
        ("hostname", host_name(&url.host).to_vec()),
        ("host", url.host),
        ("path", url.path),
        ("query", url.query),
        ("opaque", url.opaque),
        ("fragment", url.fragment),
        ("userinfo", url.user.map(|user| user.to_text()).unwrap_or_default()),
    ];
    Ok(Value::map(entries.into_iter().map(|(key, text)| (key.into(), text.into())).collect::<Entries>()))
}

/// `urlJoin DICT`.
pub(crate) fn url_join(args: &[Value]) -> Outcome {
    let dict = args.map(0);
    let part = |key| text_at(dict.as_ref(), key);
    let mut url = Url {
        scheme: part("scheme")?,
        host: part("host")?,
        path: part("path")?,
        query: part("query")?,
        opaque: part("opaque")?,
        fragment: part("fragment")?,
        ..Url::default()
    };
    let user = part("userinfo")?;
    if !user.is_empty() {
        let text = [b"proto://", &user[..], b"@host"].concat();
        let parsed =
            parse(&text).map_err(|error| failure(format!("unable to parse userinfo in dict: {error}")))?;
        url.user = parsed.user;
    }
    Ok(url.to_text().into())
}

/// `getHostByName NAME`: always empty, so that no chart can send what it knows out by DNS.
pub(crate) fn get_host_by_name(_: &[Value]) -> Outcome {
    Ok("".into())
}

fn text_at(dict: Option<&Map>, key: &str) -> Result<Vec<u8>, FuncError> {
    match dict.and_then(|dict| dict.get(key.as_bytes())) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text.as_bytes().to_vec()),
        Some(Value::Nil) => Err(failure(NIL_DEREFERENCE)),
        Some(other) => {
            let kind = other.kind();
            Err(failure(format!("unable to parse {key} key, must be of type string, but {kind} found")))
        }
    }
}

/// Go's `url.Parse`; the error is complete.
fn parse(text: &[u8]) -> Result<Url, String> {
    let wrap = |text: &[u8], error: String| format!("parse {}: {error}", quoted(text));
    let (before, fragment) = split(text, b'#').unwrap_or((text, b""));
    let mut url = parse_without_fragment(before).map_err(|error| wrap(before, error))?;
    url.fragment = unescape(fragment, Part::Fragment).map_err(|error| wrap(text, error))?;
    Ok(url)
}

fn parse_without_fragment(text: &[u8]) -> Result<Url, String> {
    if text.iter().any(|&b| b < b' ' || b == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    let mut url = Url::default();
    if text == b"*" {
        url.path = b"*".to_vec();
        return Ok(url);
    }
    let (scheme, mut rest) = scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    match split(rest, b'?') {
        Some((before, b"")) => (rest, url.force_query) = (before, true),
        Some((before, query)) => (rest, url.query) = (before, query.to_vec()),
        None => {}
    }
    if !rest.starts_with(b"/") {
        if !url.scheme.is_empty() {
            url.opaque = rest.to_vec();
            return Ok(url);
        }
        if split(rest, b'/').map_or(rest, |(segment, _)| segment).contains(&b':') {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    if let Some(after) = rest.strip_prefix(b"//")
        && (!url.scheme.is_empty() || !rest.starts_with(b"///"))
    {
        let end = memchr(b'/', after).unwrap_or(after.len());
        let (authority, path) = after.split_at(end);
        rest = path;
        (url.user, url.host) = parse_authority(&url.scheme, authority)?;
    }
    url.path = unescape(rest, Part::Path)?;
    Ok(url)
}

fn scheme(text: &[u8]) -> Result<(&[u8], &[u8]), String> {
    for (i, c) in text.iter().enumerate() {
        match c {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if i > 0 => {}
            b':' if i == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => return Ok((text.get(..i).unwrap_or_default(), text.get(i + 1..).unwrap_or_default())),
            _ => break,
        }
    }
    Ok((b"", text))
}

fn parse_authority(scheme: &[u8], authority: &[u8]) -> Result<(Option<User>, Vec<u8>), String> {
    let Some(at) = memrchr(b'@', authority) else { return Ok((None, parse_host(scheme, authority)?)) };
    let (info, host) = (authority.get(..at).unwrap_or_default(), authority.get(at + 1..).unwrap_or_default());
    let host = parse_host(scheme, host)?;
    let valid = |b: &u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(b);
    if !info.iter().all(valid) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    let (name, password) = match split(info, b':') {
        Some((name, password)) => (name, Some(password)),
        None => (info, None),
    };
    let name = unescape(name, Part::User)?;
    let password = password.map(|password| unescape(password, Part::User)).transpose()?;
    Ok((Some(User { name, password }), host))
}

fn parse_host(scheme: &[u8], host: &[u8]) -> Result<Vec<u8>, String> {
    let port_error = |port: &[u8]| format!("invalid port {} after host", quoted(port));
    match memrchr(b'[', host) {
        Some(0) => {
            let end = memrchr(b']', host).ok_or("missing ']' in host")?;
            let (name, port) =
                (host.get(1..end).unwrap_or_default(), host.get(end + 1..).unwrap_or_default());
            if !is_port(port) {
                return Err(port_error(port));
            }
            let name = match memmem::find(name, b"%25") {
                Some(at) => {
                    let (address, zone) = name.split_at(at);
                    [unescape(address, Part::Host)?, unescape(zone, Part::Zone)?].concat()
                }
                None => unescape(name, Part::Host)?,
            };
            check_address(&name)?;
            return Ok([b"[", &name[..], b"]", port].concat());
        }
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {}
    }
    if let Some(first) = memchr(b':', host) {
        // Go: only for http and https more than one colon is an error; elsewhere it is a list of hosts.
        let strict = scheme == b"http" || scheme == b"https";
        let at = if strict { first } else { memrchr(b':', host).unwrap_or(first) };
        let port = host.get(at..).unwrap_or_default();
        if !is_port(port) {
            return Err(port_error(port));
        }
    }
    unescape(host, Part::Host)
}

/// What Go's `netip.ParseAddr` says of the text between brackets.
fn check_address(text: &[u8]) -> Result<(), String> {
    let error = |message: &str| Err(format!("invalid host: ParseAddr({}): {message}", quoted(text)));
    let Some(first) = text.iter().find(|b| matches!(b, b'.' | b':' | b'%')) else {
        return error("unable to parse IP");
    };
    match first {
        b'%' => error("missing IPv6 address"),
        b'.' => match String::from_utf8_lossy(text).parse::<std::net::Ipv4Addr>() {
            Ok(_) => Err("invalid IP-literal".to_owned()),
            Err(_) => error("unexpected character"),
        },
        _ => {
            let (address, zone) = split(text, b'%').map_or((text, None), |(a, zone)| (a, Some(zone)));
            if zone == Some(b"") {
                return error("zone must be a non-empty string");
            }
            match String::from_utf8_lossy(address).parse::<Ipv6Addr>() {
                Ok(_) => Ok(()),
                Err(_) => error("unable to parse IP"),
            }
        }
    }
}

fn is_port(text: &[u8]) -> bool {
    text.is_empty() || text.strip_prefix(b":").is_some_and(|port| port.iter().all(u8::is_ascii_digit))
}

fn host_name(host: &[u8]) -> &[u8] {
    let name = match memrchr(b':', host) {
        Some(at) if host.get(at..).is_some_and(is_port) => host.get(..at).unwrap_or_default(),
        _ => host,
    };
    name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")).unwrap_or(name)
}

impl User {
    fn to_text(&self) -> Vec<u8> {
        let mut text = escape(&self.name, Part::User);
        if let Some(password) = &self.password {
            text.push(b':');
            text.extend_from_slice(&escape(password, Part::User));
        }
        text
    }
}

impl Url {
    fn to_text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.scheme.is_empty() {
            out.extend_from_slice(&self.scheme);
            out.push(b':');
        }
        if self.opaque.is_empty() {
            self.write_hierarchy(&mut out);
        } else {
            out.extend_from_slice(&self.opaque);
        }
        if self.force_query || !self.query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend_from_slice(&escape(&self.fragment, Part::Fragment));
        }
        out
    }

    fn write_hierarchy(&self, out: &mut Vec<u8>) {
        if !self.host.is_empty() || self.user.is_some() || !self.scheme.is_empty() && !self.path.is_empty() {
            out.extend_from_slice(b"//");
            if let Some(user) = &self.user {
                out.extend_from_slice(&user.to_text());
                out.push(b'@');
            }
            out.extend_from_slice(&escape(&self.host, Part::Host));
        }
        let path = if self.path == b"*" { self.path.clone() } else { escape(&self.path, Part::Path) };
        if !path.is_empty() && !path.starts_with(b"/") && !self.host.is_empty() {
            out.push(b'/');
        }
        // Go: a colon in the first segment would read as a scheme.
        if out.is_empty() && split(&path, b'/').map_or(&path[..], |(segment, _)| segment).contains(&b':') {
            out.extend_from_slice(b"./");
        }
        out.extend_from_slice(&path);
    }
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let i = memchr(at, text)?;
    Some((text.get(..i)?, text.get(i + 1..)?))
}

fn quoted(text: &[u8]) -> String {
    String::from_utf8_lossy(&go::quote(text)).into_owned()
}

/// Go's `shouldEscape`.
fn must_escape(c: u8, part: Part) -> bool {
    if c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'~') {
        return false;
    }
    match part {
        Part::Host | Part::Zone => !b"!$&'()*+,;=:[]<>\"".contains(&c),
        Part::Path => !b"$&+,/:;=@".contains(&c),
        Part::User => !b"$&+,;=".contains(&c),
        Part::Fragment => !b"$&+,/:;=?@!()*".contains(&c),
    }
}

fn escape(text: &[u8], part: Part) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &c in text {
        if must_escape(c, part) {
            out.extend_from_slice(format!("%{c:02X}").as_bytes());
        } else {
            out.push(c);
        }
    }
    out
}

fn unescape(text: &[u8], part: Part) -> Result<Vec<u8>, String> {
    let refuse = |sequence: &[u8]| Err(format!("invalid URL escape {}", quoted(sequence)));
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [c, tail @ ..] = rest {
        rest = tail;
        if *c == b'%' {
            let sequence = text.get(text.len() - tail.len() - 1..).unwrap_or_default();
            let sequence = sequence.get(..3).unwrap_or(sequence);
            let hex = |i: usize| sequence.get(i).and_then(|&b| (b as char).to_digit(16));
            let (Some(high), Some(low)) = (hex(1), hex(2)) else { return refuse(sequence) };
            let byte = u8::try_from(high << 4 | low).unwrap_or(0);
            // Go: hosts may escape only what is not ASCII, zones also what a host may hold.
            let allowed = match part {
                Part::Host => byte >= 0x80 || byte == b'%',
                Part::Zone => byte == b'%' || byte == b' ' || !must_escape(byte, Part::Host),
                _ => true,
            };
            if !allowed {
                return refuse(sequence);
            }
            out.push(byte);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            if matches!(part, Part::Host | Part::Zone) && c.is_ascii() && must_escape(*c, part) {
                return Err(format!("invalid character {} in host name", quoted(&[*c])));
            }
            out.push(*c);
        }
    }
    Ok(out)
}
