//! Builders and independent readers for tests.
