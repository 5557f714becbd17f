//! Opens the engines, listens, and stops without cutting anybody off.
//!
//! Must never take a request before the engines are open and the sessions of changed accounts ended, nor on accounts that may
//! be older than what was acknowledged, nor leave while a request is being answered within 30 s.

mod connections;
mod descriptors;
mod patience;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use exeunt::http::SameSite;
use exeunt::store::Causes;
use exeunt::{CookieConfig, SessionLayer, Sessions, SystemClock};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::accounts::{Accounts, Hasher};
use crate::admin::Admin;
use crate::app;
use crate::config::{self, Config};
use crate::control::{ControlError, ControlSocket};
use crate::engines::{Engines, password_policy};
use crate::mail::Outbox;
use crate::metrics::Metrics;
use crate::site::{AppState, Site};
use crate::telemetry::{self, Traces};

/// How long requests may take to finish when the server stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(30);
/// How many connections to the figures are open at once.
const SCRAPERS: usize = 16;
/// What a shell says of a program that `SIGINT` ended.
const EXIT_INTERRUPTED: i32 = 130;

/// Serves until `SIGTERM` or `SIGINT`, then drains. A second signal ends the process at once.
///
/// Says on standard output, not in the log, where it listens and, while there is no account, the set-up link.
///
/// # Errors
///
/// If it could not start: the message says why and what to do.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let traces = Traces::from_env();
    telemetry::init(config.log_format, &config.log, traces.as_ref().ok().and_then(Option::as_ref))?;
    let traces = traces.unwrap_or_else(|reason| {
        // Who cannot be traced can still log in.
        tracing::warn!(event = "no_traces", reason, "no traces are kept");
        None
    });
    config.check_to_serve()?;
    for notice in config.notices() {
        match notice.is_warning {
            true => tracing::warn!(event = "notice", "{notice}"),
            false => tracing::info!(event = "notice", "{notice}"),
        }
    }
    let policy = password_policy(&config)?;
    let mut signals = Signals::new()?;
    // Before anything is opened: what is open counts.
    let room = descriptors::make_room_for(config.max_connections);
    // Before the store, so that a taken port leaves no new file behind.
    let listener = listen(config.listen, "--listen (listen, EXEUNT_LISTEN)").await?;
    let bound = listener.local_addr()?;
    let scraped = match config.metrics {
        Some(address) => Some(listen(address, "--metrics (metrics, EXEUNT_METRICS)").await?),
        None => None,
    };

    let engines = Engines::open(&config).await?;
    engines.check_accounts()?;
    let hasher = Hasher::at_once(config.passwords_at_once)?;
    let (mut store, mut metrics) = (engines.store(config.near_cache_bytes).await?, None);
    if scraped.is_some() || traces.is_some() {
        let (figures, watched) = Metrics::of(&engines, hasher.clone(), store);
        (store, metrics) = (watched, Some(figures));
    }
    let sessions = Sessions::over(store).lifetime(config.lifetime()).limit(config.sessions_per_account);
    let outbox = Outbox::open(&config, Arc::new(SystemClock::new()))?;
    let mut accounts = engines.accounts(&sessions, hasher).await?.policy(policy).mailing(outbox.clone());
    if let Some(url) = &config.public_url {
        accounts = accounts.resetting(url.origin(), config.reset_link_for);
    }
    let audit = accounts.audit().keep_for(&accounts, config.keep_events_for);
    // Before anybody can come in with a session that a change of an account was to end.
    accounts
        .work_off(&sessions)
        .await
        .context("ending the sessions of accounts that were changed before this start")?;
    let mut tasks = vec![
        tokio::spawn(sessions.clone().keep_purged()),
        tokio::spawn(accounts.clone().keep_working_off()),
        tokio::spawn(accounts.clone().keep_tries_purged()),
    ];
    let admin = Admin::new(accounts.clone(), sessions.clone(), engines.clone(), config.public_url_at(bound));
    let state = state(&config, bound, sessions.clone(), accounts.clone())?;
    app::check_pages(&state)?;
    let mut app = app::router(state);
    if let Some(metrics) = &metrics {
        metrics.listen_to(&sessions);
        app = metrics.around(app);
    }

    let socket = engines.file().map(ControlSocket::bind);
    let (stop, stopping) = watch::channel(false);
    if let (Some(listener), Some(metrics)) = (scraped, metrics) {
        let at = listener.local_addr()?;
        announce_metrics(at);
        tasks.push(tokio::spawn(metrics.clone().keep_counting(sessions.clone())));
        tasks.push(tokio::spawn(connections::accept(listener, metrics.router(), SCRAPERS, stopping.clone())));
    }
    announce(bound, &accounts, &admin).await?;
    let commands = socket.map(|socket| tokio::spawn(answer_commands(socket, admin, stopping.clone())));
    let serving = tokio::spawn(connections::accept(listener, app, room, stopping));
    tracing::info!(event = "started", address = %bound, store = %config.store, accounts = %config.accounts, "serving");
    let signal = signals.next().await;
    tracing::info!(event = "stopping", signal, "no more requests are taken");
    tokio::spawn(async move {
        signals.next().await;
        tracing::warn!(event = "stopped_at_once", "a second signal: what was under way is cut off");
        std::process::exit(EXIT_INTERRUPTED);
    });
    let until = Instant::now() + DRAIN_WITHIN;
    stop.send_replace(true);
    serving.await?;
    if let Some(commands) = commands {
        // A command that is not answered by now hears that nothing is known.
        let _ = tokio::time::timeout(DRAIN_WITHIN, commands).await;
    }
    // What was asked for is sent within the same time.
    accounts.finish_resets(until).await;
    outbox.drain(until).await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    audit.stop().await;
    if let Some(traces) = traces {
        tokio::task::spawn_blocking(move || traces.send_the_rest()).await?;
    }
    // It waits for the disk.
    tokio::task::spawn_blocking(move || engines.close()).await?;
    tracing::info!(event = "stopped", "the store is closed");
    Ok(())
}

