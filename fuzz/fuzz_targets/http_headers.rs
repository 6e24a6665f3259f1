//! [`annals_server::fuzz::http_headers`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annals_server::fuzz::http_headers(bytes));
