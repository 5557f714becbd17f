//! A Redis Cluster of three primaries.

use anyhow::{Context as _, Result};

use crate::process::wait_for;
use crate::redis::{Redis, is_in_step};

const PRIMARIES: usize = 3;
const SLOTS: usize = 16_384;

/// A node that is silent for so many milliseconds is taken for down.
const NODE_TIMEOUT: u32 = 2_000;

/// Three primaries that share the slots evenly, each with a replica if asked for.
#[derive(Debug)]
pub struct Cluster {
    /// The first three started as primaries, those after them as their replicas, in the same order.
    nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts it, each node with further settings as in [`Redis::start`], and waits until all slots are served.
    ///
    /// # Errors
    ///
    /// If Redis is not installed, is older than 7.0, or does not start.
    pub fn start(settings: &[&str]) -> Result<Self> {
        Self::of(PRIMARIES, settings)
    }

    /// Starts one in which each primary has a replica.
    ///
    /// # Errors
    ///
    /// As of [`Cluster::start`].
    pub fn start_with_replicas(settings: &[&str]) -> Result<Self> {
        Self::of(2 * PRIMARIES, settings)
    }

    fn of(count: usize, settings: &[&str]) -> Result<Self> {
        let timeout = format!("cluster-node-timeout {NODE_TIMEOUT}");
        // A replica that was cut off for long may take over all the same: these are tests.
        let settings = [settings, &[timeout.as_str(), "cluster-replica-validity-factor 0"]].concat();
        let nodes = (0..count).map(|_| Redis::start_node(&settings)).collect::<Result<Vec<_>>>()?;
        let cluster = Self { nodes };
        cluster.join()?;
        Ok(cluster)
    }

    fn join(&self) -> Result<()> {
        let (primaries, replicas) = self.nodes.split_at(PRIMARIES);
        for (index, primary) in primaries.iter().enumerate() {
            let first = (index * SLOTS / PRIMARIES).to_string();
            let last = ((index + 1) * SLOTS / PRIMARIES - 1).to_string();
            primary.cli(&["cluster", "addslotsrange", &first, &last])?;
            primary.cli(&["cluster", "set-config-epoch", &(index + 1).to_string()])?;
        }
        let first = primaries.first().context("there are three")?;
        let (port, bus) = (first.port().to_string(), first.bus()?.to_string());
        for node in self.nodes.iter().skip(1) {
            node.cli(&["cluster", "meet", "127.0.0.1", &port, &bus])?;
        }
        wait_for("the nodes know each other", || Ok(self.agreed()?.is_some()))?;
        for (replica, primary) in replicas.iter().zip(primaries) {
            let id = primary.cli(&["cluster", "myid"])?;
            replica.cli(&["cluster", "replicate", id.trim()])?;
        }
        self.wait_until_ok()
    }

    /// Its address: `redis+cluster://127.0.0.1:P1?node=127.0.0.1:P2&node=127.0.0.1:P3`, of those that started as
    /// primaries.
    #[must_use]
    pub fn url(&self) -> String {
        let mut ports = self.nodes.iter().take(PRIMARIES).map(Redis::port);
        let first = ports.next().unwrap_or_default();
        let nodes: Vec<_> = ports.map(|port| format!("node=127.0.0.1:{port}")).collect();
        format!("redis+cluster://127.0.0.1:{first}?{}", nodes.join("&"))
    }

    /// Every node, to ask it or to cut its connections.
    #[must_use]
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Every node, to kill one or to start it again.
    #[must_use]
    pub fn nodes_mut(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }

    /// The node that serves a key, in the opinion of most of those that are up.
    ///
    /// # Errors
    ///
    /// If no node answers, or nobody serves it.
    pub fn primary_of(&self, key: &str) -> Result<&Redis> {
        self.nodes.get(self.index_of(key)?).context("a node of the cluster")
    }

    /// Ends the primary of a key as a crash does, and says which port it has.
    ///
    /// # Errors
    ///
    /// As of [`Cluster::primary_of`].
    pub fn kill_primary_of(&mut self, key: &str) -> Result<u16> {
        let index = self.index_of(key)?;
        let node = self.nodes.get_mut(index).context("a node of the cluster")?;
        node.kill();
        Ok(node.port())
    }

    /// Stops the primary of a key in the middle of whatever it does, and says which port it has.
    ///
    /// # Errors
    ///
    /// As of [`Cluster::primary_of`].
    pub fn pause_primary_of(&self, key: &str) -> Result<u16> {
        let node = self.primary_of(key)?;
        node.pause();
        Ok(node.port())
    }

