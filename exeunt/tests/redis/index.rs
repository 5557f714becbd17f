//! The index as it lies in Redis, for tests that look at it or spoil it.

use services::Redis;

/// The bucket of user 1.
pub(crate) const BUCKET: &str = "exeunt:i:9842";

/// The names of user 1: ids, and those of logins on their way negative.
pub(crate) fn members(server: &Redis) -> Vec<i64> {
    let script = "local names = redis.call('HGET', KEYS[1], '1') or ''
        return (names:gsub('.', function(byte) return string.format('%02x', byte:byte()) end))";
    let hex = server.cli(&["eval", script, "1", BUCKET]).unwrap();
    let names = hex.trim().as_bytes().chunks(16).map(|name| std::str::from_utf8(name).unwrap());
    names.map(|name| u64::from_str_radix(name, 16).unwrap().cast_signed()).collect()
}

/// Adds a name to those of user 1.
pub(crate) fn add(server: &Redis, name: i64) {
    let script = "local name = ARGV[1]:gsub('..', function(hex) return string.char(tonumber(hex, 16)) end)
        return redis.call('HSET', KEYS[1], '1', (redis.call('HGET', KEYS[1], '1') or '') .. name)";
    let name = format!("{:016x}", name.cast_unsigned());
    server.cli(&["eval", script, "1", BUCKET, &name]).unwrap();
}
