//! What a render draws from clock and chance: noted at each use, so that another render can be given the same.
//!
//! A use is found again by the file that is rendered, the template with the call, the function, its arguments and
//! how many such uses came before it. The line is noted for people, but is no part of that: an edit above a call, or
//! in another file, must not change a password.

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use pintle_gotemplate::{Location, State, Value};
use serde::{Deserialize, Serialize};

use crate::crypto::certificate_of;
use crate::environment::Environment;
use crate::go::Outcome;
use crate::{SLOW, Time, Zone, crypto, json};

/// How many bytes the uses whose values are kept may take, roughly as JSON.
pub const MAX_KEPT_BYTES: usize = 128 << 10;

/// How many uses are noted; a loop makes as many as it likes.
pub const MAX_USES: usize = 4_096;

/// One use of a function whose result cannot be repeated.
///
/// `value` is as secret as the password that it may be: it is left out of the `Debug` form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Use {
    /// The function.
    pub function: String,
    /// The file that was being rendered.
    pub file: String,
    /// The template with the call: the file, or a name that it defines.
    pub template: String,
    /// 1-based, in the file that has the template; 0 when unknown.
    #[serde(default)]
    pub line: usize,
    /// Digest of the arguments; empty when there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arguments: String,
    /// How many uses before it are the same in all of this.
    #[serde(default)]
    pub occurrence: u32,
    /// What it drew, where that can be given to another render.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Drawn>,
}

/// What is noted without a value: what the cluster or the network said is never given to another render.
const ASKING: [&str; 3] = ["lookup", "getHostByName", "Capabilities"];

impl Use {
    /// Whether it asked the cluster or the network, and drew nothing from clock or chance.
    pub fn is_asking(&self) -> bool {
        ASKING.contains(&self.function.as_str())
    }

    /// What it takes as JSON without its value.
    fn size(&self) -> usize {
        const NAMES: usize = 100;
        NAMES + self.function.len() + self.file.len() + self.template.len() + self.arguments.len()
    }
}

impl fmt::Debug for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, file, template, line, occurrence, .. } = self;
        write!(f, "{function} at {file} ({template}:{line}), {occurrence} before")
    }
}

/// A drawn value. It has no `Debug` form, because it may be a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Drawn {
    /// A text.
    Text(String),
    /// A text that is not UTF-8.
    Bytes(Vec<u8>),
    /// A number.
    Int(i64),
    /// A moment.
    Time {
        /// Since 1970.
        seconds: i64,
        /// Beyond the seconds.
        nanoseconds: u32,
    },
    /// A certificate and its key, as PEM.
    Certificate {
        /// The certificate.
        cert: String,
        /// The key.
        key: String,
    },
}

impl Drawn {
    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::String(text) => match text.to_str() {
                Some(text) => Self::Text(text.to_owned()),
                None => Self::Bytes(text.as_bytes().to_vec()),
            },
            Value::Int(number, _) => Self::Int(*number),
            other => {
                if let Some(time) = other.as_object::<Time>() {
                    Self::Time { seconds: time.unix(), nanoseconds: time.nanoseconds() }
                } else {
                    let (cert, key) = certificate_of(other)?;
                    Self::Certificate { cert, key }
                }
            }
        })
    }

    fn value(&self, environment: &Environment) -> Value {
        match self {
            Self::Text(text) => Value::string(text),
            Self::Bytes(bytes) => Value::string(&bytes[..]),
            Self::Int(number) => Value::int(*number),
            Self::Time { seconds, nanoseconds } => {
                let zone = Zone::Local(environment.time_zone().clone());
                Time::from_unix(*seconds, *nanoseconds, zone).into_value()
            }
            Self::Certificate { cert, key } => crypto::certificate(cert, key),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Int(_) | Self::Time { .. } => 16,
            Self::Certificate { cert, key } => cert.len() + key.len(),
        }
    }
}

/// What identifies a use, but for how often it came before.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    function: String,
    file: String,
    template: String,
    arguments: String,
}

/// The uses of a render, and the values of an earlier one.
#[derive(Default)]
pub(crate) struct Uses {
    noted: Vec<Use>,
    /// How many of them ask.
    asking: usize,
    counts: HashMap<Key, u32>,
    kept: usize,
    complete: bool,
    earlier: HashMap<(Key, u32), Drawn>,
}

