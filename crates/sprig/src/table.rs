//! The table: every name with its Go signature and its function.

use pintle_gotemplate::Type::{self, Any, Bool, Float64, Int, List, Map, Object, String, Uint32};
use pintle_gotemplate::{Funcs, State, Value};

use crate::environment::Environment;
use crate::go::Outcome;
use crate::impure::drawn;
use crate::{
    crypto, date, defaults, dict, encoding, json, list, numeric, path, random, reflect, regex, semver,
    strings, url, xstrings,
};

/// The functions whose result depends on clock, chance, time zone or network.
pub const NON_HERMETIC: &[&str] = &[
    // Dates
    "ago",
    "date",
    "date_in_zone",
    "dateInZone",
    "durationRound",
    "htmlDate",
    "htmlDateInZone",
    "mustToDate",
    "now",
    "toDate",
    // Chance
    "randAlpha",
    "randAlphaNum",
    "randAscii",
    "randBytes",
    "randInt",
    "randNumeric",
    "shuffle",
    "uuidv4",
    // Keys and salts
    "bcrypt",
    "encryptAES",
    "genCA",
    "genCAWithKey",
    "genPrivateKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "htpasswd",
    // Network
    "getHostByName",
];

/// The functions that take long on purpose: an [`Environment`] lets a render call them only so often.
pub const SLOW: &[&str] = &[
    "bcrypt",
    "derivePassword",
    "genCA",
    "genCAWithKey",
    "genPrivateKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "htpasswd",
];

const TIME: Type = Object(date::Time::TYPE);
const CERTIFICATE: Type = Object(crypto::CERTIFICATE);

/// Go's builtin functions with all of sprig's on top, whose `slice` is another than Go's.
pub fn funcs() -> Funcs {
    let mut funcs = Funcs::builtins();
    add_to(&mut funcs);
    funcs
}

/// Puts all of sprig's functions into a table.
pub fn add_to(funcs: &mut Funcs) {
    text(funcs);
    number(funcs);
    collection(funcs);
    condition(funcs);
    moment(funcs);
    other(funcs);
}

/// Counts a new text or collection against the output budget: the limits of one call do not bound how many there are.
fn made(state: &mut State<'_, '_>, result: Outcome) -> Outcome {
    let value = result?;
    state.charge(match &value {
        Value::String(text) => text.len(),
        // Elements are shared, and building a list step by step copies it often.
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.len(),
        _ => 0,
    })?;
    Ok(value)
}

