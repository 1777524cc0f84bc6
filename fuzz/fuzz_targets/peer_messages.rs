//! Feeds `quorate_fuzz_targets` its target `peer_messages`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| quorate_fuzz_targets::run("peer_messages", input));
