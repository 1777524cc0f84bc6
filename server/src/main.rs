//! The `quorate-server` program.

fn main() {}