impl Uses {
    pub(crate) fn new(earlier: &[Use]) -> Self {
        let earlier = earlier.iter().filter_map(|one| {
            let key = Key {
                function: one.function.clone(),
                file: one.file.clone(),
                template: one.template.clone(),
                arguments: one.arguments.clone(),
            };
            Some(((key, one.occurrence), one.value.clone()?))
        });
        Self { complete: true, earlier: earlier.collect(), ..Self::default() }
    }

    pub(crate) fn noted(&self) -> &[Use] {
        &self.noted
    }

    pub(crate) fn are_complete(&self) -> bool {
        self.complete
    }

    /// Counts a use; what is still to be filled in is its value.
    fn begin(&mut self, key: Key, line: usize) -> (Use, Option<Drawn>) {
        let before = self.counts.get(&key).copied();
        let count = before.map_or(0, |before| before.saturating_add(1));
        // Past the limit nothing is kept any more, so that occurrences need not be told apart either.
        if before.is_some() || self.counts.len() < MAX_USES {
            self.counts.insert(key.clone(), count);
        }
        let found = (key, count);
        let value = self.earlier.get(&found).cloned();
        let (key, occurrence) = found;
        let Key { function, file, template, arguments } = key;
        (Use { function, file, template, line, arguments, occurrence, value: None }, value)
    }

    /// Notes a use that draws nothing. One that does not fit is no loss for a later render.
    fn note(&mut self, done: Use) {
        if self.asking < MAX_USES {
            self.asking += 1;
            self.noted.push(done);
        }
    }

    fn finish(&mut self, mut done: Use, value: Option<Drawn>) {
        if self.noted.len() - self.asking >= MAX_USES {
            self.complete = false;
            return;
        }
        if let Some(value) = value {
            let size = value.size() + done.size();
            if self.kept + size <= MAX_KEPT_BYTES {
                self.kept += size;
                done.value = Some(value);
            } else {
                self.complete = false;
            }
        }
        self.noted.push(done);
    }
}

fn begin(
    environment: &Environment,
    place: &Location<'_>,
    function: &'static str,
    arguments: String,
) -> (Use, Option<Drawn>) {
    let file = environment.file();
    let key = Key {
        function: function.to_owned(),
        file: if file.is_empty() { place.file.to_owned() } else { file },
        template: place.template.to_owned(),
        arguments,
    };
    environment.uses().begin(key, place.line)
}

/// Runs a function whose result depends on chance, or gives what it drew in an earlier render.
pub(crate) fn drawn(
    state: &mut State<'_, '_>,
    function: &'static str,
    args: &[Value],
    draw: fn(&mut State<'_, '_>, &[Value]) -> Outcome,
) -> Outcome {
    let Some(environment) = state.host::<Environment>() else { return draw(state, args) };
    let (begun, earlier) = begin(environment, &state.location(), function, digest(args));
    let value = match &earlier {
        Some(earlier) => {
            let value = earlier.value(environment);
            state.charge(earlier.size())?;
            value
        }
        None => {
            if SLOW.contains(&function) {
                environment.spend_slow_call()?;
            }
            draw(state, args)?
        }
    };
    environment.uses().finish(begun, earlier.or_else(|| Drawn::of(&value)));
    Ok(value)
}

/// What time it is, or was in an earlier render.
pub(crate) fn moment(environment: &Environment, state: &State<'_, '_>, function: &'static str) -> Time {
    let (begun, earlier) = begin(environment, &state.location(), function, String::new());
    let zone = environment.time_zone();
    let time = match earlier {
        Some(Drawn::Time { seconds, nanoseconds }) => {
            Time::from_unix(seconds, nanoseconds, Zone::Local(zone.clone()))
        }
        _ => Time::from_timestamp(environment.now(), zone),
    };
    let drawn = Drawn::Time { seconds: time.unix(), nanoseconds: time.nanoseconds() };
    environment.uses().finish(begun, Some(drawn));
    time
}

/// Notes a use of a function of the host's whose result depends on the cluster or the network: such a result is never
/// replayed.
pub fn note(state: &State<'_, '_>, function: &'static str, args: &[Value]) {
    if let Some(environment) = state.host::<Environment>() {
        let (begun, _) = begin(environment, &state.location(), function, digest(args));
        environment.uses().note(begun);
    }
}

/// The same of a variable, once for each line that has it: a loop may take it as often as it likes.
pub fn note_line(state: &State<'_, '_>, variable: &'static str) {
    if let Some(environment) = state.host::<Environment>() {
        let place = state.location();
        let (begun, _) = begin(environment, &place, variable, place.line.to_string());
        if begun.occurrence == 0 {
            environment.uses().note(Use { arguments: String::new(), ..begun });
        }
    }
}