fn text(f: &mut Funcs) {
    f.insert("hello", &[], |_, a| strings::hello(a));

    // Cutting
    f.insert("trim", &[String], |s, a| made(s, strings::trim(a)));
    f.insert("trimall", &[String, String], |s, a| made(s, strings::trim_all(a)));
    f.insert("trimAll", &[String, String], |s, a| made(s, strings::trim_all(a)));
    f.insert("trimPrefix", &[String, String], |s, a| made(s, strings::trim_prefix(a)));
    f.insert("trimSuffix", &[String, String], |s, a| made(s, strings::trim_suffix(a)));
    f.insert("substr", &[Int, Int, String], |s, a| made(s, strings::substr(a)));
    f.insert("trunc", &[Int, String], |s, a| made(s, strings::trunc(a)));
    f.insert("abbrev", &[Int, String], |s, a| made(s, strings::abbrev(a)));
    f.insert("abbrevboth", &[Int, Int, String], |s, a| made(s, strings::abbrev_both(a)));
    f.insert("nospace", &[String], |s, a| made(s, strings::nospace(a)));
    f.insert("initials", &[String], |s, a| made(s, strings::initials(a)));

    // Case
    f.insert("upper", &[String], |s, a| made(s, strings::upper(a)));
    f.insert("lower", &[String], |s, a| made(s, strings::lower(a)));
    f.insert("title", &[String], |s, a| made(s, strings::title(a)));
    f.insert("untitle", &[String], |s, a| made(s, strings::untitle(a)));
    f.insert("swapcase", &[String], |s, a| made(s, strings::swapcase(a)));
    f.insert("snakecase", &[String], |s, a| made(s, xstrings::snakecase(a)));
    f.insert("camelcase", &[String], |s, a| made(s, xstrings::camelcase(a)));
    f.insert("kebabcase", &[String], |s, a| made(s, xstrings::kebabcase(a)));

    // Building
    f.insert("repeat", &[Int, String], |s, a| made(s, strings::repeat(a)));
    f.insert("wrap", &[Int, String], |s, a| made(s, strings::wrap(a)));
    f.insert("wrapWith", &[Int, String, String], |s, a| made(s, strings::wrap_with(a)));
    f.insert("indent", &[Int, String], |s, a| made(s, strings::indent(a)));
    f.insert("nindent", &[Int, String], |s, a| made(s, strings::nindent(a)));
    f.insert("replace", &[String, String, String], |s, a| made(s, strings::replace(a)));
    f.insert("plural", &[String, String, Int], |_, a| strings::plural(a));
    f.insert_variadic("quote", &[Any], |s, a| made(s, strings::quote(a)));
    f.insert_variadic("squote", &[Any], |s, a| made(s, strings::squote(a)));
    f.insert_variadic("cat", &[Any], |s, a| made(s, strings::cat(a)));

    // Questions
    f.insert("contains", &[String, String], |_, a| strings::contains(a));
    f.insert("hasPrefix", &[String, String], |_, a| strings::has_prefix(a));
    f.insert("hasSuffix", &[String, String], |_, a| strings::has_suffix(a));

    // Lists of strings
    f.insert("split", &[String, String], |s, a| made(s, strings::split(a)));
    f.insert("splitn", &[String, Int, String], |s, a| made(s, strings::splitn(a)));
    f.insert("splitList", &[String, String], |s, a| made(s, strings::split_list(a)));
    f.insert("join", &[String, Any], |s, a| made(s, strings::join(a)));
    f.insert("sortAlpha", &[Any], |s, a| made(s, strings::sort_alpha(a)));
    f.insert("toString", &[Any], |_, a| strings::to_string(a));
    f.insert("toStrings", &[Any], |s, a| made(s, strings::to_strings(a)));

    // Regular expressions
    f.insert("regexMatch", &[String, String], |_, a| regex::is_match(a));
    f.insert("mustRegexMatch", &[String, String], |_, a| regex::must_is_match(a));
    f.insert("regexFind", &[String, String], |s, a| made(s, regex::find(a)));
    f.insert("mustRegexFind", &[String, String], |s, a| made(s, regex::must_find(a)));
    f.insert("regexFindAll", &[String, String, Int], |s, a| made(s, regex::find_all(a)));
    f.insert("mustRegexFindAll", &[String, String, Int], |s, a| made(s, regex::must_find_all(a)));
    f.insert("regexSplit", &[String, String, Int], |s, a| made(s, regex::split(a)));
    f.insert("mustRegexSplit", &[String, String, Int], |s, a| made(s, regex::must_split(a)));
    f.insert("regexReplaceAll", &[String, String, String], |s, a| made(s, regex::replace_all(a)));
    f.insert("mustRegexReplaceAll", &[String, String, String], |s, a| made(s, regex::must_replace_all(a)));
    f.insert("regexReplaceAllLiteral", &[String, String, String], |s, a| {
        made(s, regex::replace_all_literal(a))
    });
    f.insert("mustRegexReplaceAllLiteral", &[String, String, String], |s, a| {
        made(s, regex::must_replace_all_literal(a))
    });
    f.insert("regexQuoteMeta", &[String], |s, a| made(s, regex::quote_meta(a)));
}

