//! The functions of the grammar: what they take and give, in letters.
//!
//! `a` anything, `s` text, `i` integer, `n` small integer, `f` number, `b` bool, `l` list, `q` list of texts, `d`
//! dictionary, `y` YAML, `j` JSON, `o` TOML, `r` regular expression, `v` version, `c` constraint, `u` URL, `m` URL in
//! parts, `p` path, `t` time, `L` layout, `D` duration, `B` base64, `k` key, `e` date, `z` zone. `*` repeats the last
//! letter up to three times. `W` is a dictionary of its own and `S` and `N` are a literal, because one that is put into itself
//! ends Helm's process. Upper case and `n` and `t` are always of that kind: a large number would make Helm
//! itself run out of memory, and a date of anything else is the clock's.
//!
//! Left out is what differs from run to run of Helm (clock, chance, the order of `keys` and `values`), or takes it
//! seconds (`derivePassword`), or reaches the network.

/// Name, parameters, result.
pub type Function = (&'static str, &'static str, char);

#[rustfmt::skip]
pub const FUNCTIONS: &[Function] = &[
    // Go
    ("and", "aa*", 'a'), ("or", "aa*", 'a'), ("not", "a", 'b'), ("len", "l", 'i'), ("len", "s", 'i'),
    ("len", "d", 'i'), ("index", "dk", 'a'), 
    ("print", "a*", 's'), ("println", "a*", 's'),
    ("html", "a*", 's'), ("js", "a*", 's'), ("urlquery", "a*", 's'), ("eq", "ss*", 'b'),
    ("eq", "ii*", 'b'), ("ne", "ss", 'b'), ("lt", "ii", 'b'), ("lt", "ss", 'b'),
    ("le", "ff", 'b'), ("gt", "ii", 'b'), ("ge", "ii", 'b'), 
    // Text
    ("hello", "", 's'), ("trimall", "ss", 's'), ("trim", "s", 's'), ("trimAll", "ss", 's'), ("trimPrefix", "ss", 's'), ("trimSuffix", "ss", 's'),
    ("substr", "nns", 's'), ("trunc", "ns", 's'), ("abbrev", "ns", 's'), ("abbrevboth", "nns", 's'),
    ("nospace", "s", 's'), ("initials", "s", 's'), ("upper", "s", 's'), ("lower", "s", 's'), ("title", "s", 's'),
    ("untitle", "s", 's'), ("swapcase", "s", 's'), ("snakecase", "s", 's'), ("camelcase", "s", 's'),
    ("kebabcase", "s", 's'), ("repeat", "ns", 's'), ("wrap", "ns", 's'), ("wrapWith", "nss", 's'),
    ("indent", "ns", 's'), ("nindent", "ns", 's'), ("replace", "sss", 's'), ("plural", "ssi", 's'),
    ("quote", "a*", 's'), ("squote", "a*", 's'), ("cat", "a*", 's'), ("contains", "ss", 'b'),
    ("hasPrefix", "ss", 'b'), ("hasSuffix", "ss", 'b'), ("split", "ss", 'd'), ("splitn", "sns", 'd'),
    ("splitList", "ss", 'q'), ("join", "sq", 's'), ("join", "sa", 's'), ("sortAlpha", "q", 'q'),
    ("toString", "a", 's'), ("toStrings", "a", 'q'), ("toStrings", "l", 'q'),
    ("regexMatch", "rs", 'b'), ("regexFind", "rs", 's'),
    ("regexFindAll", "rsn", 'q'), ("regexSplit", "rsn", 'q'),
    ("regexReplaceAll", "rss", 's'), ("regexReplaceAllLiteral", "rss", 's'),
    ("regexQuoteMeta", "s", 's'), ("b64enc", "s", 's'), ("b64dec", "B", 's'), ("b32enc", "s", 's'),
    ("b32dec", "s", 's'), ("adler32sum", "s", 's'), ("sha1sum", "s", 's'), ("sha256sum", "s", 's'),
    ("sha512sum", "s", 's'),
    // Numbers
    ("int", "a", 'i'), ("int64", "a", 'i'), ("float64", "a", 'f'), ("atoi", "s", 'i'), ("toDecimal", "a", 'i'),
    ("add", "i*", 'i'), ("add", "a*", 'i'), ("add1", "i", 'i'), ("sub", "ii", 'i'), ("mul", "ii*", 'i'),
    ("div", "ii", 'i'), ("mod", "ii", 'i'), ("max", "ii*", 'i'), ("min", "ii*", 'i'), ("biggest", "aa", 'i'),
    ("addf", "f*", 'f'), ("add1f", "f", 'f'), ("subf", "ff*", 'f'), ("mulf", "ff*", 'f'), ("divf", "ff*", 'f'),
    ("maxf", "ff*", 'f'), ("minf", "ff*", 'f'), ("ceil", "f", 'f'), ("floor", "f", 'f'), ("round", "fn", 'f'),
    ("round", "an", 'f'), ("until", "n", 'l'), ("untilStep", "nnn", 'l'), ("seq", "n", 's'), ("seq", "nn", 's'),
    ("seq", "nnn", 's'),
    // Lists
    ("list", "a*", 'l'), ("list", "s*", 'q'), ("tuple", "a*", 'l'), ("append", "la", 'l'), ("mustAppend", "la", 'l'),
    ("push", "la", 'l'), ("mustPush", "la", 'l'), ("mustPrepend", "la", 'l'), ("mustLast", "l", 'a'),
    ("mustRest", "l", 'l'), ("mustInitial", "l", 'l'), ("mustCompact", "l", 'l'), ("mustWithout", "la*", 'l'), ("prepend", "la", 'l'), ("chunk", "nl", 'l'), ("first", "l", 'a'), ("last", "l", 'a'),
    ("rest", "l", 'l'), ("initial", "l", 'l'), ("reverse", "l", 'l'), ("compact", "l", 'l'), ("uniq", "l", 'l'),
    ("without", "la*", 'l'), ("has", "al", 'b'), ("concat", "l*", 'l'), 
    // Dictionaries; whoever needs their keys sorts them
    ("get", "dk", 'a'), ("set", "Wka", 'd'), ("set", "dkS", 'd'), ("set", "dkN", 'd'), ("unset", "dk", 'd'), ("hasKey", "dk", 'b'), ("pluck", "kd*", 'l'),
    ("pick", "dk*", 'd'), ("omit", "dk*", 'd'), ("merge", "Wd*", 'd'), 
    ("mergeOverwrite", "Wd*", 'd'), ("dig", "kad", 'a'), ("dig", "kkad", 'a'),
    ("deepCopy", "a", 'a'), ("deepCopy", "d", 'd'), ("mustDeepCopy", "a", 'a'), 
    ("dict", "ka", 'd'), 
    // Conditions and reflection
    ("default", "aa", 'a'), ("default", "ss", 's'), ("empty", "a", 'b'), ("coalesce", "a*", 'a'), ("all", "a*", 'b'),
    ("any", "a*", 'b'), ("ternary", "aab", 'a'), ("ternary", "ssb", 's'), ("typeOf", "a", 's'), ("typeIs", "sa", 'b'),
    ("typeIsLike", "sa", 'b'), ("kindOf", "a", 's'), ("kindIs", "sa", 'b'), ("deepEqual", "aa", 'b'),
    // Time
    ("toDate", "Le", 't'), ("date", "Lt", 's'), ("dateInZone", "Ltz", 's'),
    ("htmlDate", "t", 's'), ("htmlDateInZone", "tz", 's'), ("dateModify", "Dt", 't'), ("date_modify", "Dt", 't'),
    ("date_in_zone", "Ltz", 's'), ("must_date_modify", "Dt", 't'),
    ("unixEpoch", "t", 's'), ("duration", "a", 's'), ("durationRound", "D", 's'), ("durationRound", "i", 's'),
    ("durationSeconds", "D", 'f'), ("durationMinutes", "a", 'f'),
    ("durationHours", "D", 'f'), ("durationMilliseconds", "D", 'i'), ("durationDays", "a", 'f'),
    ("durationRoundTo", "DD", 'a'), ("durationTruncateTo", "DD", 'a'),
    // Encodings of structures
    ("toJson", "a", 'j'), ("toPrettyJson", "a", 'j'), ("toRawJson", "a", 'j'),
    ("fromJson", "j", 'd'), ("fromJson", "s", 'd'), ("fromJsonArray", "j", 'l'),
    ("toYaml", "a", 'y'), ("toYaml", "a", 'y'), ("toYaml", "d", 'y'), 
    ("toYamlPretty", "a", 'y'), ("fromYaml", "y", 'd'), ("fromYaml", "y", 'd'), ("fromYaml", "s", 'd'),
    ("fromYamlArray", "y", 'l'), ("toToml", "d", 'o'), ("fromToml", "o", 'd'),
    // Versions, paths, URLs
    ("semverCompare", "cv", 'b'), ("semverCompare", "cv", 'b'), ("base", "p", 's'), ("dir", "p", 's'),
    ("clean", "p", 's'), ("ext", "p", 's'), ("isAbs", "p", 'b'), ("osBase", "p", 's'), ("urlParse", "u", 'd'),
    ("osDir", "p", 's'), ("osClean", "p", 's'), ("osExt", "p", 's'), ("osIsAbs", "p", 'b'), ("semver", "v", 'a'),
    ("urlJoin", "m", 's'),
    // Helm
];