/// A digest of arguments, each told from the next.
fn digest(args: &[Value]) -> String {
    if args.is_empty() {
        return String::new();
    }
    let mut context = Context::new(&SHA256);
    for arg in args {
        let text = json::encode(arg, json::Style::COMPACT).map_or_else(
            // What has no JSON, such as bytes that are no text, has at least Go's print.
            |_| pintle_gotemplate::printf::to_text(arg),
            String::into_bytes,
        );
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(&text);
    }
    // Half of it tells arguments apart well enough, and many uses have to fit into one Secret.
    context.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    //! Unit: what a render draws is found again in the next one.

    use super::*;
    use crate::tests::render;

    const TEMPLATE: &str = r#"{{ randAlphaNum 12 }} {{ uuidv4 }} {{ randInt 0 1000000 }} {{ htpasswd "u" "p" }}
        {{- $ca := genCA "ca" 365 }}{{ $ca.Cert }}{{ (genSignedCert "web" (list "10.0.0.1") (list "web") 90 $ca).Key }}
        {{- now | unixEpoch }} {{ date "150405.000000000" nil }} {{ genPrivateKey "ed25519" }} {{ bcrypt "p" }}
        {{- range until 3 }} {{ randAlphaNum 12 }}{{ end }} {{ encryptAES "k" "text" }} {{ shuffle "abcdefghij" }}"#;

    /// Renders, and gives what was drawn.
    fn drawing(template: &str, earlier: &[Use]) -> (String, Vec<Use>) {
        let environment = Environment::new().with_earlier(earlier);
        environment.enter("lab/templates/a.yaml");
        let text = render(template, &environment).unwrap();
        assert!(environment.kept_all());
        (text, environment.used())
    }

    #[test]
    fn a_second_render_draws_the_same() {
        let (first, uses) = drawing(TEMPLATE, &[]);
        let stored = serde_json::to_string(&uses).unwrap();
        let uses: Vec<Use> = serde_json::from_str(&stored).unwrap();
        let (second, again) = drawing(TEMPLATE, &uses);
        assert_eq!(first, second);
        assert_eq!(uses, again);
        assert_ne!(first, drawing(TEMPLATE, &[]).0);
    }

    #[test]
    fn only_the_same_use_is_found_again() {
        let (first, uses) = drawing("{{ randAlphaNum 9 }} {{ randAlphaNum 9 }}", &[]);
        let words: Vec<&str> = first.split(' ').collect();
        for (name, template, want) in [
            ("lines above a use move it not", "\n\n{{ randAlpha 3 }}{{ randAlphaNum 9 }}", Some(words[0])),
            ("the second is the second", "{{ $_ := randAlphaNum 9 }}\n{{ randAlphaNum 9 }}", Some(words[1])),
            ("other arguments draw afresh", "\n{{ randAlphaNum 10 }}", None),
            (
                "a template of another name draws afresh",
                "{{ define \"x\" }}\n{{ randAlphaNum 9 }}{{ end }}{{ template \"x\" }}",
                None,
            ),
        ] {
            let (text, _) = drawing(template, &uses);
            let last = text.lines().last().unwrap();
            match want {
                Some(want) => assert!(last.ends_with(want), "{name}: {text}"),
                None => assert!(words.iter().all(|word| !last.contains(word)), "{name}: {text}"),
            }
        }
        let environment = Environment::new().with_earlier(&uses);
        environment.enter("lab/templates/b.yaml");
        assert_ne!(render("{{ randAlphaNum 9 }}", &environment).unwrap(), words[0], "another file");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        for template in [
            "{{ range until 10000 }}{{ randAlphaNum 1 }}{{ end }}",
            "{{ range until 10000 }}{{ randAlphaNum . }}{{ end }}",
            "{{ randAlphaNum 200000 }}",
        ] {
            let environment = Environment::new();
            render(template, &environment).unwrap();
            assert!(!environment.kept_all(), "{template}");
            assert!(environment.used().len() <= MAX_USES);
        }
    }

    #[test]
    fn values_are_not_shown() {
        let (text, uses) = drawing("{{ randAlphaNum 20 }}", &[]);
        let shown = format!("{uses:?}");
        assert!(shown.contains("randAlphaNum at lab/templates/a.yaml (t:1)"), "{shown}");
        assert!(!shown.contains(&text), "{shown}");
    }
}
