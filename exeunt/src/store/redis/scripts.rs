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
        let body = body.to_owned();
        let name = Script::new(&body).get_hash().to_owned();
        Self { body, name }
    }

    /// With what all scripts on a session's value use.
    fn of_session(body: &str) -> Self {
        Self::new(&format!("{SESSION}{body}"))
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
const SESSION: &str = r"
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

/// The `names` that a `user` has in a bucket lie in `fields` fields, eight in each: a longer value would cost all users of
/// the bucket their short form (`hash-max-listpack-value`). No function, as the next one: to make one each time takes
/// longer than to read the names.
const READ: &str = r"
local names, fields = redis.call('HGET', KEYS[1], user) or '', 1
while #names == fields * 64 do
  local more = redis.call('HGET', KEYS[1], user .. '\0' .. fields)
  if not more then break end
  names, fields = names .. more, fields + 1
end
local old = names
";

/// Writes those fields that are others than before; most users have one.
const WRITE: &str = r"
if #old <= 64 and #names <= 64 then
  if names == '' then redis.call('HDEL', KEYS[1], user)
  elseif names ~= old then redis.call('HSET', KEYS[1], user, names) end
else
  for at = 1, math.max(#old, #names), 64 do
    local is, field = string.sub(names, at, at + 63), user
    if at > 1 then field = user .. '\0' .. (at - 1) / 64 end
    if is == '' then redis.call('HDEL', KEYS[1], field)
    elseif is ~= string.sub(old, at, at + 63) then redis.call('HSET', KEYS[1], field, is) end
  end
end
";

/// `place` says where a name stands among others, if it does.
const PLACE: &str = r"
local function place(names, name)
  local at = string.find(names, name, 1, true)
  while at and at % 8 ~= 1 do at = string.find(names, name, at + 1, true) end
  return at
end
";

/// Adds a name to those of a user, in place of another, and the bucket then outlives that session. `user, name, other name,
/// keep until (ms), limit`: all names of the user if there are more than the limit, else nothing.
///
/// A bucket that is new has no expiry, and `left` is -1 then. Where one of the two names is, the bucket is kept long enough since that one was added.
pub(super) static ENTER: LazyLock<Lua> = LazyLock::new(|| {
    let add = format!(
        r"
local found = false
if names == '' then names = ARGV[2]
elseif names == ARGV[3] then names, found = ARGV[2], true
else
  {PLACE}
  local at, other = place(names, ARGV[2]), ARGV[3] ~= '' and place(names, ARGV[3])
  found = at or other
  if other then
    names = string.sub(names, 1, other - 1) .. (at and '' or ARGV[2]) .. string.sub(names, other + 8)
  elseif not at then names = names .. ARGV[2] end
end
"
    );
    let keep = r"
if not found then
  local left = redis.call('PTTL', KEYS[1])
  local time = redis.call('TIME')
  if time[1] * 1000 + math.floor(time[2] / 1000) + left < tonumber(ARGV[4]) then
    redis.call('PEXPIREAT', KEYS[1], ARGV[4])
  end
end
if #names > 8 * tonumber(ARGV[5]) then return names end
return ''
";
    Lua::new(&format!("local user = ARGV[1] {READ}{add}{WRITE}{keep}"))
});

/// `user, names, user, names, …`: takes those names, and no others, out of a bucket.
pub(super) static STRIKE: LazyLock<Lua> = LazyLock::new(|| {
    let strike = format!(
        r"
if names == string.sub(struck, 1, 8) then names = ''
else
  {PLACE}
  for next = 1, #struck, 8 do
    local at = place(names, string.sub(struck, next, next + 7))
    if at then names = string.sub(names, 1, at - 1) .. string.sub(names, at + 8) end
  end
end
"
    );
    let each = "for next = 1, #ARGV, 2 do local user, struck = ARGV[next], ARGV[next + 1]";
    Lua::new(&format!("{each} {READ}{strike}{WRITE} end return 1"))
});

/// `user`: all names of the user. Nobody is called nothing: to take that out changes nothing, but a replica refuses it.
pub(super) static NAMES: LazyLock<Lua> = LazyLock::new(|| {
    Lua::new(&format!("local user = ARGV[1] redis.call('HDEL', KEYS[1], '') {READ} return names"))
});

/// `verifier, now, expires`: 1, or 0 if there is no such session.
pub(super) static TOUCH: LazyLock<Lua> = LazyLock::new(|| {
    Lua::of_session(
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
    Lua::of_session(
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
    Lua::of_session(
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

/// A script whose first write takes no room is not refused by a server that is full: it is full of what expired, maybe.
///
/// `now`: the value of an expired session, which is then gone; else nothing.
pub(super) static PURGE: LazyLock<Lua> = LazyLock::new(|| {
    Lua::of_session(
        r"
local value = redis.call('GETEX', KEYS[1])
if not value or live(KEYS[1], nil, ARGV[1]) then return false end
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
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
",
    )
});
