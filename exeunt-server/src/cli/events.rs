//! Shows what happened, and goes on showing it.
//!
//! Must never show an event twice, nor a line that one of its texts made up.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use exeunt::{Clock as _, SystemClock, Timestamp};

use super::run::ask;
use crate::accounts::{EventLine, rfc3339};
use crate::admin::{Code, Command, Failure, Reply, WantedEvents};
use crate::config::Config;

const PAGE: usize = 1_000;
const ASK_EVERY: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub(super) struct EventsCommand {
    /// Those of one account alone; also of one that is gone, by the name that it had.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Those from then on: a time such as 2026-01-31T12:00:00Z, or how long ago, such as 2h.
    #[arg(long, value_name = "WHEN", value_parser = Since::parse)]
    since: Option<Since>,
    /// The last ones, at most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = super::limit)]
    limit: usize,
    /// Goes on with what happens from now on, until Ctrl-C.
    #[arg(long)]
    follow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Time(Timestamp),
    Ago(Duration),
}

impl Since {
    fn parse(text: &str) -> Result<Self, String> {
        let ago = humantime::parse_duration(text).map(Self::Ago);
        ago.or_else(|_| rfc3339::parse(text).map(Self::Time))
            .map_err(|_| "neither a time such as 2026-01-31T12:00:00Z nor a duration such as 2h".to_owned())
    }

    fn at(self, now: Timestamp) -> Timestamp {
        let micros = |ago: Duration| i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
        match self {
            Self::Time(at) => at,
            Self::Ago(ago) => Timestamp::from_micros(now.as_micros().saturating_sub(micros(ago))),
        }
    }
}

/// Oldest first, one a line.
pub(super) async fn run(config: &Config, command: EventsCommand, json: bool) -> anyhow::Result<()> {
    let EventsCommand { account, since, limit, follow } = command;
    let since = since.map(|since| since.at(SystemClock::new().now()));
    let ask = async |after, before, limit| {
        let account = account.clone();
        let wanted = WantedEvents { account, since, after, before, limit };
        match ask(config, Command::Events(wanted)).await? {
            Reply::Events { events } => Ok(events),
            _ => Err(Failure::new(Code::Failed, "the server answered something else")),
        }
    };
    let mut found: Vec<EventLine> = Vec::new();
    while found.len() < limit {
        let page = PAGE.min(limit - found.len());
        let events = ask(None, found.last().map(|event| event.id), page).await?;
        let all = events.len() < page;
        found.extend(events);
        if all {
            break;
        }
    }
    found.reverse();
    let mut seen = found.last().map_or(0, |event| event.id);
    if !show(&found, json)? || !follow {
        return Ok(());
    }
    if found.is_empty() {
        // None of those that were asked for, so what others there are must not come now.
        seen = ask_last(config).await?;
    }
    let mut failing = false;
    loop {
        match ask(Some(seen), None, PAGE).await {
            Ok(events) => {
                failing = false;
                seen = events.last().map_or(seen, |event| event.id);
                if !show(&events, json)? {
                    return Ok(());
                }
                if events.len() == PAGE {
                    continue;
                }
            }
            // The server may be starting again. Said once.
            Err(failure) if failure.code == Code::Store => {
                if !std::mem::replace(&mut failing, true) {
                    let _ =
                        writeln!(std::io::stderr(), "exeunt: {}; asking again each second", failure.message);
                }
            }
            Err(failure) => return Err(failure.into()),
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

async fn ask_last(config: &Config) -> Result<i64, Failure> {
    let last = WantedEvents { limit: 1, ..WantedEvents::default() };
    match ask(config, Command::Events(last)).await? {
        Reply::Events { events } => Ok(events.first().map_or(0, |event| event.id)),
        _ => Ok(0),
    }
}

/// `false`: nobody reads any more.
fn show(events: &[EventLine], json: bool) -> anyhow::Result<bool> {
    let mut text = String::new();
    for event in events {
        text += &match json {
            true => serde_json::to_string(event)?,
            false => event.to_string(),
        };
        text.push('\n');
    }
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("writing to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_how_long_ago() {
        let now = Timestamp::from_secs(1_767_225_600);
        let at = |text| Since::parse(text).map(|since| since.at(now).as_secs());
        assert_eq!(at("2h"), Ok(1_767_218_400));
        assert_eq!(at("2026-01-01T00:00:01Z"), Ok(1_767_225_601));
        assert_eq!(at("9000years"), Ok(0));
        assert!(at("yesterday").unwrap_err().contains("2h"));
    }

    #[test] // R39
    fn no_text_in_an_event_can_forge_a_line() {
        let evil = "a\r\n2026-01-01T00:00:00.000000Z login account=\"root\"\u{1b}[2J\u{85}\u{2028}\u{202e}";
        let text = || Some(evil.to_owned());
        let event = EventLine {
            id: 1,
            at: Timestamp::from_secs(1_767_225_600),
            event: evil.to_owned(),
            account: text(),
            user: text(),
            session: None,
            reason: text(),
            by: text(),
            by_user: text(),
            by_name: text(),
            address: text(),
            client: text(),
            request: text(),
            lost: Some(1),
        };
        let shown = event.to_string();
        let plain = |c: char| (' '..='~').contains(&c);
        assert!(shown.chars().all(plain), "{shown}");
        assert_eq!(shown.matches(" account=\"a").count(), 1, "{shown}");
        assert_eq!(serde_json::to_string(&event).unwrap().lines().count(), 1);
    }
}
