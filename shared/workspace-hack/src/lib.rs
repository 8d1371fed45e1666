//! Nothing but its `Cargo.toml`, which asks for the features of dependencies that any member needs, so that building one member alone
//! needs no other build of them than building all does. No code, and no dependency that the members do not have already.
