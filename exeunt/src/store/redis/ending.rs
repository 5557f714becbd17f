//! The end of a session, on the replicas too where that was asked for.
//!
//! "Ended" must never be said before as many replicas have it as were asked for, also when it was over already.

use redis::{Cmd, Value};
use tokio::time::{Instant, timeout_at};

use super::error::Fault;
use super::link::{Link, Step, Twice};
use super::node::{Node, Open, answer};

/// How long a marker stays: it need only come after the end in the stream of changes.
const MARKER_MS: u64 = 10_000;

impl Link {
    /// Takes a session's value away. Who gets it has ended the session.
    pub(super) async fn end(&self, key: &str, until: Instant) -> Result<Option<Vec<u8>>, Fault> {
        let mut take = redis::cmd("GETDEL");
        take.arg(key);
        if self.config.wait_replicas == 0 {
            return answer(self.ask(key, &take, Twice::Never, until).await?);
        }
        answer(self.on_primary(key, Step::Replicated(Some(&take)), None, Twice::Never, until).await?)
    }

    /// Waits until the replicas know what became of a session that is over already.
    pub(super) async fn confirm_end(&self, key: &str, until: Instant) -> Result<(), Fault> {
        match self.config.wait_replicas {
            0 => Ok(()),
            _ => self.on_primary(key, Step::Replicated(None), None, Twice::Never, until).await.map(drop),
        }
    }

    pub(super) async fn replicated_on(
        &self,
        node: &Node,
        key: &str,
        take: Option<&Cmd>,
        moving: bool,
        until: Instant,
    ) -> Result<Value, Fault> {
        // Those before us wait for the replicas, too.
        let Ok(_one) = timeout_at(until, node.alone.acquire()).await else {
            return Err(Fault::Replicas { have: 0, wanted: self.config.wait_replicas });
        };
        let open = node.take_spare(until).await?;
        let done = self.replicated(&open, key, take, moving, until).await;
        node.give_back(open);
        done
    }

    async fn replicated(
        &self,
        open: &Open,
        key: &str,
        take: Option<&Cmd>,
        moving: bool,
        until: Instant,
    ) -> Result<Value, Fault> {
        let taken = match take {
            Some(take) if moving => open.ask_moving(take, until).await?,
            Some(take) => open.ask(take, until).await?,
            None => Value::Nil,
        };
        if taken == Value::Nil {
            // `WAIT` answers at once on a connection that wrote nothing; what it then says is about others' writes.
            let marker = format!("{}w:{{{key}}}", self.config.prefix);
            let mut mark = redis::cmd("SET");
            mark.arg(marker).arg("").arg("PX").arg(MARKER_MS);
            match moving {
                true => open.ask_moving(&mark, until).await?,
                false => open.ask(&mark, until).await?,
            };
        }
        self.wait(open, until).await?;
        Ok(taken)
    }

    async fn wait(&self, open: &Open, until: Instant) -> Result<(), Fault> {
        let wanted = self.config.wait_replicas;
        let left = until.saturating_duration_since(Instant::now());
        // A little less than there is, so that the answer comes in time and says how many it were. 0 would be forever.
        let ms = (left.as_millis() * 4 / 5).max(1);
        let mut wait = redis::cmd("WAIT");
        wait.arg(wanted).arg(u64::try_from(ms).unwrap_or(1));
        let said: Value = open.ask(&wait, until).await?;
        let have: i64 = answer(said)?;
        match have >= i64::from(wanted) {
            true => Ok(()),
            false => Err(Fault::Replicas { have, wanted }),
        }
    }
}
