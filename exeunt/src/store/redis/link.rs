//! From a key to the server that has it, in every mode.
//!
//! Must never repeat a step that may have happened, unless happening twice is the same as once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use redis::{Cmd, ErrorKind, Pipeline, ServerErrorKind, Value};
use tokio::time::Instant;

use super::error::{ConnectError, Fault, Redirect};
use super::find;
use super::map::Map;
use super::node::{Node, Open, Role, answer};
use super::scripts::Lua;
use super::url::{Config, Host, Mode};

/// How often a step goes to another server than it was first sent to.
const REDIRECTS: usize = 4;
/// `GETEX` without more is a `GET` that counts as a write: a server that was made a replica, or has lost its replicas and
/// may then not write (`min-replicas-to-write`), refuses it instead of reading out what ended elsewhere.
pub(super) const READ: &str = "GETEX";
/// Values asked for at once.
const AT_ONCE: usize = 500;

/// Whether a step may be sent again when nobody knows whether it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twice {
    /// Twice is the same as once.
    Harmless,
    /// The second would answer otherwise than the first.
    Never,
}

/// What is done on the server that has a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    Command(&'a Cmd),
    /// Takes a value away, if that was not done before, and waits for the replicas.
    Replicated(Option<&'a Cmd>),
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) config: Arc<Config>,
    primaries: Mutex<HashMap<Host, Arc<Node>>>,
    guides: Mutex<HashMap<Host, Arc<Node>>>,
    map: Mutex<Option<Arc<Map>>>,
    finding: tokio::sync::Mutex<()>,
}

impl Link {
    pub(super) fn new(config: Config) -> Self {
        let (primaries, guides, map, finding) = Default::default();
        Self { config: Arc::new(config), primaries, guides, map, finding }
    }

    /// Reaches every primary once.
    pub(super) async fn connect(&self) -> Result<(), ConnectError> {
        let until = self.until();
        let opened = async {
            for node in self.all_primaries(until).await? {
                node.open(until).await?;
            }
            Ok(())
        };
        opened.await.map_err(|fault: Fault| fault.of_connecting(&self.config.shown))
    }

