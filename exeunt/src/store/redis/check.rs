//! What a server must be like to keep the promises, and what to tell its operator.
//!
//! Must never let a set-up pass that drops sessions, or brings them back, without a word.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError};

use super::error::ConnectError;
use super::url::{Host, Mode};
use crate::session::{Clock as _, SystemClock, Timestamp};

const OLDEST: (u32, u32) = (6, 2);
/// How far two clocks may differ without a word.
const SKEW: Duration = Duration::from_secs(5);

/// What a server says of itself.
#[derive(Debug, Default)]
pub(super) struct Found {
    info: HashMap<String, String>,
    /// When it takes snapshots, and how it syncs its append-only file, where we may ask for that.
    save: Option<String>,
    appendfsync: Option<String>,
    /// Its clock and ours, as near to each other as can be told.
    clocks: (Timestamp, Timestamp),
}

impl Found {
    pub(super) async fn of(connection: &mut MultiplexedConnection) -> Result<Self, RedisError> {
        let text: String = redis::cmd("INFO").query_async(connection).await?;
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        let info = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let clock = SystemClock::new();
        let (began, asked) = (clock.running(), clock.now());
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(connection).await?;
        let ours = asked.plus(clock.running().saturating_sub(began) / 2);
        let theirs = Timestamp::from_micros(seconds.saturating_mul(1_000_000).saturating_add(micros));
        let mut config = async |name| {
            let asked: Result<HashMap<String, String>, _> = config_get(name).query_async(connection).await;
            asked.ok().and_then(|mut values| values.remove(name))
        };
        let (save, appendfsync) = (config("save").await, config("appendfsync").await);
        Ok(Self { info, save, appendfsync, clocks: (theirs, ours) })
    }

    fn said(&self, name: &str) -> &str {
        self.info.get(name).map_or("", String::as_str)
    }

    /// Whether it can keep sessions at all.
    pub(super) fn look_over(&self, host: &Host, mode: &Mode) -> Result<(), ConnectError> {
        let setup = |reason: String| Err(ConnectError::Setup { address: host.to_string(), reason });
        let version = self.said("redis_version");
        if !is_new_enough(version) {
            return Err(ConnectError::TooOld { address: host.to_string(), version: version.to_owned() });
        }
        if self.said("role") != "master" {
            return setup(
                "it is a replica: sessions are kept on the primary alone, name that one".to_owned(),
            );
        }
        match (self.said("redis_mode"), mode) {
            // One server of several answers for its own keys alone: whoever walks through all would pass the others by.
            ("cluster", Mode::Standalone | Mode::Sentinel { .. }) => {
                return setup("it belongs to a Cluster: begin the address with redis+cluster://".to_owned());
            }
            ("standalone", Mode::Cluster) => {
                return setup("it belongs to no Cluster: begin the address with redis://".to_owned());
            }
            _ => (),
        }
        match self.said("maxmemory_policy") {
            "noeviction" => Ok(()),
            policy => setup(format!(
                "its eviction policy is `{policy}`, which drops live sessions and the index that \"log out \
                 everywhere\" needs: run `CONFIG SET maxmemory-policy noeviction`, and set it in its configuration too"
            )),
        }
    }

    /// What weakens the promises, each with what to do about it.
    pub(super) fn problems(&self, wait_replicas: u8) -> Vec<String> {
        let mut problems = Vec::new();
        let (theirs, ours) = self.clocks;
        let skew = theirs.since(ours).max(ours.since(theirs));
        if skew > SKEW {
            let way = if theirs > ours { "ahead of" } else { "behind" };
            let skew = humantime::format_duration(Duration::from_secs(skew.as_secs()));
            problems.push(format!("its clock is {skew} {way} this machine's: let both follow a time server"));
        }
        let snapshots = self.save.as_deref().is_none_or(|save| !save.is_empty());
        if self.said("aof_enabled") == "0" && snapshots {
            let from =
                if self.save.is_some() { "restarts from a snapshot" } else { "may restart from a snapshot" };
            problems.push(format!(
                "it {from}, and then sessions are back that ended since: set `appendonly yes`, or `save \"\"` to \
                 begin empty after a restart"
            ));
        }
        let replicas: u8 = self.said("connected_slaves").parse().unwrap_or(0);
        if replicas < wait_replicas {
            problems.push(format!(
                "it has {replicas} replicas, but a logout waits for {wait_replicas} (`wait_replicas`): until they are \
                 back, nobody can log out"
            ));
        }
        problems
    }

