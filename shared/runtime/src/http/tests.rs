//! Drives a real socket: what a caller gets for every error that the framework itself can make.