fn number(f: &mut Funcs) {
    // Conversions
    f.insert("int", &[Any], |_, a| numeric::int(a));
    f.insert("int64", &[Any], |_, a| numeric::int64(a));
    f.insert("float64", &[Any], |_, a| numeric::float64(a));
    f.insert("atoi", &[String], |_, a| numeric::atoi(a));
    f.insert("toDecimal", &[Any], |_, a| numeric::to_decimal(a));

    // Integers
    f.insert_variadic("add", &[Any], |_, a| numeric::add(a));
    f.insert("add1", &[Any], |_, a| numeric::add1(a));
    f.insert("sub", &[Any, Any], |_, a| numeric::sub(a));
    f.insert_variadic("mul", &[Any, Any], |_, a| numeric::mul(a));
    f.insert("div", &[Any, Any], |_, a| numeric::div(a));
    f.insert("mod", &[Any, Any], |_, a| numeric::modulo(a));
    f.insert_variadic("max", &[Any, Any], |_, a| numeric::max(a));
    f.insert_variadic("biggest", &[Any, Any], |_, a| numeric::max(a));
    f.insert_variadic("min", &[Any, Any], |_, a| numeric::min(a));

    // Decimals
    f.insert_variadic("addf", &[Any], |_, a| numeric::addf(a));
    f.insert("add1f", &[Any], |_, a| numeric::add1f(a));
    f.insert_variadic("subf", &[Any, Any], |_, a| numeric::subf(a));
    f.insert_variadic("mulf", &[Any, Any], |_, a| numeric::mulf(a));
    f.insert_variadic("divf", &[Any, Any], |_, a| numeric::divf(a));
    f.insert_variadic("maxf", &[Any, Any], |_, a| numeric::maxf(a));
    f.insert_variadic("minf", &[Any, Any], |_, a| numeric::minf(a));
    f.insert("ceil", &[Any], |_, a| numeric::ceil(a));
    f.insert("floor", &[Any], |_, a| numeric::floor(a));
    f.insert_variadic("round", &[Any, Int, Float64], |_, a| numeric::round(a));

    // Ranges
    f.insert("until", &[Int], |s, a| made(s, numeric::until(a)));
    f.insert("untilStep", &[Int, Int, Int], |s, a| made(s, numeric::until_step(a)));
    f.insert_variadic("seq", &[Int], |s, a| made(s, numeric::seq(a)));

    // Chance
    f.insert("randInt", &[Int, Int], |s, a| drawn(s, "randInt", a, random::int));
    f.insert("randAlphaNum", &[Int], |s, a| drawn(s, "randAlphaNum", a, random::alphanumeric));
    f.insert("randAlpha", &[Int], |s, a| drawn(s, "randAlpha", a, random::alphabetic));
    f.insert("randNumeric", &[Int], |s, a| drawn(s, "randNumeric", a, random::numeric));
    f.insert("randAscii", &[Int], |s, a| drawn(s, "randAscii", a, random::ascii));
    f.insert("randBytes", &[Int], |s, a| drawn(s, "randBytes", a, random::bytes));
    f.insert("shuffle", &[String], |s, a| drawn(s, "shuffle", a, random::shuffle));
    f.insert("uuidv4", &[], |s, a| drawn(s, "uuidv4", a, random::uuid));
}

fn collection(f: &mut Funcs) {
    // Lists; the `must` forms differ in Go only by returning what the others panic with.
    f.insert_variadic("list", &[Any], |s, a| made(s, list::list(a)));
    f.insert_variadic("tuple", &[Any], |s, a| made(s, list::list(a)));
    for name in ["append", "push", "mustAppend", "mustPush"] {
        f.insert(name, &[Any, Any], |s, a| made(s, list::append(a)));
    }
    for name in ["prepend", "mustPrepend"] {
        f.insert(name, &[Any, Any], |s, a| made(s, list::prepend(a)));
    }
    for name in ["chunk", "mustChunk"] {
        f.insert(name, &[Int, Any], |s, a| made(s, list::chunk(a)));
    }
    for name in ["first", "mustFirst"] {
        f.insert(name, &[Any], |_, a| list::first(a));
    }
    for name in ["last", "mustLast"] {
        f.insert(name, &[Any], |_, a| list::last(a));
    }
    for name in ["rest", "mustRest"] {
        f.insert(name, &[Any], |s, a| made(s, list::rest(a)));
    }
    for name in ["initial", "mustInitial"] {
        f.insert(name, &[Any], |s, a| made(s, list::initial(a)));
    }
    for name in ["reverse", "mustReverse"] {
        f.insert(name, &[Any], |s, a| made(s, list::reverse(a)));
    }
    for name in ["compact", "mustCompact"] {
        f.insert(name, &[Any], |s, a| made(s, list::compact(a)));
    }
    for name in ["uniq", "mustUniq"] {
        f.insert(name, &[Any], list::uniq);
    }
    for name in ["without", "mustWithout"] {
        f.insert_variadic(name, &[Any, Any], list::without);
    }
    for name in ["has", "mustHas"] {
        f.insert(name, &[Any, Any], list::has);
    }
    for name in ["slice", "mustSlice"] {
        f.insert_variadic(name, &[Any, Any], |s, a| made(s, list::slice(a)));
    }
    f.insert_variadic("concat", &[Any], |s, a| made(s, list::concat(a)));

    // Dictionaries
    f.insert_variadic("dict", &[Any], |s, a| made(s, dict::dict(a)));
    f.insert("get", &[Map, String], |_, a| dict::get(a));
    f.insert("set", &[Map, String, Any], |_, a| dict::set(a));
    f.insert("unset", &[Map, String], |_, a| dict::unset(a));
    f.insert("hasKey", &[Map, String], |_, a| dict::has_key(a));
    f.insert_variadic("pluck", &[String, Map], |s, a| made(s, dict::pluck(a)));
    f.insert_variadic("keys", &[Map], |s, a| made(s, dict::keys(a)));
    f.insert("values", &[Map], |s, a| made(s, dict::values(a)));
    f.insert_variadic("pick", &[Map, String], |s, a| made(s, dict::pick(a)));
    f.insert_variadic("omit", &[Map, String], |s, a| made(s, dict::omit(a)));
    f.insert_variadic("merge", &[Map, Map], |_, a| dict::merge(a));
    f.insert_variadic("mustMerge", &[Map, Map], |_, a| dict::must_merge(a));
    f.insert_variadic("mergeOverwrite", &[Map, Map], |_, a| dict::merge_overwrite(a));
    f.insert_variadic("mustMergeOverwrite", &[Map, Map], |_, a| dict::must_merge_overwrite(a));
    f.insert_variadic("dig", &[Any], |_, a| dict::dig(a));
    f.insert("deepCopy", &[Any], |s, a| made(s, dict::deep_copy(a)));
    f.insert("mustDeepCopy", &[Any], |s, a| made(s, dict::deep_copy(a)));
}