/// Functions that fail more often than not, and so hide what comes after them.
#[rustfmt::skip]
pub const RISKY: &[Function] = &[
    ("index", "ln", 'a'), ("index", "dkk", 'a'), ("index", "sn", 'i'), ("slice", "ln", 'l'),
    ("slice", "lnn", 'l'), ("eq", "aa", 'b'), ("ne", "aa", 'b'), ("ge", "aa", 'b'), ("sortAlpha", "a", 'q'),
    ("mustChunk", "nl", 'l'), ("mustSlice", "lnn", 'l'), ("mustToPrettyJson", "a", 'j'), ("mustToRawJson", "a", 'j'),
    ("mustRegexFind", "rs", 's'), ("mustRegexSplit", "rsn", 'q'), ("mustRegexReplaceAllLiteral", "rss", 's'),
    ("decryptAES", "sB", 's'), ("buildCustomCert", "BB", 'a'), ("call", "aa*", 'a'),
    ("mustRegexMatch", "rs", 'b'), ("mustRegexFindAll", "rsn", 'q'), ("mustRegexReplaceAll", "rss", 's'),
    ("mustFirst", "a", 'a'), ("mustUniq", "a", 'l'), ("mustHas", "aa", 'b'), ("mustReverse", "a", 'l'),
    ("mustMerge", "Wd", 'd'), ("mustMergeOverwrite", "Wd", 'd'), ("dict", "kaka", 'd'), ("dict", "kak", 'd'),
    ("mustToDate", "Le", 't'), ("mustDateModify", "Dt", 't'), ("mustToDuration", "a", 'a'),
    ("mustToJson", "a", 'j'), ("mustFromJson", "j", 'a'), ("mustToYaml", "a", 'y'), ("toToml", "a", 'o'),
    ("required", "sa", 'a'), ("fail", "s", 's'),
];

