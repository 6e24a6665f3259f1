//! [`annals_server::fuzz::wire_events`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annals_server::fuzz::wire_events(bytes));
