//! Where the primaries are: asked of the sentinels, or of the cluster itself.
//!
//! One answer alone must never be believed while most have not spoken: it may come from the wrong side of a failover.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Pipeline, Value};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::error::Fault;
use super::map::Map;
use super::node::{Node, answer};
use super::url::Host;

/// What somebody says, and since which turn of events: of two answers the later one counts.
struct Answer {
    epoch: i64,
    map: Map,
}

#[derive(Clone)]
enum Question {
    Sentinel(Cmd),
    Member,
}

/// The primary that the sentinels name.
pub(super) async fn by_sentinels(guides: Vec<Arc<Node>>, master: &str, until: Instant) -> Result<Map, Fault> {
    let mut command = redis::cmd("SENTINEL");
    command.arg("MASTER").arg(master);
    ask_most(guides, Question::Sentinel(command), until).await
}

async fn ask_sentinel(node: &Node, command: &Cmd, until: Instant) -> Result<Answer, Fault> {
    let fields: std::collections::HashMap<String, String> = answer(node.ask(command, until).await?)?;
    let number = |name: &str| fields.get(name).and_then(|number| number.parse().ok());
    let host = fields
        .get("ip")
        .cloned()
        .zip(number("port"))
        .and_then(|(name, port)| Some(Host { name, port: u16::try_from(port).ok()? }));
    // Without a server there would be nothing to walk, and nobody to say that it is silent.
    let host = host.ok_or(Fault::Form("SENTINEL MASTER has another form than is known"))?;
    let map = Map::of_one(Some(&host));
    Ok(Answer { epoch: number("config-epoch").unwrap_or(0), map })
}

/// The primaries of a cluster.
pub(super) async fn in_cluster(guides: Vec<Arc<Node>>, until: Instant) -> Result<Map, Fault> {
    ask_most(guides, Question::Member, until).await
}

async fn ask_member(node: &Node, until: Instant) -> Result<Answer, Fault> {
    let mut both = Pipeline::new();
    both.cmd("CLUSTER").arg("SLOTS").cmd("CLUSTER").arg("INFO");
    let mut answers = node.ask_all(&both, until).await?.into_iter();
    let (slots, info) = (answers.next().unwrap_or_default(), answers.next().unwrap_or_default());
    let info: String = answer(info)?;
    let epoch = info.lines().find_map(|line| line.strip_prefix("cluster_current_epoch:"));
    let map =
        slots_map(slots, &node.host).ok_or(Fault::Form("CLUSTER SLOTS has another form than is known"))?;
    match map.ranges.is_empty() {
        true => Err(Fault::NoPrimary { what: format!("{} knows of no slots", node.host), source: None }),
        false => Ok(Answer { epoch: epoch.and_then(|epoch| epoch.trim().parse().ok()).unwrap_or(0), map }),
    }
}

/// `CLUSTER SLOTS`: for each range its first and last slot, its primary, and its replicas.
fn slots_map(value: Value, asked: &Host) -> Option<Map> {
    let Value::Array(ranges) = value else { return None };
    let mut map = Map::default();
    for range in ranges {
        let Value::Array(range) = range else { return None };
        let [Value::Int(first), Value::Int(last), servers @ ..] = &*range else { return None };
        let hosts = servers.iter().map(|server| host(server, asked)).collect::<Option<Vec<_>>>()?;
        map.ranges.push((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, hosts.first()?.clone()));
        map.known.extend(hosts);
    }
    map.known.sort();
    map.known.dedup();
    Some(map)
}

fn host(server: &Value, asked: &Host) -> Option<Host> {
    let Value::Array(server) = server else { return None };
    let [name, Value::Int(port), ..] = &**server else { return None };
    // A server that does not know its own name leaves it out: it is the one that we asked.
    let name = match name {
        Value::BulkString(name) if !name.is_empty() && name != b"?" => {
            String::from_utf8(name.clone()).ok()?
        }
        _ => asked.name.clone(),
    };
    Some(Host { name, port: u16::try_from(*port).ok()? })
}

async fn ask(node: Arc<Node>, question: Question, until: Instant) -> Result<Answer, Fault> {
    match question {
        Question::Sentinel(command) => ask_sentinel(&node, &command, until).await,
        Question::Member => ask_member(&node, until).await,
    }
}

/// Asks all at once. Takes the latest of what most of them say; where most are silent, of what was said by half time.
async fn ask_most(guides: Vec<Arc<Node>>, question: Question, until: Instant) -> Result<Map, Fault> {
    let enough = guides.len() / 2 + 1;
    let half_time = Instant::now() + until.saturating_duration_since(Instant::now()).max(Duration::ZERO) / 2;
    let mut asked: JoinSet<_> = guides.into_iter().map(|node| ask(node, question.clone(), until)).collect();
    let (mut best, mut answers, mut fault) = (None::<Answer>, 0, None);
    while answers < enough {
        let patience = if best.is_some() { half_time } else { until };
        match timeout_at(patience, asked.join_next()).await {
            Ok(Some(Ok(Ok(said)))) => {
                answers += 1;
                if best.as_ref().is_none_or(|best| said.epoch > best.epoch) {
                    best = Some(said);
                }
            }
            Ok(Some(Ok(Err(refused)))) => fault = Some(Box::new(refused)),
            Ok(Some(Err(_))) => (),
            Ok(None) | Err(_) => break,
        }
    }
    let what = || "none of the servers that the address names says where the primary is".to_owned();
    best.map(|best| best.map).ok_or_else(|| Fault::NoPrimary { what: what(), source: fault })
}