/// Literals of a letter; for `s` they are texts to be quoted.
#[rustfmt::skip]
pub fn literals(kind: char) -> &'static [&'static str] {
    match kind {
        'i' => &[
            "0", "1", "-1", "2", "3", "7", "10", "42", "100", "65535", "2147483648", "9007199254740993",
            "-9223372036854775808", "9223372036854775807", "0x1F", "0o17", "0b101", "1_000", "017", "'a'", "'\\n'", "+5",
        ],
        'n' => &["0", "1", "2", "3", "4", "5", "8", "12", "20", "-1", "-2"],
        'f' => &[
            "0.0", "1.5", "-2.25", "1e3", "1e6", "1e20", "1e21", "1e-7", "3.14159", "0.1", "1.0", "123456789.125",
            "0x1p4", ".5", "2", "-0.0", "1e100", "100000000.0", "0.30000000000000004",
        ],
        'b' => &["true", "false"],
        'a' => &["nil", "1", "\"\"", "\"x\"", "true", "1.5", "(list)", "(dict)", "(list 1 \"a\" nil)", "(dict \"k\" nil)", "0"],
        'W' => &["(dict)", "(dict \"a\" 1 \"b\" (dict \"c\" 2))", "(dict \"k\" nil \"name\" \"\")"],
        'l' => &["(list)", "(list 1 2 3)", "(list \"b\" \"a\" \"\" nil)", "(list 1.5 true (list 1) (dict \"x\" 1))", "(until 4)"],
        'q' => &["(list \"b\" \"a\" \"c\")", "(splitList \",\" \"x,y,,z\")", "(list \"\")"],
        'd' => &[
            "(dict)", "(dict \"a\" 1 \"b\" \"two\")", "(dict \"k\" (dict \"a\" (list 1 2)) \"name\" \"x\")",
            "(dict \"true\" nil \"1\" 1.5 \"a b\" true)", "(dict \"a\" (dict \"b\" (dict \"c\" 1e6)))",
        ],
        'S' => &["\"new\"", "\"\"", "\"1\""],
        'N' => &["1", "1.5", "nil", "true"],
        't' => &[
            "(toDate \"2006-01-02\" \"2024-02-29\")", "(toDate \"2006-01-02T15:04:05Z07:00\" \"1999-12-31T23:59:59+05:30\")",
            "(toDate \"2006\" \"bad\")", "(toDate \"15:04:05.000\" \"01:02:03.456\")",
        ],
        'm' => &[
            "(urlParse \"https://u:p@h.io:80/a?b=c#d\")", "(dict \"scheme\" \"http\" \"host\" \"h\" \"path\" \"a b\")",
            "(dict \"opaque\" \"x\" \"scheme\" \"mailto\")", "(dict \"query\" \"a=%20\" \"fragment\" \"é\" \"userinfo\" \"u:p\")",
        ],
        'k' => &["\"a\"", "\"b\"", "\"k\"", "\"name\"", "\"missing\"", "\"a b\"", "\"\"", "\"true\"", "\"1\""],
        'r' => &[
            "\"[a-z]+\"", "\"^a.*z?$\"", "\"(\\\\w+)-(\\\\w+)\"", "\"\"", "\"a|b|\"", "\"(?i)FOO\"", "\"[^[:alpha:]]\"",
            "\"\\\\d{1,3}\"", "\"(?P<n>o+)\"", "\"\\\\b\"", "\"x*\"", "\"\\\\pL\"",
            "\"(?s).\"", "\"$\"",
        ],
        'v' => &[
            "\"1.2.3\"", "\"v1.20.0\"", "\"1.2\"", "\"1\"", "\"1.2.3-beta.1+build\"", "\"v1.28.3-eks-a5565ad\"",
            "\"2.0.0-0\"", "\"1.0.0-alpha\"",
        ],
        'c' => &[
            "\">=1.0.0\"", "\"^1.2\"", "\"~1.2.3\"", "\">=1.19-0\"", "\"1.x || >=2.5.0\"", "\">1.0, <2.0\"", "\"*\"",
            "\"1.2 - 1.9\"", "\"!=1.2.3\"", "\"=1.2.3\"", "\"\"", "\"~>1\"", "\"^0.0.3\"",
            "\"^0\"", "\"~0\"", "\">1.2\"", "\"<=1.2\"", "\"1.2.3-beta.1\"", "\">=1.2.3-alpha, <2.0.0-0\"",
        ],
        'u' => &[
            "\"https://user:pass@host.io:8080/p/a%20th?q=1&r=2#frag\"", "\"/only/path\"", "\"mailto:x@y\"",
            "\"http://[::1]:80/\"", "\"\"", "\"//host/p\"", "\"h:1\"",
        ],
        'p' => &["\"/a/b/../c.txt\"", "\"a//b/./c/\"", "\"\"", "\"/\"", "\".hidden\"", "\"x.tar.gz\"", "\"../..\"", "\"a/..\""],
        'L' => &[
            "\"2006-01-02\"", "\"2006-01-02T15:04:05Z07:00\"", "\"Mon Jan _2 15:04:05 2006\"", "\"Monday, 02-Jan-06 15:04:05 MST\"",
            "\"3:04PM\"", "\"002 .000 -0700 ,999\"", "\"January 2 pm\"", "\"\"", "\"2006 06 1 01 Jan\"", "\"__2 Z0700 Z07\"",
        ],
        'D' => &["\"1h\"", "\"90s\"", "\"-1.5h\"", "\"36h5m\"", "\"1d\"", "\"10ms\"", "\"\"", "\"2h45m30.5s\"", "\"8760h\"", "\"x\""],
        'e' => &[
            "\"2024-02-29\"", "\"2023-02-30\"", "\"2020-01-02T03:04:05Z\"", "\"2020-01-02T03:04:05+02:00\"", "\"bad\"", "\"3:04PM\"",
            "\"1999-12-31\"",
        ],
        'z' => &["\"UTC\"", "\"Europe/Berlin\"", "\"America/New_York\"", "\"Nowhere/None\"", "\"\"", "\"Asia/Kolkata\""],
        'B' => &["\"aGVsbG8=\"", "\"aGVsbG8\"", "\"!!\"", "\"\"", "\"//79\"", "\"aGk=\\n\""],
        'y' => &[
            "\"a: 1\\nb:\\n- x\\n- 2.50\\n\"", "\"- 1\\n- yes\\n- ~\\n\"", "\"a: &x {b: 1}\\nc: *x\\n\"", "\"a: |\\n  t\\n  u\\nz: >-\\n  f\\n  g\\n\"",
            "\"a: b: c\"", "\"\"", "\"5\"", "\"{a: 0x10, 1: 2, true: x, ~: n}\"", "\"a: 1\\na: 2\"", "\"a: [1,\\n\"", "\"<<: {q: 1}\\nr: 2\"",
            "\"t: 2001-12-14\\nf: 1e3\\nh: 0o7\\ni: 010\\n\"", "\"a: 123456789012345678901\\nb: .5\\nc: 1_0\"", "\"---\\na: 1\\n---\\nb: 2\\n\"",
            "\"\\ta: 1\"", "\"a: 'it''s'\\nb: \\\"\\\\u00e9\\\"\\n\"", "\"# c\\n\"", "\"a: !!str 1\\nb: !!int '3'\\nc: !x y\"", "\"? k\\n: v\\n\"",
        ],
        'j' => &[
            "`{\"a\":1,\"b\":[true,null,\"x\"]}`", "`[1,2.5,\"a\"]`", "`{\"n\":1e400}`", "`{\"a\":1,}`", "`\"s\"`", "`{\"é\":\"\\u0041\\ud83d\"}`",
            "`{\"big\":12345678901234567890}`", "``", "`nul`", "`{\"a\":{\"b\":{}}}`", "`5`", "`[`", "`{\"a\":1} x`",
        ],
        'o' => &["`a = 1\nb = [1, 2]\n[t]\nx = \"y\"`", "`a = `", "`d = 1979-05-27T07:32:00Z`", "``", "`x.y = 1.5`", "`a = 1\na = 2`", "`[[q]]\nn = 'l'`"],
        _ => &[],
    }
}

