//! The server and its command line: everything that touches the outside.
//!
//! Modules stand in reading order. What has to be decided is decided in `actors`; what providers
//! say is translated in `providers`.

