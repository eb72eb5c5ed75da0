//! What can go wrong, and where it is tried.

use pintle::telemetry::failpoint::Failpoint;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operator is killed, and the request never reaches the server.
    KillBefore,
    /// The request is carried out, and the operator is killed before it hears of it.
    KillAfter,
    /// The operator dies by itself at a point between two writes.
    Failpoint,
    /// The request is carried out, and the connection is cut before the answer.
    LoseAnswer,
    /// The request reaches the server late.
    Delay,
    /// The server says 500 and does nothing.
    Fail,
    /// The server says 429, asks to wait for a second, and does nothing.
    Throttle,
    /// The server says 503 to this request and to those after it, more often than one request is tried.
    Outage,
    /// The connection of a watch is cut in place of an event.
    WatchCut,
    /// As a cut, and the server refuses to go on from there: 410.
    WatchGone,
    /// In place of an event the watch says that it cannot go on: an event with the code 410.
    WatchExpired,
    /// From an event on nothing comes any more, and the connection stays open.
    WatchSilent,
}

/// What the number of a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Requests that could change something.
    Writes,
    /// All requests but watches.
    Requests,
    /// Those of [`WATCHES`].
    Watches,
    /// Those of [`points`].
    Points,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::KillBefore,
        Self::KillAfter,
        Self::Failpoint,
        Self::LoseAnswer,
        Self::Delay,
        Self::Fail,
        Self::Throttle,
        Self::Outage,
        Self::WatchCut,
        Self::WatchGone,
        Self::WatchExpired,
        Self::WatchSilent,
    ];

    /// Its name on the command line and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::KillBefore => "kill-before",
            Self::KillAfter => "kill-after",
            Self::Failpoint => "failpoint",
            Self::LoseAnswer => "answer-lost",
            Self::Delay => "delay",
            Self::Fail => "status-500",
            Self::Throttle => "status-429",
            Self::Outage => "outage",
            Self::WatchCut => "watch-cut",
            Self::WatchGone => "watch-gone",
            Self::WatchExpired => "watch-expired",
            Self::WatchSilent => "watch-silent",
        }
    }

    /// What it does, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::KillBefore => "the operator is killed (SIGKILL) before the request reaches the server",
            Self::KillAfter => "the request is carried out and the operator killed before it has the answer",
            Self::Failpoint => "the operator aborts between two writes",
            Self::LoseAnswer => "the request is carried out and the connection cut before the answer",
            Self::Delay => "the request reaches the server 1.5 s late",
            Self::Fail => "the server refuses it with 500",
            Self::Throttle => "the server refuses it with 429 and asks to wait for a second",
            Self::Outage => "the server refuses it and the five after it with 503",
            Self::WatchCut => "the connection is cut in place of an event",
            Self::WatchGone => "as a cut, and the server refuses with 410 to go on from there",
            Self::WatchExpired => "an event with the code 410 comes in place of another one",
            Self::WatchSilent => "from an event on nothing comes any more, on a connection that stays open",
        }
    }

    /// What its number counts.
    pub fn counts(self) -> Counts {
        match self {
            Self::KillBefore | Self::KillAfter | Self::LoseAnswer | Self::Delay => Counts::Writes,
            Self::Fail | Self::Throttle | Self::Outage => Counts::Requests,
            Self::WatchCut | Self::WatchGone | Self::WatchExpired | Self::WatchSilent => Counts::Watches,
            Self::Failpoint => Counts::Points,
        }
    }

    /// Whether it ends the operator.
    pub fn kills(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillAfter | Self::Failpoint)
    }
}

/// Which request goes wrong, and how.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// How.
    pub fault: Fault,
    /// Which, counted as [`Fault::counts`] says; the first one is 1.
    pub nth: usize,
}

/// The watches of an operator in a life: the plural and a word of the label selector. A life in which nothing goes
/// wrong must have these and no others.
pub const WATCHES: [(&str, &str); 13] = [
    ("helmreleases", ""),
    ("chartrepositories", ""),
    ("secrets", "owner notin"),
    ("configmaps", "owner notin"),
    ("secrets", "owner in"),
    ("pods", "pintle.dev/hook"),
    ("jobs", "pintle.dev/hook"),
    ("secrets", "managed-by"),
    ("configmaps", "managed-by"),
    ("deployments", "managed-by"),
    ("jobs", "managed-by"),
    ("widgets", "managed-by"),
    ("customresourcedefinitions", ""),
];

/// The number of a watch among [`WATCHES`]; none of a request that is no watch, or of an unknown one.
pub fn watch_number(uri: &str) -> Option<usize> {
    let (path, query) = uri.split_once('?')?;
    if !query.contains("watch=true") {
        return None;
    }
    let plural = path.rsplit('/').next()?;
    let selector: String = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "labelSelector")
        .map(|(_, value)| value.into_owned())
        .collect();
    let is_meant = |(kind, word): &(&str, &str)| {
        *kind == plural && selector.contains(word) && word.is_empty() == selector.is_empty()
    };
    WATCHES.iter().position(is_meant).map(|at| at + 1)
}

/// The failpoints, each with how often it is reached before the operator dies there: some are reached more than once.
pub fn points() -> Vec<(Failpoint, u32)> {
    let times = |point| match point {
        Failpoint::RankApplied | Failpoint::Pruning => 4,
        Failpoint::Publishing => 2,
        _ => 1,
    };
    Failpoint::ALL.into_iter().flat_map(|point| (1..=times(point)).map(move |n| (point, n))).collect()
}
