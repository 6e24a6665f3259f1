//! [`annals::testkit::fuzz::metadata`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annals::testkit::fuzz::metadata(bytes));
