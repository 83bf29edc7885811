//! The `nowcast` binary.
fn main() {}
