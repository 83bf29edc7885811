//! Builders and independent readers for tests.

pub mod tools;
