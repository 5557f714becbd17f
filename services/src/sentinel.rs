//! A primary, its replica, and three sentinels that watch them.

use anyhow::{Context as _, Result, bail};

use crate::process::wait_for;
use crate::redis::{Redis, is_in_step};

const MASTER: &str = "mymaster";
const SENTINELS: usize = 3;
const QUORUM: usize = 2;

/// A primary that is silent for so many milliseconds is taken for down.
const DOWN_AFTER: u32 = 500;

/// What makes sentinels decide in about a second and not in ten. A machine that is busy must not count as a clock that
/// jumped (tilt).
const QUICK: &[(&str, &str)] = &[
    ("info-period", "500"),
    ("ping-period", "100"),
    ("ask-period", "100"),
    ("publish-period", "200"),
    ("election-timeout", "1000"),
    ("tilt-trigger", "60000"),
];

/// A primary with one replica, watched by three sentinels of which two must agree.
#[derive(Debug)]
pub struct Sentinel {
    sentinels: Vec<Redis>,
    nodes: Vec<Redis>,
}

impl Sentinel {
    /// Starts all five, the two servers with further settings as in [`Redis::start`], and waits until they know each
    /// other.
    ///
    /// # Errors
    ///
    /// If Redis is not installed or does not start.
    pub fn start(settings: &[&str]) -> Result<Self> {
        let primary = Redis::start(settings)?;
        let replicaof = format!("replicaof 127.0.0.1 {}", primary.port());
        let replica = Redis::start(&[settings, &[&replicaof]].concat())?;
        wait_for("the replica is in step", || is_in_step(&replica, &primary))?;
        let watch = [
            format!("sentinel monitor {MASTER} 127.0.0.1 {} {QUORUM}", primary.port()),
            format!("sentinel down-after-milliseconds {MASTER} {DOWN_AFTER}"),
            format!("sentinel failover-timeout {MASTER} 2000"),
        ];
        let watch: Vec<_> = watch.iter().map(String::as_str).collect();
        let sentinels = (0..SENTINELS).map(|_| Redis::start_sentinel(&watch)).collect::<Result<Vec<_>>>()?;
        let started = Self { sentinels, nodes: vec![primary, replica] };
        for sentinel in &started.sentinels {
            let quick = QUICK.iter().flat_map(|&(name, value)| [name, value]);
            sentinel.cli(&["sentinel", "debug"].into_iter().chain(quick).collect::<Vec<_>>())?;
        }
        started.wait_until_all_is_well()?;
        Ok(started)
    }

    /// Its address: `redis+sentinel://127.0.0.1:P1/0?node=127.0.0.1:P2&node=127.0.0.1:P3&master=mymaster`.
    #[must_use]
    pub fn url(&self) -> String {
        let mut ports = self.sentinels.iter().map(Redis::port);
        let first = ports.next().unwrap_or_default();
        let nodes: String = ports.map(|port| format!("node=127.0.0.1:{port}&")).collect();
        format!("redis+sentinel://127.0.0.1:{first}/0?{nodes}master={MASTER}")
    }

    #[cfg(test)]
    pub(crate) fn folders(&self) -> Vec<std::path::PathBuf> {
        self.sentinels.iter().chain(&self.nodes).map(|server| server.folder().to_owned()).collect()
    }

    /// The sentinels, to pause one or to ask it.
    #[must_use]
    pub fn sentinels(&self) -> &[Redis] {
        &self.sentinels
    }

    /// The sentinels, to kill one or to start it again.
    #[must_use]
    pub fn sentinels_mut(&mut self) -> &mut [Redis] {
        &mut self.sentinels
    }

    /// The server that the sentinels name at present. It may be down or paused.
    ///
    /// # Errors
    ///
    /// If no sentinel answers, or two differ.
    pub fn primary(&self) -> Result<&Redis> {
        self.nodes.get(self.named()?).context("a sentinel names one of two")
    }

    /// The other server.
    ///
    /// # Errors
    ///
    /// As of [`Sentinel::primary`].
    pub fn replica(&self) -> Result<&Redis> {
        self.nodes.get(1 - self.named()?).context("a sentinel names one of two")
    }

    /// Ends the present primary as a crash does, and says which port it has: see [`Sentinel::wait_for_another`].
    ///
    /// # Errors
    ///
    /// As of [`Sentinel::primary`].
    pub fn kill_primary(&mut self) -> Result<u16> {
        let named = self.named()?;
        let primary = self.nodes.get_mut(named).context("a sentinel names one of two")?;
        primary.kill();
        Ok(primary.port())
    }

