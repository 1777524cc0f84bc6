//! Feeds `quorate_fuzz_targets` its target `peer_frames`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| quorate_fuzz_targets::run("peer_frames", input));