/// Literals of a letter that functions refuse.
pub fn wrong(kind: char) -> &'static [&'static str] {
    match kind {
        'r' => &["\"(\"", "\"[z-a]\"", "\"(a){2,1}\"", "\"a**\"", "\"(?<y>l)\""],
        'v' => &["\"latest\"", "\"\"", "\"01.2.3\"", "\"18446744073709551615.0.0\"", "\" 1.2.3\""],
        'c' => &["\"<=x\"", "\"a\"", "\"=>1\"", "\">= 1.0 <2\""],
        'u' => &["\"://bad\"", "\"http://h/%zz\"", "\"http://a b/\""],
        'i' => &["9223372036854775808"],
        _ => &[],
    }
}

/// Texts, to be quoted.
#[rustfmt::skip]
pub const TEXTS: &[&str] = &[
    "", "a", "b", "Foo Bar", "hello-world_x", "  pad ", "1", "-7", "2.50", "true", "null", "~", "no", "0x1F", "1e3", "a: b",
    "- x", "#c", "é", "日本 go", "tab\there", "line\nbreak\n", "quote\"s'", "back\\slash", "%d %s%%", "{{", "a,b,c", "a.b.c", "a-b", "=",
    "camelCaseString", "HTTPServer2Go", "snake_case_name", "the quick brown fox jumps over the lazy dog", "<a href='x'>&</a>", "\u{a0}", ",",
    " ", "\n", "e", "1_000", "0o17", "08", "+1", ".", "2024-01-01", "k8s.io/v1", "\u{2028}", "😀", "\u{7f}", "x\u{0}y", "\u{feff}", "ﬀ İ ß",
    "1.5e3", "Inf", "NaN", "9223372036854775808", "<no value>", "$1${2}x", "\r\n", "a\u{85}b", "@at", "`tick", "[x]", "{y}", "*s", "&t", "!u", "|", ">",
];

#[rustfmt::skip]
pub const FORMATS: &[&str] = &[
    "%s", "%d", "%v", "%+v", "%#v", "%q", "%T", "%x", "%X", "%5d|", "%-5s|", "%05.1f", "%t", "%%", "%e", "%g", "%o", "%b", "%c", "%U", "%s-%s",
    "%[2]v %[1]v", "%!", "%z", "%*d", "%.2s", "%6.3v", "% x", "%#x", "%+d", "%08b", "%#q", "%+q", "%G", "%E", "%.0f", "%[3]d", "% d", "%i", "%.*f",
    "%#U", "%#o", "%O", "%-08d", "%w",
];