    /// Stops the present primary in the middle of whatever it does, and says which port it has.
    ///
    /// [`Sentinel::go_on`] lets it go on: it then still takes itself for the primary, until the sentinels tell it.
    ///
    /// # Errors
    ///
    /// As of [`Sentinel::primary`].
    pub fn pause_primary(&self) -> Result<u16> {
        let primary = self.primary()?;
        primary.pause();
        Ok(primary.port())
    }

    /// Lets both servers go on.
    pub fn go_on(&self) {
        self.nodes.iter().for_each(Redis::go_on);
    }

    /// Starts again what was killed, with what it had written. A former primary comes back as one, until the sentinels
    /// tell it otherwise.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn restart_killed(&mut self) -> Result<()> {
        let killed = self.nodes.iter_mut().chain(&mut self.sentinels).filter(|server| !server.is_started());
        killed.into_iter().try_for_each(Redis::restart)
    }

    /// Waits until all sentinels name another primary than that on the port `former`, and it takes writes.
    ///
    /// # Errors
    ///
    /// If that does not happen within a minute.
    pub fn wait_for_another(&self, former: u16) -> Result<&Redis> {
        wait_for("another primary is named", || {
            let primary = self.primary()?;
            Ok(primary.port() != former && is_primary(primary)?)
        })?;
        self.primary()
    }

    /// Kills the present primary and waits for the next one: after it, one server is left, until
    /// [`Sentinel::restart_killed`].
    ///
    /// # Errors
    ///
    /// As of [`Sentinel::wait_for_another`].
    pub fn fail_over(&mut self) -> Result<&Redis> {
        let former = self.kill_primary()?;
        self.wait_for_another(former)
    }

    /// Waits until the primary has its replica, and every sentinel knows both and the other sentinels: from then on the
    /// next failover can come.
    ///
    /// # Errors
    ///
    /// If that does not happen within a minute.
    pub fn wait_until_all_is_well(&self) -> Result<()> {
        wait_for("a primary, its replica and three sentinels know each other", || {
            let (primary, replica) = (self.primary()?, self.replica()?);
            if !is_primary(primary)? || !is_in_step(replica, primary)? {
                return Ok(false);
            }
            for sentinel in &self.sentinels {
                let master = fields(&sentinel.cli(&["sentinel", "master", MASTER])?);
                let is = |name: &str, value: &str| master.iter().any(|(n, v)| n == name && v == value);
                let others = (SENTINELS - 1).to_string();
                if !is("flags", "master") || !is("num-slaves", "1") || !is("num-other-sentinels", &others) {
                    return Ok(false);
                }
                let replica = fields(&sentinel.cli(&["sentinel", "replicas", MASTER])?);
                let up = [("flags", "slave"), ("master-link-status", "ok")];
                if !up.iter().all(|(name, value)| replica.iter().any(|(n, v)| n == name && v == value)) {
                    return Ok(false);
                }
                sentinel.cli(&["sentinel", "ckquorum", MASTER])?;
            }
            Ok(true)
        })
    }

    /// Which of the servers all sentinels name that are up.
    fn named(&self) -> Result<usize> {
        let up = self.sentinels.iter().filter(|sentinel| sentinel.is_started());
        let mut named = None;
        for sentinel in up {
            let answer = sentinel.cli(&["sentinel", "get-master-addr-by-name", MASTER])?;
            let port: u16 =
                answer.lines().nth(1).context("a sentinel names host and port")?.trim().parse()?;
            let found = self.nodes.iter().position(|node| node.port() == port);
            let found = found.context("a sentinel names one of two")?;
            if named.replace(found).is_some_and(|before| before != found) {
                bail!("the sentinels do not agree yet");
            }
        }
        named.context("a sentinel is up")
    }
}

fn is_primary(redis: &Redis) -> Result<bool> {
    Ok(redis.cli(&["role"])?.lines().next().is_some_and(|role| role.trim() == "master"))
}

/// Names and values, as `redis-cli` prints them: a line each.
fn fields(answer: &str) -> Vec<(String, String)> {
    let lines: Vec<_> = answer.lines().map(|line| line.trim().to_owned()).collect();
    let mut lines = lines.into_iter();
    let mut fields = Vec::new();
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        fields.push((name, value));
    }
    fields
}
