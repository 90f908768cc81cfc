//! Shapes that are only described: handlers build what they answer by hand.

pub(in crate::http) mod generation;
pub(in crate::http) mod health;
pub(in crate::http) mod library;
pub(in crate::http) mod usage;
