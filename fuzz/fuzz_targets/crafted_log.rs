//! [`annals::testkit::fuzz::crafted_log`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annals::testkit::fuzz::crafted_log(bytes));
