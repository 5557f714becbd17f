//! Messages over SMTP, to a server that listens, refuses, hangs, or is not who it should be.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use exeunt::{ManualClock, Timestamp};
use exeunt_server::accounts::Account;
use exeunt_server::config::{Config, Options};
use exeunt_server::mail::Outbox;
use exeunt_server::mail::texts::Notice;
use services::Certificate;
use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;

use crate::smtp::{Heard, Smtp};

fn outbox(url: &str) -> Outbox {
    let options = Options {
        smtp: Some(url.parse().unwrap()),
        public_url: Some("https://login.example.org".parse().unwrap()),
        ..Options::default()
    };
    Outbox::open(&Config::decide(options).unwrap(), Arc::new(ManualClock::at(Timestamp::default()))).unwrap()
}

fn tell_alice(outbox: &Outbox) {
    let alice = Account {
        id: 7,
        name: "alice".to_owned(),
        admin: false,
        disabled: false,
        created_at: Timestamp::default(),
        email: Some("alice@example.net".to_owned()),
    };
    outbox.notify(&alice, Notice::PasswordChanged);
}

/// What the server hears, without holding up those who speak to it.
async fn heard(server: &Arc<Smtp>) -> Heard {
    let server = Arc::clone(server);
    tokio::task::spawn_blocking(move || server.heard()).await.unwrap()
}

async fn drain(outbox: &Outbox) {
    outbox.drain(Instant::now() + Duration::from_secs(60)).await;
}

fn is_said(heard: &Heard, part: &str) -> bool {
    heard.commands.iter().any(|command| command.contains(part))
}

/// All that is logged in this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn here() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_message_is_handed_over_under_user_and_password_and_the_log_has_neither() {
    // R59, R39
    let (log, _guard) = Log::here();
    let server = Arc::new(Smtp::start(&[]));
    let outbox = outbox(&format!("smtp://bot:secret@{}", server.address));
    tell_alice(&outbox);
    let heard = heard(&server).await;
    drain(&outbox).await;
    // In base64: nobody, bot, secret.
    for part in ["EHLO login.example.org", "AUTH PLAIN AGJvdABzZWNyZXQ=", "FROM:<no-reply@login.example.org>"]
    {
        assert!(is_said(&heard, part), "{part}: {heard:?}");
    }
    assert!(is_said(&heard, "RCPT TO:<alice@example.net>"), "{heard:?}");
    let data = heard.data.unwrap();
    assert!(data.contains("\r\nSubject: Your password was changed\r\n"), "{data}");
    let text = log.text();
    assert!(text.contains("mail_sent") && text.contains("account=7"), "{text}");
    assert!(!text.contains("secret") && !text.contains("alice@"), "{text}");
}

#[tokio::test]
async fn what_is_refused_for_now_is_tried_again_and_what_is_refused_for_good_is_not() {
    let (log, _guard) = Log::here();
    let busy = "451 alice@example.net is over quota";
    let server = Arc::new(Smtp::start(&[busy]));
    let outbox_ = outbox(&format!("smtp://{}", server.address));
    tell_alice(&outbox_);
    assert!(heard(&server).await.data.is_some());
    // Who stops does not wait for the second try.
    let (second, ()) = tokio::join!(heard(&server), drain(&outbox_));
    assert!(second.data.is_some());
    assert!(log.text().contains("mail_sent"), "{}", log.text());

    let server = Arc::new(Smtp::start(&["550 no alice@example.net here"]));
    let outbox_ = outbox(&format!("smtp://{}", server.address));
    tell_alice(&outbox_);
    assert!(heard(&server).await.data.is_some());
    drain(&outbox_).await;
    let text = log.text();
    assert!(text.contains("mail_not_sent") && text.contains("550"), "{text}");
    // R39: servers repeat the address.
    assert!(!text.contains("alice@"), "{text}");
}

#[tokio::test]
async fn a_server_that_hangs_or_is_not_there_holds_nobody_up() {
    let (log, _guard) = Log::here();
    let (silent, _listener) = Smtp::silent();
    let outbox_ = outbox(&format!("smtp://{silent}"));
    // Far more than are handed over at once.
    for _ in 0..100 {
        tell_alice(&outbox_);
    }
    outbox_.drain(Instant::now()).await;
    assert!(log.text().contains("messages=100"), "{}", log.text());

    let (nobody, listener) = Smtp::silent();
    drop(listener);
    let outbox_ = outbox(&format!("smtp://{nobody}"));
    tell_alice(&outbox_);
    drain(&outbox_).await;
    assert!(log.text().contains("mail_not_sent"), "{}", log.text());
}

#[tokio::test]
async fn without_tls_nothing_is_told_to_a_server_elsewhere() {
    // Any address of the machine but loopback counts as elsewhere; this one reaches the same server.
    let (log, _guard) = Log::here();
    let server = Arc::new(Smtp::start(&[]));
    let outbox = outbox(&format!("smtp://bot:secret@0.0.0.0:{}", server.address.port()));
    tell_alice(&outbox);
    let (first, ()) = tokio::join!(heard(&server), drain(&outbox));
    for part in ["AUTH", "MAIL", "RCPT", "DATA"] {
        assert!(!is_said(&first, part), "{first:?}");
    }
    assert!(log.text().contains("mail_not_sent"), "{}", log.text());
}

#[tokio::test]
async fn over_tls_the_server_has_to_prove_who_it_is() {
    let (log, _guard) = Log::here();
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (Certificate::new().unwrap(), Certificate::new().unwrap());
    let url = |server: &Smtp, trusted: &Certificate, name: &str| {
        let ca = folder.path().join(name);
        std::fs::write(&ca, &trusted.authority).unwrap();
        format!("smtps://bot:secret@localhost:{}?ca={}", server.address.port(), ca.display())
    };
    let server = Arc::new(Smtp::with_tls(&own));
    let trusting = outbox(&url(&server, &own, "own.pem"));
    tell_alice(&trusting);
    let (taken, ()) = tokio::join!(heard(&server), drain(&trusting));
    assert!(taken.data.is_some(), "{taken:?}");

    let wary = outbox(&url(&server, &other, "other.pem"));
    tell_alice(&wary);
    let (refused, ()) = tokio::join!(heard(&server), drain(&wary));
    assert!(refused.commands.is_empty(), "{refused:?}");
    assert!(log.text().contains("certificate"), "{}", log.text());
}

#[test]
fn what_cannot_work_is_an_error_before_the_first_message() {
    let open = |options: Options| {
        let config = Config::decide(options).map_err(|error| error.to_string())?;
        Outbox::open(&config, Arc::new(ManualClock::at(Timestamp::default())))
            .map_err(|error| error.to_string())
    };
    let missing = Options {
        smtp: Some("smtps://mail.example.org?ca=/nowhere/ca.pem".parse().unwrap()),
        ..Options::default()
    };
    assert!(open(missing).unwrap_err().contains("/nowhere/ca.pem"));
    let folder = Options { mail_dir: Some(Path::new("/dev/null/mail").to_owned()), ..Options::default() };
    assert!(open(folder).unwrap_err().contains("/dev/null/mail"));
    let both = Options { mail_dir: Some("mail".into()), mail_log: Some(true), ..Options::default() };
    assert!(open(both).unwrap_err().contains("messages go one way"));
    assert!(!open(Options::default()).unwrap().is_on());
}
