//! The steps on one key that are more than one command.
//!
//! A script must never touch a second key: in a cluster that one may lie on another server.

use std::sync::LazyLock;

use redis::{Cmd, Script};

/// A script and its name on the server.
#[derive(Debug)]
pub(super) struct Lua {
    body: String,
    name: String,
}

impl Lua {
    fn new(body: &str) -> Self {
        let body = format!("{COMMON}{body}");
        let name = Script::new(&body).get_hash().to_owned();
        Self { body, name }
    }

    /// Runs it by its name; a server that does not know it says NOSCRIPT, and has done nothing.
    pub(super) fn by_name(&self, key: &str, values: &[&[u8]]) -> Cmd {
        command("EVALSHA", &self.name, key, values)
    }

    /// Runs it and makes its name known.
    pub(super) fn whole(&self, key: &str, values: &[&[u8]]) -> Cmd {
        command("EVAL", &self.body, key, values)
    }
}

fn command(name: &str, script: &str, key: &str, values: &[&[u8]]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(1).arg(key).arg(values);
    command
}

/// Compares and adds as numbers: Lua compares texts as the locale of the server would sort them. Both halves of an
/// instant are exact in Lua's numbers, and all of it in milliseconds.
///
/// `live` gives the fixed part of a value that is live and under that verifier, or nothing. Writing nothing at its start
/// changes nothing and makes no key, but a replica refuses it: it must not say "gone" of what it does not have. `later` the later of two
/// instants; `until_ms` the instant one hour after another, in milliseconds; `texts` where the user and what follows begin.
const COMMON: &str = r"
local function earlier(a, b)
  local ah, al = struct.unpack('>I4I4', a)
  local bh, bl = struct.unpack('>I4I4', b)
  return ah < bh or (ah == bh and al < bl)
end
local function later(a, b) if earlier(a, b) then return b end return a end
local function until_ms(instant)
  local high, low = struct.unpack('>I4I4', instant)
  local ms = math.floor((high * 4294967296 + low) / 1000) + 3600000
  return string.format('%.0f', math.min(ms, 9007199254740991))
end
local function live(key, verifier, now)
  redis.call('SETRANGE', key, 0, '')
  local head = redis.call('GETRANGE', key, 0, 69)
  if head == '' then return nil end
  if string.byte(head) ~= 1 then return redis.error_reply('NEWERFORM a newer exeunt wrote this session') end
  if verifier and string.sub(head, 7, 38) ~= verifier then return nil end
  if not earlier(now, string.sub(head, 55, 62)) then return nil end
  return head
end
local function extended(head, seen, expires)
  local ends = string.sub(head, 63, 70)
  if earlier(ends, expires) then expires = ends end
  return later(string.sub(head, 47, 54), seen), later(string.sub(head, 55, 62), expires)
end
local function has(head, flag) return math.floor(string.byte(head, 2) / flag) % 2 == 1 end
local function texts(head)
  local at = 71
  if has(head, 4) then at = at + 8 end
  if has(head, 2) then at = at + 32 end
  return at
end
";

/// Adds a name to a user's index, in place of another, and the index then outlives that session. `name, other name, keep
/// until (ms), limit`: all members if there are more than the limit, else nothing.
pub(super) static INDEX: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        r"
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SREM', KEYS[1], ARGV[2])
local left = redis.call('PTTL', KEYS[1])
local time = redis.call('TIME')
if left < 0 or time[1] * 1000 + math.floor(time[2] / 1000) + left < tonumber(ARGV[3]) then
  redis.call('PEXPIREAT', KEYS[1], ARGV[3])
end
if redis.call('SCARD', KEYS[1]) > tonumber(ARGV[4]) then return redis.call('SMEMBERS', KEYS[1]) end
return {}
",
    )
});

/// All ids in an index. Taking out what is not in it changes nothing, but a replica refuses it.
pub(super) static MEMBERS: LazyLock<Lua> =
    LazyLock::new(|| Lua::new("redis.call('SREM', KEYS[1], '') return redis.call('SMEMBERS', KEYS[1])"));

/// `verifier, now, expires`: 1, or 0 if there is no such session.
pub(super) static TOUCH: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        r"
local head = live(KEYS[1], ARGV[1], ARGV[2])
if not head then return 0 end
if type(head) == 'table' then return head end
local seen, expires = extended(head, ARGV[2], ARGV[3])
redis.call('SETRANGE', KEYS[1], 46, seen .. expires)
redis.call('PEXPIREAT', KEYS[1], until_ms(expires))
return 1
",
    )
});

/// `old verifier, now, expires, new verifier`: 1, or 0 if there is no such session.
pub(super) static RENEW: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        r"
local head = live(KEYS[1], ARGV[1], ARGV[2])
if not head then return 0 end
if type(head) == 'table' then return head end
local seen, expires = extended(head, ARGV[2], ARGV[3])
local flags, authenticated = string.byte(head, 2), string.sub(head, 39, 46)
if has(head, 4) then authenticated = redis.call('GETRANGE', KEYS[1], 70, 77) else flags = flags + 4 end
if not has(head, 2) then flags = flags + 2 end
local value = string.sub(head, 1, 1) .. string.char(flags) .. string.sub(head, 3, 6) .. ARGV[4]
  .. string.sub(head, 39, 46) .. seen .. expires .. string.sub(head, 63, 70)
  .. later(authenticated, ARGV[2]) .. ARGV[1] .. redis.call('GETRANGE', KEYS[1], texts(head) - 1, -1)
redis.call('SET', KEYS[1], value, 'PXAT', until_ms(expires))
return 1
",
    )
});

/// `verifier, now, revision, next revision, data`: 1, 2 under another revision, or 0 if there is no such session.
pub(super) static SAVE: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        r"
local head = live(KEYS[1], ARGV[1], ARGV[2])
if not head then return 0 end
if type(head) == 'table' then return head end
if string.sub(head, 3, 6) ~= ARGV[3] then return 2 end
local value, user = redis.call('GET', KEYS[1]), texts(head)
local client = user + 1 + string.byte(value, user)
local data = client + 1 + string.byte(value, client)
value = string.sub(value, 1, 2) .. ARGV[4] .. string.sub(value, 7, data - 1) .. ARGV[5]
redis.call('SET', KEYS[1], value, 'KEEPTTL')
return 1
",
    )
});

/// `now`: the value of an expired session, which is then gone; else nothing.
pub(super) static PURGE: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        r"
local head = live(KEYS[1], nil, ARGV[1])
if head then return false end
local value = redis.call('GET', KEYS[1])
if not value then return false end
redis.call('DEL', KEYS[1])
return value
",
    )
});

/// `owner, milliseconds`: 1 if the lease is ours from now on, else 0.
pub(super) static LEASE: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(
        r"
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
",
    )
});
