//! Feeds `quorate_fuzz_targets` its target `client_request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| quorate_fuzz_targets::run("client_request", input));
