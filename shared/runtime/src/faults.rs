//! Faults that a test asks a service for: named points at which it dies, and guards that it goes without.
//!
//! They prove the tests: a service that dies between any two steps must lose nothing, and one that goes without a guard must
//! turn the suite red. Both come with the feature `faults`, which no image has; without it everything here is nothing. Not for
//! faults from outside (a signal, a lost connection, a full disk): those need no help from the service.

/// A list of names, in order, as an enum; a new line needs nothing else, since tests go through `ALL`.
macro_rules! names {
    ($(#[$about:meta])* $kind:ident { $($(#[$doc:meta])* $name:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind { $($(#[$doc])* $name,)+ }

        impl $kind {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name in settings.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

names! {
    /// Where a service can be told to die, in the order in which a fact passes them. Each is reached by facts, commands and due
    /// records alike, but for those that only a fact has: received, and acknowledged; and [those of calls](CrashPoint::OF_CALLS).
    CrashPoint {
        /// A fact was read, and waits for its batch.
        Received = "received",
        /// The transaction is open and its rows are loaded.
        Loaded = "loaded",
        /// Everything is judged; on PostgreSQL it is saved, too.
        BeforeCommit = "before-commit",
        /// It is on disk, and nobody was told.
        AfterCommit = "after-commit",
        /// A fact is about to be handed to the broker's client.
        BeforePublish = "before-publish",
        /// The broker has stored it, and its outbox row is still there.
        AfterPublish = "after-publish",
        /// A fact was applied, and its message is about to be acknowledged.
        BeforeAck = "before-ack",
        /// It was acknowledged.
        AfterAck = "after-ack",
        /// A call is leased, and nobody has begun to perform it.
        CallClaimed = "call-claimed",
        /// A call was answered, and the answer is in nobody's hands but those of who performed it.
        CallPerformed = "call-performed",
    }
}

impl CrashPoint {
    /// Those that only a service with calls passes.
    pub const OF_CALLS: [Self; 2] = [Self::CallClaimed, Self::CallPerformed];
}

names! {
    /// What a service can be told to go without.
    Guard {
        /// A fact's id is not looked up: whatever comes twice is applied twice.
        Inbox = "inbox",
        /// What is said is not kept with the transaction that says it, but only handed to the publisher.
        Outbox = "outbox",
        /// Nobody who waits asks again.
        Reannouncing = "reannouncing",
        /// A service gives away more than it has.
        Capacity = "capacity",
        /// The sweeper takes whatever it finds, whether it can be published or not, and again when it is swept again.
        SweepBound = "sweep-bound",
    }
}

/// The setting with a path: once a file lies there with a point's name in it (`after-commit`, or `after-commit 2` for the second time),
/// the service dies there. It renames the file to `*.fired` first, so that it dies once and leaves the proof that it did.
pub const CRASH_FILE: &str = "FAULT_CRASH_FILE";
/// The setting with the name of a guard to go without.
pub const WITHOUT: &str = "FAULT_WITHOUT";

/// Dies here, if that is asked for.
#[cfg(feature = "faults")]
pub(crate) fn reach(point: CrashPoint) {
    use std::path::PathBuf;
    use std::sync::LazyLock;

    static FILE: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os(CRASH_FILE).map(PathBuf::from));
    let Some(file) = FILE.as_ref() else { return };
    let Ok(asked) = std::fs::read_to_string(file) else {
        return;
    };
    let mut words = asked.split_whitespace();
    if words.next() != Some(point.as_str()) {
        return;
    }
    // Each point is reached by one task only, so nobody else counts at the same time; but calls are performed side by side, and of those
    // that are at the same moment one may count for two.
    let times: u32 = words
        .next()
        .and_then(|times| times.parse().ok())
        .unwrap_or(1);
    if times > 1 {
        let _ = std::fs::write(file, format!("{} {}", point.as_str(), times - 1));
        return;
    }
    if std::fs::rename(file, file.with_extension("fired")).is_ok() {
        tracing::warn!(point = point.as_str(), "dying here, as asked");
        std::process::abort();
    }
}

/// Nothing: this build dies nowhere.
#[cfg(not(feature = "faults"))]
pub(crate) const fn reach(_point: CrashPoint) {}

/// Whether this service was told to go without a guard.
#[cfg(feature = "faults")]
#[must_use]
pub fn is_off(guard: Guard) -> bool {
    static OFF: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var(WITHOUT).ok());
    OFF.as_deref() == Some(guard.as_str())
}

/// Never: this build has all its guards.
#[cfg(not(feature = "faults"))]
#[must_use]
pub const fn is_off(_guard: Guard) -> bool {
    false
}
