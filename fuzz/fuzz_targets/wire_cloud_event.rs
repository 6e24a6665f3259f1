//! [`annals_server::fuzz::wire_cloud_event`] for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| annals_server::fuzz::wire_cloud_event(bytes));