    /// Lets every node go on.
    pub fn go_on(&self) {
        self.nodes.iter().for_each(Redis::go_on);
    }

    /// Starts again what was killed, with what it had written.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn restart_killed(&mut self) -> Result<()> {
        self.nodes.iter_mut().filter(|node| !node.is_started()).try_for_each(Redis::restart)
    }

    /// Cuts every connection of a client, on every node that is up.
    ///
    /// # Errors
    ///
    /// If a node does not answer.
    pub fn cut_connections(&self) -> Result<()> {
        self.nodes.iter().filter(|node| node.is_started()).try_for_each(Redis::cut_connections)
    }

    /// Waits until every node that was not killed serves slots or has all that its primary has, and all agree who serves
    /// what. None may be paused.
    ///
    /// # Errors
    ///
    /// If that does not happen within a minute.
    pub fn wait_until_ok(&self) -> Result<()> {
        wait_for("the cluster serves all slots, and each replica is in step", || {
            let Some(served) = self.agreed()? else { return Ok(false) };
            for node in self.nodes.iter().filter(|node| node.is_started()) {
                let serves = served.iter().any(|(_, _, port)| *port == node.port());
                // One that was killed has no role for a moment: it neither serves nor follows.
                if !serves && !self.follows(node)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Who serves which slots, once all that are up know each other, serve, and say the same.
    fn agreed(&self) -> Result<Option<Vec<(u16, u16, u16)>>> {
        let known = format!("cluster_known_nodes:{}\r", self.nodes.len());
        let mut views = Vec::new();
        for node in self.nodes.iter().filter(|node| node.is_started()) {
            let info = node.cli(&["cluster", "info"])?;
            if !info.contains("cluster_state:ok") || !info.contains(&known) {
                return Ok(None);
            }
            views.push(served(&node.cli(&["cluster", "nodes"])?));
        }
        let first = views.pop().context("a node is up")?;
        Ok(views.iter().all(|view| *view == first).then_some(first))
    }

    fn follows(&self, replica: &Redis) -> Result<bool> {
        let primaries = self.nodes.iter().filter(|node| node.is_started() && node.port() != replica.port());
        for primary in primaries {
            if is_in_step(replica, primary)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn index_of(&self, key: &str) -> Result<usize> {
        let mut votes = vec![0; self.nodes.len()];
        for node in self.nodes.iter().filter(|node| node.is_started()) {
            let slot: u16 = node.cli(&["cluster", "keyslot", key])?.trim().parse()?;
            let port = served(&node.cli(&["cluster", "nodes"])?)
                .into_iter()
                .find_map(|(first, last, port)| (first <= slot && slot <= last).then_some(port));
            let index = port.and_then(|port| self.nodes.iter().position(|node| node.port() == port));
            if let Some(vote) = index.and_then(|index| votes.get_mut(index)) {
                *vote += 1;
            }
        }
        let (index, votes) =
            votes.into_iter().enumerate().max_by_key(|(_, votes)| *votes).context("there are nodes")?;
        (votes > 0).then_some(index).with_context(|| format!("nobody serves the key {key:?}"))
    }
}

/// Which port serves which slots, from what `CLUSTER NODES` says: a line is
/// `id host:port@bus flags primary ping pong epoch link slots…`.
fn served(nodes: &str) -> Vec<(u16, u16, u16)> {
    let mut served = Vec::new();
    for line in nodes.lines() {
        let mut words = line.split_whitespace();
        let port = words.nth(1).and_then(|address| {
            let (host_and_port, _) = address.split_once('@')?;
            host_and_port.rsplit_once(':')?.1.parse().ok()
        });
        let Some(port) = port else { continue };
        for range in words.skip(6) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            // What moves at the moment stands in brackets, and is no range.
            if let (Ok(first), Ok(last)) = (first.parse(), last.parse()) {
                served.push((first, last, port));
            }
        }
    }
    served.sort_unstable();
    served
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_serves_what_is_read_from_the_nodes_own_words() {
        let nodes = "a1 127.0.0.1:7001@17001 myself,master - 0 0 2 connected 5461-10921 [93->-b2]\n\
                     b2 127.0.0.1:7000@17000,host master - 0 1 1 connected 0-5459 5460\n\
                     c3 127.0.0.1:7002@17002 slave a1 0 1 2 connected\n\
                     d4 :0@0 master,noaddr - 0 1 2 disconnected\n";
        assert_eq!(served(nodes), [(0, 5459, 7000), (5460, 5460, 7000), (5461, 10921, 7001)]);
    }
}
