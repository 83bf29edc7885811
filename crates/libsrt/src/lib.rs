//! A thin safe binding to libsrt.
