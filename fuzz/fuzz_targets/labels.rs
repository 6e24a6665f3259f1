//! [`annals::testkit::fuzz::labels`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annals::testkit::fuzz::labels(bytes));
