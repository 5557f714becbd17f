//! The target `next_path` on a check that somebody made too short. It must fail, or fuzzing finds nothing.
#![no_main]

fn too_short(next: &str) -> Option<&str> {
    let rest = next.strip_prefix('/')?;
    (!rest.starts_with('/')).then_some(next)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::leads_nowhere_else(bytes, too_short));