fn condition(f: &mut Funcs) {
    // Defaults
    f.insert_variadic("default", &[Any, Any], |_, a| defaults::default(a));
    f.insert("empty", &[Any], |_, a| defaults::empty(a));
    f.insert_variadic("coalesce", &[Any], |_, a| defaults::coalesce(a));
    f.insert_variadic("all", &[Any], |_, a| defaults::all(a));
    f.insert_variadic("any", &[Any], |_, a| defaults::any(a));
    f.insert("ternary", &[Any, Any, Bool], |_, a| defaults::ternary(a));
    f.insert("fail", &[String], |_, a| strings::fail(a));

    // Reflection
    f.insert("typeOf", &[Any], |_, a| reflect::type_of(a));
    f.insert("typeIs", &[String, Any], |_, a| reflect::type_is(a));
    f.insert("typeIsLike", &[String, Any], |_, a| reflect::type_is_like(a));
    f.insert("kindOf", &[Any], |_, a| reflect::kind_of(a));
    f.insert("kindIs", &[String, Any], |_, a| reflect::kind_is(a));
    f.insert("deepEqual", &[Any, Any], |_, a| reflect::deep_equal(a));
}

fn moment(f: &mut Funcs) {
    f.insert("now", &[], date::now);
    f.insert("ago", &[Any], date::ago);
    f.insert("date", &[String, Any], date::date);
    f.insert("dateInZone", &[String, Any, String], date::date_in_zone);
    f.insert("date_in_zone", &[String, Any, String], date::date_in_zone);
    f.insert("htmlDate", &[Any], date::html_date);
    f.insert("htmlDateInZone", &[Any, String], date::html_date_in_zone);
    f.insert("dateModify", &[String, TIME], |_, a| date::date_modify(a));
    f.insert("date_modify", &[String, TIME], |_, a| date::date_modify(a));
    f.insert("mustDateModify", &[String, TIME], |_, a| date::must_date_modify(a));
    f.insert("must_date_modify", &[String, TIME], |_, a| date::must_date_modify(a));
    f.insert("toDate", &[String, String], date::to_date);
    f.insert("mustToDate", &[String, String], date::must_to_date);
    f.insert("unixEpoch", &[TIME], |_, a| date::unix_epoch(a));
    f.insert("duration", &[Any], |_, a| date::duration(a));
    f.insert("durationRound", &[Any], date::duration_round);
}

