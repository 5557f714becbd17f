//! What a server must be like to keep the promises, and what to tell its operator.
//!
//! Must never let a set-up pass that drops sessions, or brings them back, without a word.

use super::error::ConnectError;
use super::node::Info;
use super::url::Host;

const OLDEST: (u32, u32) = (6, 2);

/// Whether a server can keep sessions at all.
pub(super) fn look_over(host: &Host, info: &Info) -> Result<(), ConnectError> {
    let address = || host.to_string();
    let setup = |reason: String| Err(ConnectError::Setup { address: host.to_string(), reason });
    let version = said(info, "redis_version");
    if !is_new_enough(version) {
        return Err(ConnectError::TooOld { address: address(), version: version.to_owned() });
    }
    if said(info, "role") != "master" {
        return setup("it is a replica: sessions are kept on the primary alone, name that one".to_owned());
    }
    match said(info, "maxmemory_policy") {
        "noeviction" => Ok(()),
        policy => setup(format!(
            "its eviction policy is `{policy}`, which drops live sessions and the index that \"log out everywhere\" \
             needs: run `CONFIG SET maxmemory-policy noeviction`, and set it in its configuration too"
        )),
    }
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= OLDEST
}

pub(super) fn said<'a>(info: &'a Info, name: &str) -> &'a str {
    info.get(name).map_or("", String::as_str)
}