    /// What there is to know, in the order to show it in.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let server = match self.said("valkey_version") {
            "" => format!("redis {}", self.said("redis_version")),
            version => format!("valkey {version}"),
        };
        let persistence = match (self.said("aof_enabled"), self.save.as_deref()) {
            ("1", _) => {
                let sync = self.appendfsync.as_deref().unwrap_or("unknown");
                format!("append-only file, appendfsync {sync}")
            }
            (_, Some("")) => "none: a restart ends all sessions".to_owned(),
            (_, Some(save)) => format!("snapshots alone (save {save})"),
            (_, None) => "no append-only file; whether there are snapshots it does not say".to_owned(),
        };
        let (theirs, ours) = self.clocks;
        let sign = if theirs < ours { "-" } else { "+" };
        let skew = theirs.since(ours).max(ours.since(theirs));
        vec![
            ("server", server),
            ("persistence", persistence),
            ("eviction", self.said("maxmemory_policy").to_owned()),
            ("replicas", self.said("connected_slaves").to_owned()),
            ("clock", format!("{sign}{:.3} s from ours", skew.as_secs_f64())),
        ]
    }
}

fn config_get(name: &str) -> Cmd {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    command
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= OLDEST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(fields: &[(&str, &str)], save: Option<&str>) -> Found {
        let sound = [
            ("redis_version", "6.2.0"),
            ("role", "master"),
            ("maxmemory_policy", "noeviction"),
            ("aof_enabled", "1"),
            ("connected_slaves", "1"),
        ];
        let fields = sound.iter().chain(fields);
        let info = fields.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Found { info, save: save.map(str::to_owned), ..Found::default() }
    }

    #[test]
    fn a_server_that_cannot_keep_the_promises_is_refused() {
        let host = Host { name: "h".to_owned(), port: 1 };
        let one = Mode::Standalone;
        assert!(found(&[], None).look_over(&host, &one).is_ok());
        assert!(found(&[("redis_version", "10.0.1")], None).look_over(&host, &one).is_ok());
        assert!(found(&[("redis_mode", "cluster")], None).look_over(&host, &Mode::Cluster).is_ok());
        let error =
            found(&[("redis_mode", "standalone")], None).look_over(&host, &Mode::Cluster).unwrap_err();
        assert!(error.to_string().contains("with redis://"), "{error}");
        for (name, value, said) in [
            ("redis_version", "6.0.20", "h:1 is version 6.0.20"),
            ("role", "slave", "name that one"),
            ("redis_mode", "cluster", "redis+cluster://"),
            ("maxmemory_policy", "allkeys-lru", "CONFIG SET maxmemory-policy noeviction"),
            ("maxmemory_policy", "volatile-ttl", "CONFIG SET maxmemory-policy noeviction"),
        ] {
            let error = found(&[(name, value)], None).look_over(&host, &one).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn what_weakens_the_promises_is_told() {
        let none: &[String] = &[];
        let no_aof = ("aof_enabled", "0");
        assert_eq!(found(&[], Some("3600 1")).problems(1), none);
        assert_eq!(found(&[no_aof], Some("")).problems(0), none);
        assert!(found(&[no_aof], Some("3600 1")).problems(0)[0].contains("set `appendonly yes`"));
        assert!(found(&[no_aof], None).problems(0)[0].contains("may restart from a snapshot"));
        assert!(found(&[], None).problems(2)[0].contains("it has 1 replicas"));
        for (theirs, ours, said) in [(105, 100, ""), (106, 100, "6s ahead of"), (100, 107, "7s behind")] {
            let clocks = (Timestamp::from_secs(theirs), Timestamp::from_secs(ours));
            let problems = Found { clocks, ..found(&[], None) }.problems(0).concat();
            assert!(problems.contains(said) && problems.is_empty() == said.is_empty(), "{problems}");
        }
    }
}
