//! [`annals::testkit::fuzz::index_header`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annals::testkit::fuzz::index_header(bytes));