    /// When a step that begins now has to be over.
    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.config.deadline
    }

    /// Sends a command to the server that has the key.
    pub(super) async fn ask(
        &self,
        key: &str,
        command: &Cmd,
        twice: Twice,
        until: Instant,
    ) -> Result<Value, Fault> {
        let failed = match self.at_hand(key) {
            Some(open) => match open.ask(command, until).await {
                Ok(done) => return Ok(done),
                Err(fault) => Some(fault),
            },
            None => None,
        };
        // Apart, so that the common case makes a small future: each request has one.
        Box::pin(self.on_primary(key, Step::Command(command), failed, twice, until)).await
    }

    /// The open connection to the server that has the key, as far as is known.
    fn at_hand(&self, key: &str) -> Option<Arc<Open>> {
        let map = self.known_map()?;
        let host = map.host(key).ok()?;
        lock(&self.primaries).get(host)?.opened()
    }

    /// Runs a script on a key.
    pub(super) async fn run(
        &self,
        script: &Lua,
        key: &str,
        values: &[&[u8]],
        twice: Twice,
        until: Instant,
    ) -> Result<Value, Fault> {
        match self.ask(key, &script.by_name(key, values), twice, until).await {
            Err(Fault::Said { source, .. })
                if source.kind() == ErrorKind::Server(ServerErrorKind::NoScript) =>
            {
                self.ask(key, &script.whole(key, values), twice, until).await
            }
            answered => answered,
        }
    }

    /// The values of many keys, in their order.
    pub(super) async fn values(
        &self,
        keys: &[String],
        until: Instant,
    ) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        let mut values = Vec::with_capacity(keys.len());
        for keys in keys.chunks(AT_ONCE) {
            values.extend(self.ask_each(keys, |key| command(READ, key), until).await?);
        }
        values.into_iter().map(answer).collect()
    }

    /// Asks the same of a few keys, of which it changes none. What each answers, in their order.
    pub(super) async fn ask_each(
        &self,
        keys: &[String],
        command: impl Fn(&str) -> Cmd,
        until: Instant,
    ) -> Result<Vec<Value>, Fault> {
        match self.ask_at_once(keys, &command, until).await {
            // Some of them moved, or a connection broke: one by one each finds its way.
            Err(fault) if fault.was_not_done() || fault.is_cut() => {
                let mut answers = Vec::with_capacity(keys.len());
                for key in keys {
                    answers.push(self.ask(key, &command(key), Twice::Harmless, until).await?);
                }
                Ok(answers)
            }
            answered => answered,
        }
    }

    async fn ask_at_once(
        &self,
        keys: &[String],
        command: &impl Fn(&str) -> Cmd,
        until: Instant,
    ) -> Result<Vec<Value>, Fault> {
        let map = self.map(until).await?;
        let mut by_host = HashMap::<&Host, (Pipeline, Vec<usize>)>::new();
        for (place, key) in keys.iter().enumerate() {
            let (pipeline, places) = by_host.entry(map.host(key)?).or_default();
            pipeline.add_command(command(key));
            places.push(place);
        }
        let mut answers = vec![Value::Nil; keys.len()];
        for (host, (pipeline, places)) in by_host {
            let said = self.primary(host).ask_all(&pipeline, until).await?;
            for (place, said) in places.into_iter().zip(said) {
                if let Some(slot) = answers.get_mut(place) {
                    *slot = said;
                }
            }
        }
        Ok(answers)
    }

    /// Does something on the server that has the key, on another if that says so. `failed`: how it went the first time.
    pub(super) async fn on_primary(
        &self,
        key: &str,
        step: Step<'_>,
        mut failed: Option<Fault>,
        twice: Twice,
        until: Instant,
    ) -> Result<Value, Fault> {
        let (mut asking, mut again) = (None, true);
        for _ in 0..REDIRECTS {
            let done = match (failed.take(), asking.take()) {
                (Some(fault), _) => Err(fault),
                (None, asking) => self.attempt(key, step, asking, until).await,
            };
            let fault = match done {
                Ok(done) => return Ok(done),
                Err(fault) => fault,
            };
            match fault.redirect() {
                Some(Redirect::Moved(host)) => self.moved(key, host),
                Some(Redirect::Ask(host)) => asking = Some(host),
                None => {
                    if fault.doubts_the_place() {
                        self.forget();
                    }
                    let harmless = fault.was_not_done() || (fault.is_cut() && twice == Twice::Harmless);
                    if !(harmless && std::mem::take(&mut again)) {
                        return Err(fault);
                    }
                }
            }
        }
        let what = "the servers send each other's keys round in a circle".to_owned();
        Err(Fault::NoPrimary { what, source: None })
    }

    async fn attempt(
        &self,
        key: &str,
        step: Step<'_>,
        asking: Option<Host>,
        until: Instant,
    ) -> Result<Value, Fault> {
        let node = match &asking {
            Some(host) => self.primary(host),
            None => self.primary(self.map(until).await?.host(key)?),
        };
        match (step, asking) {
            (Step::Command(command), None) => node.ask(command, until).await,
            (Step::Command(command), Some(_)) => node.open(until).await?.ask_moving(command, until).await,
            (Step::Replicated(take), asking) => {
                self.replicated_on(&node, key, take, asking.is_some(), until).await
            }
        }
    }

    /// Every server that has keys.
    pub(super) async fn all_primaries(&self, until: Instant) -> Result<Vec<Arc<Node>>, Fault> {
        Ok(self.map(until).await?.hosts().into_iter().map(|host| self.primary(host)).collect())
    }

    /// Keys that no session has, one on every server that has keys.
    pub(super) async fn a_key_on_each(&self, until: Instant) -> Result<Vec<String>, Fault> {
        Ok(self.map(until).await?.a_key_on_each(&format!("{}ping:", self.config.prefix)))
    }

    /// Who has which keys, found out anew if that is in doubt.
    async fn map(&self, until: Instant) -> Result<Arc<Map>, Fault> {
        if let Some(map) = self.known_map() {
            return Ok(map);
        }
        let finding = async {
            let _one = self.finding.lock().await;
            match self.known_map() {
                Some(map) => Ok(map),
                None => self.find(until).await,
            }
        };
        tokio::time::timeout_at(until, finding).await.unwrap_or_else(|_| {
            let what = format!("nobody said within the deadline where the keys are ({})", self.config.shown);
            Err(Fault::NoPrimary { what, source: None })
        })
    }

    /// Asks where the primaries are now.
    pub(super) async fn find(&self, until: Instant) -> Result<Arc<Map>, Fault> {
        let found = match &self.config.mode {
            Mode::Standalone => Map::of_one(self.config.nodes.first()),
            Mode::Sentinel { master } => find::by_sentinels(self.guides(), master, until).await?,
            Mode::Cluster => find::in_cluster(self.guides(), until).await?,
        };
        let found = Arc::new(found);
        let mut primaries = lock(&self.primaries);
        primaries.retain(|host, _| found.hosts().contains(&host));
        // Those that left would be missed in every majority.
        let is_known = |host: &Host| self.config.nodes.contains(host) || found.known.contains(host);
        lock(&self.guides).retain(|host, _| is_known(host));
        *lock(&self.map) = Some(Arc::clone(&found));
        Ok(found)
    }

    pub(super) fn known_map(&self) -> Option<Arc<Map>> {
        lock(&self.map).clone()
    }

    pub(super) fn forget(&self) {
        if let Some(map) = lock(&self.map).take() {
            // Whom to ask is remembered, in case those whom the URL names are gone for good.
            let mut guides = lock(&self.guides);
            for host in &map.known {
                guides.entry(host.clone()).or_insert_with(|| self.new_node(host, Role::Guide));
            }
        }
    }

    fn moved(&self, key: &str, host: Host) {
        let mut map = lock(&self.map);
        if let Some(known) = &*map {
            *map = Some(Arc::new(known.after_a_move(key, host)));
        }
    }

    fn guides(&self) -> Vec<Arc<Node>> {
        let known = self.known_map();
        let known = known.iter().flat_map(|map| &map.known);
        let hosts: std::collections::BTreeSet<_> = self.config.nodes.iter().chain(known).cloned().collect();
        let mut guides = lock(&self.guides);
        for host in hosts {
            let node = self.new_node(&host, Role::Guide);
            guides.entry(host).or_insert(node);
        }
        guides.values().cloned().collect()
    }

    pub(super) fn primary(&self, host: &Host) -> Arc<Node> {
        let mut primaries = lock(&self.primaries);
        let node = primaries.entry(host.clone()).or_insert_with(|| self.new_node(host, Role::Primary));
        Arc::clone(node)
    }

    fn new_node(&self, host: &Host, role: Role) -> Arc<Node> {
        Arc::new(Node::new(host.clone(), role, Arc::clone(&self.config)))
    }
}

fn command(name: &str, key: &str) -> Cmd {
    let mut command = Cmd::with_capacity(2, name.len() + key.len());
    command.arg(name).arg(key);
    command
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use services::Cluster;

    use super::*;

    #[tokio::test]
    async fn members_that_left_are_not_asked_where_the_keys_are() {
        let cluster = Cluster::start(&[]).unwrap();
        let config = Config::parse(&cluster.url()).unwrap();
        let named = config.nodes.clone();
        let link = Link::new(config);
        for port in 1..=9 {
            let host = Host { name: "127.0.0.1".to_owned(), port };
            lock(&link.guides).insert(host.clone(), link.new_node(&host, Role::Guide));
        }
        let map = link.find(link.until()).await.unwrap();
        let guides: Vec<_> = lock(&link.guides).keys().cloned().collect();
        assert!(guides.iter().all(|host| named.contains(host) || map.known.contains(host)), "{guides:?}");
        assert!(named.iter().all(|host| guides.contains(host)));
    }
}
