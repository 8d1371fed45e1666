//! Faults that a test asks a coordinator for: points between a trip's first prepare and its last commit at which it dies, and guards that it
//! goes without. They come with the feature `faults`, which no release has; without it everything here is nothing.

/// The setting with a path: once a file lies there with a point's name in it, the coordinator dies there, and the file is renamed to `*.fired`.
pub const CRASH_FILE: &str = "FAULT_CRASH_FILE";
/// The setting with the name of a guard to go without.
pub const WITHOUT: &str = "FAULT_WITHOUT";

/// Where a coordinator can be told to die, in the order in which a trip passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// One database has prepared its part; of the other nothing is known.
    OnePrepared,
    /// Both have, and nothing is decided.
    AllPrepared,
    /// It is decided, and no database was told.
    Decided,
    /// One database has committed, and the other perhaps not.
    OneCommitted,
}

impl CrashPoint {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [
        Self::OnePrepared,
        Self::AllPrepared,
        Self::Decided,
        Self::OneCommitted,
    ];

    /// Its name in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnePrepared => "one-prepared",
            Self::AllPrepared => "all-prepared",
            Self::Decided => "decided",
            Self::OneCommitted => "one-committed",
        }
    }
}

/// What a coordinator can be told to go without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nothing is written down before the databases are told to commit.
    Decision,
    /// What is in doubt is not ended after a restart.
    Recovery,
}

impl Guard {
    /// Its name in the setting.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Recovery => "recovery",
        }
    }
}

/// Where it is written at which point to die.
#[cfg(feature = "faults")]
fn crash_file() -> Option<&'static std::path::Path> {
    static FILE: std::sync::LazyLock<Option<std::path::PathBuf>> =
        std::sync::LazyLock::new(|| std::env::var_os(CRASH_FILE).map(Into::into));
    FILE.as_deref()
}

/// Whether somebody is to die there.
#[cfg(feature = "faults")]
pub(crate) fn is_armed(point: CrashPoint) -> bool {
    let asked = crash_file().and_then(|file| std::fs::read_to_string(file).ok());
    asked.is_some_and(|text| text.trim() == point.as_str())
}

/// Never: this build dies nowhere.
#[cfg(not(feature = "faults"))]
pub(crate) const fn is_armed(_point: CrashPoint) -> bool {
    false
}

/// Dies here, if that is asked for.
#[cfg(feature = "faults")]
pub(crate) fn reach(point: CrashPoint) {
    // Whoever renames it dies: one of those who are here at the same time.
    if is_armed(point)
        && let Some(file) = crash_file()
        && std::fs::rename(file, file.with_extension("fired")).is_ok()
    {
        std::process::abort();
    }
}

/// Nothing: this build dies nowhere.
#[cfg(not(feature = "faults"))]
pub(crate) const fn reach(_point: CrashPoint) {}

/// Whether this coordinator was told to go without a guard.
#[cfg(feature = "faults")]
pub(crate) fn is_off(guard: Guard) -> bool {
    static OFF: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var(WITHOUT).ok());
    OFF.as_deref() == Some(guard.as_str())
}

/// Never: this build has all its guards.
#[cfg(not(feature = "faults"))]
pub(crate) const fn is_off(_guard: Guard) -> bool {
    false
}
