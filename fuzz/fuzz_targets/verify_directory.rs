//! [`annals::testkit::fuzz::verify_directory`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annals::testkit::fuzz::verify_directory(bytes));
