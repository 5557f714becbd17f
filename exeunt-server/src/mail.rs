//! Messages to people: a link to reset a password, and notices of what happened to their account.
//!
//! Must never hold up whoever has something to say, put what others wrote into a header, or show an address or a link in
//! the log; but for `--mail-log`, which says so.

mod folder;
mod letter;
mod smtp;
pub mod texts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use exeunt::Clock;
use exeunt::store::async_trait;
use lettre::message::Mailbox;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tracing::Instrument as _;

use self::folder::Folder;
use self::letter::Letter;
use self::smtp::Smtp;
use self::texts::Message;
use crate::config::{Config, Mail, PublicUrl};
use crate::html::Words;

/// The most messages that are on their way.
const QUEUE: u32 = 1_000;
/// The most that are handed over at once.
const AT_ONCE: usize = 4;
/// How long one may take to be handed over.
const WITHIN: Duration = Duration::from_secs(30);
/// How long to wait after each try that failed: six tries in 13 minutes, less than a reset link lasts.
const WAITS: &[Duration] = &[
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
];

/// Where messages go out. Cheap to clone; clones share everything.
#[derive(Clone, Default)]
pub struct Outbox(Option<Arc<Inner>>);

struct Inner {
    delivery: Box<dyn Deliver>,
    from: Mailbox,
    clock: Arc<dyn Clock>,
    words: Words,
    waits: &'static [Duration],
    queue: Arc<Semaphore>,
    at_once: Semaphore,
    stopping: watch::Sender<bool>,
}

/// Hands messages over to whatever takes them on from here.
#[async_trait]
trait Deliver: Send + Sync + 'static {
    async fn deliver(&self, letter: &Letter) -> Result<(), Undelivered>;
}

/// A message was not taken.
#[derive(Debug)]
struct Undelivered {
    /// Whether trying again can help.
    again: bool,
    /// Without an address, which servers like to repeat in what they say.
    reason: String,
}

/// Messages cannot be sent as configured.
#[derive(Debug, thiserror::Error)]
#[error("messages cannot be sent as configured: {reason}")]
pub struct MailUnusable {
    reason: String,
}

impl Outbox {
    /// Sends nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// As the configuration says; off if it says nothing. `clock`: what messages are dated by.
    ///
    /// # Errors
    ///
    /// [`MailUnusable`]: the folder cannot be made, a certificate cannot be read, or a text is broken. Whether an SMTP server answers is
    /// seen with the first message.
    pub fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, MailUnusable> {
        let host = config.public_url.as_ref().map_or("localhost", PublicUrl::host);
        let from = match &config.mail_from {
            Some(from) => from.mailbox().clone(),
            None => format!("exeunt <no-reply@{host}>").parse().map_err(|_| MailUnusable {
                reason: format!(
                    "no-reply@{host} is no address: set --mail-from (mail_from, EXEUNT_MAIL_FROM)"
                ),
            })?,
        };
        let delivery: Box<dyn Deliver> = match &config.mail {
            Mail::Off => return Ok(Self::off()),
            Mail::Smtp(url) => Box::new(Smtp::new(url, from.email.domain())?),
            Mail::Folder(path) => Box::new(Folder::new(path)?),
            Mail::Log => Box::new(Log),
        };
        let words = Words::read(config.brand_folder.as_deref(), &config.language);
        let words = words.map_err(|error| MailUnusable { reason: error.to_string() })?;
        texts::check(&words)?;
        Ok(Self::over(delivery, from, clock, words, WAITS))
    }

    fn over(
        delivery: Box<dyn Deliver>,
        from: Mailbox,
        clock: Arc<dyn Clock>,
        words: Words,
        waits: &'static [Duration],
    ) -> Self {
        Self(Some(Arc::new(Inner {
            delivery,
            from,
            clock,
            words,
            waits,
            queue: Arc::new(Semaphore::new(QUEUE as usize)),
            at_once: Semaphore::new(AT_ONCE),
            stopping: watch::Sender::new(false),
        })))
    }

    /// Whether messages go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Sends a message, some time. Answers at once, whatever becomes of it: a log line says so if it cannot be sent. Needs
    /// a Tokio runtime around it.
    pub fn send(&self, message: Message) {
        let Some(inner) = self.0.clone() else { return };
        let (account, kind) = (message.account, message.kind);
        let Ok(place) = Arc::clone(&inner.queue).try_acquire_owned() else {
            return not_sent(account, kind, "too many messages are on their way, or the server stops");
        };
        let Some(letter) = Letter::new(message, &inner.from, inner.clock.now()) else {
            return not_sent(account, kind, "the account's address is none");
        };
        let work = async move {
            inner.deliver(&letter).await;
            drop(place);
        };
        tokio::spawn(work.in_current_span());
    }

    /// Takes no more messages, tries those that wait once more, and waits for them until then at most.
    pub async fn drain(&self, until: Instant) {
        let Some(inner) = &self.0 else { return };
        inner.stopping.send_replace(true);
        let all = tokio::time::timeout_at(until, inner.queue.acquire_many(QUEUE)).await;
        let left = QUEUE as usize - inner.queue.available_permits();
        inner.queue.close();
        if all.is_err() {
            tracing::warn!(event = "mail_left", messages = left, "messages were not sent before the stop");
        }
    }
}