fn other(f: &mut Funcs) {
    // Encodings and checksums
    f.insert("b64enc", &[String], |s, a| made(s, encoding::b64enc(a)));
    f.insert("b64dec", &[String], |s, a| made(s, encoding::b64dec(a)));
    f.insert("b32enc", &[String], |s, a| made(s, encoding::b32enc(a)));
    f.insert("b32dec", &[String], |s, a| made(s, encoding::b32dec(a)));
    f.insert("adler32sum", &[String], |_, a| encoding::adler32sum(a));

    f.insert("sha1sum", &[String], |_, a| crypto::sha1sum(a));
    f.insert("sha256sum", &[String], |_, a| crypto::sha256sum(a));
    f.insert("sha512sum", &[String], |_, a| crypto::sha512sum(a));

    // Passwords, keys and certificates
    f.insert("bcrypt", &[String], |s, a| drawn(s, "bcrypt", a, crypto::bcrypt));
    f.insert("htpasswd", &[String, String], |s, a| drawn(s, "htpasswd", a, crypto::htpasswd));
    f.insert("derivePassword", &[Uint32, String, String, String, String], |s, a| {
        if let Some(environment) = s.host::<Environment>() {
            environment.spend_slow_call()?;
        }
        crypto::derive_password(s, a)
    });
    f.insert("encryptAES", &[String, String], |s, a| drawn(s, "encryptAES", a, crypto::encrypt_aes));
    f.insert("decryptAES", &[String, String], |s, a| made(s, crypto::decrypt_aes(a)));
    f.insert("genPrivateKey", &[String], |s, a| drawn(s, "genPrivateKey", a, crypto::gen_private_key));
    f.insert("buildCustomCert", &[String, String], |_, a| crypto::build_custom_cert(a));
    f.insert("genCA", &[String, Int], |s, a| drawn(s, "genCA", a, crypto::gen_ca));
    f.insert("genCAWithKey", &[String, Int, String], |s, a| {
        drawn(s, "genCAWithKey", a, crypto::gen_ca_with_key)
    });
    f.insert("genSelfSignedCert", &[String, List, List, Int], |s, a| {
        drawn(s, "genSelfSignedCert", a, crypto::gen_self_signed_cert)
    });
    f.insert("genSelfSignedCertWithKey", &[String, List, List, Int, String], |s, a| {
        drawn(s, "genSelfSignedCertWithKey", a, crypto::gen_self_signed_cert_with_key)
    });
    f.insert("genSignedCert", &[String, List, List, Int, CERTIFICATE], |s, a| {
        drawn(s, "genSignedCert", a, crypto::gen_signed_cert)
    });
    f.insert("genSignedCertWithKey", &[String, List, List, Int, CERTIFICATE, String], |s, a| {
        drawn(s, "genSignedCertWithKey", a, crypto::gen_signed_cert_with_key)
    });

    // JSON
    f.insert("toJson", &[Any], |s, a| made(s, json::to_json(a)));
    f.insert("mustToJson", &[Any], |s, a| made(s, json::must_to_json(a)));
    f.insert("toPrettyJson", &[Any], |s, a| made(s, json::to_pretty_json(a)));
    f.insert("mustToPrettyJson", &[Any], |s, a| made(s, json::must_to_pretty_json(a)));
    f.insert("toRawJson", &[Any], |s, a| made(s, json::to_raw_json(a)));
    f.insert("mustToRawJson", &[Any], |s, a| made(s, json::to_raw_json(a)));
    f.insert("fromJson", &[String], |_, a| json::from_json(a));
    f.insert("mustFromJson", &[String], |_, a| json::must_from_json(a));

    // Versions
    f.insert("semver", &[String], |_, a| semver::semver(a));
    f.insert("semverCompare", &[String, String], |_, a| semver::semver_compare(a));

    // Paths and URLs
    f.insert("base", &[String], |_, a| path::base(a));
    f.insert("dir", &[String], |_, a| path::dir(a));
    f.insert("clean", &[String], |_, a| path::clean(a));
    f.insert("ext", &[String], |_, a| path::ext(a));
    f.insert("isAbs", &[String], |_, a| path::is_abs(a));
    f.insert("osBase", &[String], |_, a| path::base(a));
    f.insert("osDir", &[String], |_, a| path::dir(a));
    f.insert("osClean", &[String], |_, a| path::clean(a));
    f.insert("osExt", &[String], |_, a| path::ext(a));
    f.insert("osIsAbs", &[String], |_, a| path::is_abs(a));
    f.insert("urlParse", &[String], |_, a| url::url_parse(a));
    f.insert("urlJoin", &[Map], |_, a| url::url_join(a));
    f.insert("getHostByName", &[String], |_, a| url::get_host_by_name(a));
}
