//! Feeds `quorate_fuzz_targets` its target `snapshot_restore`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| quorate_fuzz_targets::run("snapshot_restore", input));
