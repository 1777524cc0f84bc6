//! Feeds `quorate_fuzz_targets` its target `dns_message`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| quorate_fuzz_targets::run("dns_message", input));
