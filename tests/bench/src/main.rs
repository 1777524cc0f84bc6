//! Load generator for any v2 endpoint.

fn main() {}
