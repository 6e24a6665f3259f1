//! The tests that see the store from outside, in one binary.

mod append;
mod segments;
mod support;
mod tidy;
