//! The program `exeunt`.

fn main() {}