async fn listen(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address}: choose another address with {option}"))
}

/// Commands reach this server while it owns the file. Without the socket people can still log in and out.
async fn answer_commands(
    socket: Result<ControlSocket, ControlError>,
    admin: Admin,
    mut stopping: watch::Receiver<bool>,
) {
    let outcome = match socket {
        Ok(socket) => socket
            .serve(admin, async move { stopped(&mut stopping).await })
            .await
            .map_err(anyhow::Error::from),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = outcome {
        tracing::warn!(event = "no_control_socket", error = %Causes(error.as_ref()), "commands cannot reach this server");
    }
}

fn state(
    config: &Config,
    bound: SocketAddr,
    sessions: Sessions,
    accounts: Accounts,
) -> anyhow::Result<AppState> {
    let site = Arc::new(Site::new(config, sessions.now())?);
    let url = config.public_url_at(bound);
    let mut layer = SessionLayer::new(sessions).cookie(cookie(config))?.trust_origin(url.origin())?;
    for allowed in &config.allowed_origins {
        layer = layer.trust_origin(allowed.origin())?;
    }
    Ok(AppState { layer, accounts, site })
}

fn cookie(config: &Config) -> CookieConfig {
    let cookie = CookieConfig::default().name(config.cookie_name()).secure(config.cookie_is_secure());
    let cookie = cookie.same_site(match config.cookie_same_site {
        config::SameSite::Lax => SameSite::Lax,
        config::SameSite::Strict => SameSite::Strict,
        config::SameSite::None => SameSite::None,
    });
    match &config.cookie_domain {
        Some(domain) => cookie.domain(domain),
        None => cookie,
    }
}

/// Tells the one who started the server how to reach it.
async fn announce(bound: SocketAddr, accounts: &Accounts, admin: &Admin) -> anyhow::Result<()> {
    let mut text = String::new();
    if accounts.is_empty().await? {
        let link = admin.new_setup_link().await?.setup_link;
        text = format!(
            "There is no account yet. To create the first administrator, open within 15 minutes:\n\n    {link}\n\n"
        );
    }
    let mut out = std::io::stdout().lock();
    // Nobody may be reading, and the server is of use all the same.
    let _ = writeln!(out, "{text}listening on http://{bound}").and_then(|()| out.flush());
    Ok(())
}

/// With the port that the system chose, if it did.
fn announce_metrics(bound: SocketAddr) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "figures for Prometheus at http://{bound}/metrics").and_then(|()| out.flush());
}

/// The signals that stop the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Never heard: who listens gets an error where a file would grow past `ulimit -f`, and is not ended.
    _file_too_large: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let file_too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_too_large: signal(file_too_large)?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone, which is as good as a stop.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
