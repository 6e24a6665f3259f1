//! [`annals::testkit::fuzz::inspect_file`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annals::testkit::fuzz::inspect_file(bytes));
