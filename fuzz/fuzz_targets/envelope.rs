//! [`annals::testkit::fuzz::envelope`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annals::testkit::fuzz::envelope(bytes));