impl Inner {
    async fn deliver(&self, letter: &Letter) {
        let mut stopping = self.stopping.subscribe();
        let mut waits = self.waits.iter();
        loop {
            let stops = *stopping.borrow();
            let Err(error) = self.once(letter).await else {
                tracing::info!(
                    event = "mail_sent",
                    account = letter.account,
                    kind = letter.kind,
                    "message sent"
                );
                return;
            };
            let wait = waits.next().filter(|_| error.again && !stops);
            let Some(wait) = wait else { return not_sent(letter.account, letter.kind, &error.reason) };
            tracing::warn!(
                event = "mail_delayed",
                account = letter.account,
                kind = letter.kind,
                reason = error.reason,
                retry_in_s = wait.as_secs(),
                "message not taken; tried again"
            );
            // Who stops waits for nobody's patience: one try more, at once.
            let _ = tokio::time::timeout(*wait, stopping.wait_for(|stopping| *stopping)).await;
        }
    }

    async fn once(&self, letter: &Letter) -> Result<(), Undelivered> {
        let failed = |reason: &str| Undelivered { again: true, reason: reason.to_owned() };
        let _turn = self.at_once.acquire().await.map_err(|_| failed("the server stops"))?;
        let taken = tokio::time::timeout(WITHIN, self.delivery.deliver(letter)).await;
        taken.map_err(|_| failed("it was not taken within 30 s"))?
    }
}

fn not_sent(account: i64, kind: &'static str, reason: &str) {
    tracing::error!(event = "mail_not_sent", account, kind, reason, "message not sent");
}

/// For development: whoever reads the log reads the links.
struct Log;

#[async_trait]
impl Deliver for Log {
    async fn deliver(&self, letter: &Letter) -> Result<(), Undelivered> {
        let Letter { account, kind, to, subject, text, .. } = letter;
        tracing::info!(event = "mail", account, kind, to, subject, text, "message");
        Ok(())
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("on", &self.is_on()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use exeunt::{ManualClock, Timestamp};

    use super::*;

    /// Refuses for as long as it is told to, and notes when it was asked.
    #[derive(Clone, Default)]
    struct Desk {
        asked: Arc<Mutex<Vec<Instant>>>,
        refuses: bool,
        again: bool,
        open: Option<Arc<Semaphore>>,
    }

    #[async_trait]
    impl Deliver for Desk {
        async fn deliver(&self, _: &Letter) -> Result<(), Undelivered> {
            if let Some(open) = &self.open {
                let _ = open.acquire().await;
            }
            self.asked.lock().unwrap().push(Instant::now());
            match self.refuses {
                true => Err(Undelivered { again: self.again, reason: String::new() }),
                false => Ok(()),
            }
        }
    }

    impl Desk {
        fn outbox(&self) -> Outbox {
            let clock = Arc::new(ManualClock::at(Timestamp::default()));
            let words = Words::read(None, "").unwrap();
            Outbox::over(
                Box::new(self.clone()),
                "exeunt <a@example.org>".parse().unwrap(),
                clock,
                words,
                WAITS,
            )
        }

        fn asked(&self) -> usize {
            self.asked.lock().unwrap().len()
        }
    }

    fn message() -> Message {
        let link = texts::ResetLink { link: "link".to_owned(), lasts: Duration::from_secs(60) };
        link.message(&Words::read(None, "").unwrap(), 1, "alice@example.org", "alice").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_taken_is_tried_six_times_within_the_life_of_a_link() {
        let desk = Desk { refuses: true, again: true, ..Desk::default() };
        let (outbox, began) = (desk.outbox(), Instant::now());
        outbox.send(message());
        tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
        let tried: Vec<u64> =
            desk.asked.lock().unwrap().iter().map(|at| at.duration_since(began).as_secs()).collect();
        assert_eq!(tried, [0, 1, 6, 36, 156, 756]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_good_is_tried_once() {
        let desk = Desk { refuses: true, ..Desk::default() };
        let outbox = desk.outbox();
        outbox.send(message());
        tokio::time::sleep(Duration::from_secs(24 * 60 * 60)).await;
        assert_eq!(desk.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_tries_once_more_at_once_and_takes_no_more() {
        let desk = Desk { refuses: true, again: true, ..Desk::default() };
        let (outbox, began) = (desk.outbox(), Instant::now());
        outbox.send(message());
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(desk.asked(), 3);
        outbox.drain(Instant::now() + Duration::from_secs(30)).await;
        assert_eq!((desk.asked(), began.elapsed().as_secs()), (4, 10));
        outbox.send(message());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(desk.asked(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_messages_wait_than_may() {
        let desk = Desk { open: Some(Arc::new(Semaphore::new(0))), ..Desk::default() };
        let outbox = desk.outbox();
        for _ in 0..QUEUE + 10 {
            outbox.send(message());
        }
        desk.open.as_ref().unwrap().add_permits(1);
        outbox.drain(Instant::now() + Duration::from_secs(3_600)).await;
        assert_eq!(desk.asked(), QUEUE as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_that_hangs_is_given_up_and_does_not_hold_up_the_stop() {
        let desk = Desk { open: Some(Arc::new(Semaphore::new(0))), ..Desk::default() };
        let (outbox, began) = (desk.outbox(), Instant::now());
        outbox.send(message());
        outbox.drain(began + Duration::from_secs(20)).await;
        assert_eq!((desk.asked(), began.elapsed().as_secs()), (0, 20));
    }
}
