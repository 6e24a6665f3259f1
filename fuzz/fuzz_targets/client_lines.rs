//! [`annals_server::fuzz::client_lines`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annals_server::fuzz::client_lines(bytes));
