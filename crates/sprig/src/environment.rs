//! Where clock and chance enter, so that a render can be repeated.
//!
//! A host executes templates with an [`Environment`] as its context; the functions that are not hermetic
//! (see [`NON_HERMETIC`](crate::NON_HERMETIC)) read time, zone and randomness from it and nowhere else. A host with a
//! context of its own puts that inside, see [`Environment::with_host`].

use std::any::Any;
use std::cell::{Cell, RefCell, RefMut};
use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use pintle_gotemplate::{FuncError, Limit, State};

use crate::go::failure;
use crate::impure::{Use, Uses};

/// Fills the buffer with random bytes; an error is shown to the template.
pub type Random = Box<dyn Fn(&mut [u8]) -> Result<(), String>>;

/// Makes an RSA key of so many bits, as PKCS#1 DER; an error is shown to the template.
pub type RsaKeys = Box<dyn Fn(u32) -> Result<Vec<u8>, String>>;

/// How many keys, certificates and password hashes one render may make: each takes up to seconds, in which nobody looks
/// at the clock.
const MAX_SLOW_CALLS: u32 = 500;

/// Clock, randomness and local time zone of a render.
pub struct Environment {
    clock: Box<dyn Fn() -> Timestamp>,
    random: Random,
    rsa: RsaKeys,
    time_zone: TimeZone,
    host: Option<Box<dyn Any>>,
    file: RefCell<String>,
    uses: RefCell<Uses>,
    slow_calls: Cell<u32>,
}

impl Environment {
    /// The system's clock and randomness, and UTC.
    pub fn new() -> Self {
        Self {
            clock: Box::new(Timestamp::now),
            random: Box::new(crate::random::system),
            rsa: Box::new(crate::crypto::system_rsa),
            time_zone: TimeZone::UTC,
            host: None,
            file: RefCell::default(),
            uses: RefCell::new(Uses::new(&[])),
            slow_calls: Cell::new(0),
        }
    }

    /// Replaces the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Timestamp + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Replaces the source of randomness.
    #[must_use]
    pub fn with_random(mut self, random: impl Fn(&mut [u8]) -> Result<(), String> + 'static) -> Self {
        self.random = Box::new(random);
        self
    }

    /// Replaces the source of RSA keys.
    ///
    /// The crypto library makes them from its own randomness, not from [`Environment::with_random`]; a host whose
    /// renders must repeat hands out the keys of the first one.
    #[must_use]
    pub fn with_rsa_keys(mut self, rsa: impl Fn(u32) -> Result<Vec<u8>, String> + 'static) -> Self {
        self.rsa = Box::new(rsa);
        self
    }

    /// Replaces the local time zone, Go's `time.Local`.
    #[must_use]
    pub fn with_time_zone(mut self, time_zone: TimeZone) -> Self {
        self.time_zone = time_zone;
        self
    }

    /// Carries the context of whoever embeds the library; see [`Environment::host`].
    #[must_use]
    pub fn with_host<T: Any>(mut self, host: T) -> Self {
        self.host = Some(Box::new(host));
        self
    }

    /// The context of whoever embeds the library, if it is a `T`.
    pub fn host<T: Any>(&self) -> Option<&T> {
        self.host.as_ref().and_then(|host| host.downcast_ref())
    }

    /// Gives the functions what they drew in an earlier render, as far as they are used in the same places.
    #[must_use]
    pub fn with_earlier(mut self, uses: &[Use]) -> Self {
        self.uses = RefCell::new(Uses::new(uses));
        self
    }

    /// Names the file that is rendered next: part of what identifies a use.
    pub fn enter(&self, file: &str) {
        file.clone_into(&mut self.file.borrow_mut());
    }

    /// The uses so far of functions whose result depends on clock or chance.
    pub fn used(&self) -> Vec<Use> {
        self.uses.borrow().noted().to_vec()
    }

    /// Whether all uses are noted, with their values: there is a limit to what is kept.
    pub fn kept_all(&self) -> bool {
        self.uses.borrow().are_complete()
    }

    pub(crate) fn file(&self) -> String {
        self.file.borrow().clone()
    }

    pub(crate) fn uses(&self) -> RefMut<'_, Uses> {
        self.uses.borrow_mut()
    }

    /// Counts a call that is slow on purpose.
    pub(crate) fn spend_slow_call(&self) -> Result<(), FuncError> {
        let calls = self.slow_calls.get() + 1;
        self.slow_calls.set(calls);
        if calls > MAX_SLOW_CALLS { Err(FuncError::Limit(Limit::Crypto)) } else { Ok(()) }
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The local time zone.
    pub fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }

    /// A new RSA key of `bits` bits, as PKCS#1 DER.
    pub(crate) fn rsa(&self, bits: u32) -> Result<Vec<u8>, String> {
        (self.rsa)(bits)
    }

    /// Fills `buffer` with random bytes.
    ///
    /// # Errors
    ///
    /// The source's own text.
    pub fn fill(&self, buffer: &mut [u8]) -> Result<(), FuncError> {
        (self.random)(buffer).map_err(failure)
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("time_zone", &self.time_zone)
            .field("used", &self.used())
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// For hosts that have no environment: the system's clock and randomness.
    static SYSTEM: Environment = Environment::new();
}

/// Runs `function` with the environment of the execution.
pub(crate) fn with<T>(state: &State<'_, '_>, function: impl FnOnce(&Environment) -> T) -> T {
    match state.host::<Environment>() {
        Some(environment) => function(environment),
        None => SYSTEM.with(function),
    }
}
