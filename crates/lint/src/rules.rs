//! The rules, by theme: a function for each, and what it looks at as its arguments.

pub(crate) mod constancy;
pub(crate) mod date_ranges;
pub(crate) mod delta;
pub(crate) mod generations;
pub(crate) mod http;
pub(crate) mod media;
pub(crate) mod multivariant;
pub(crate) mod parts;
pub(crate) mod presentation;
pub(crate) mod probes;
pub(crate) mod reload;
pub(crate) mod syntax;
