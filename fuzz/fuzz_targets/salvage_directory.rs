//! [`annals::testkit::fuzz::salvage_directory`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annals::testkit::fuzz::salvage_directory(bytes));
