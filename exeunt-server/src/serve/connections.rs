//! Takes connections, a bounded number at a time, and answers what comes over each.
//!
//! Must never let one client hold up another: who is slow in sending or in reading, or sends what is no HTTP/1, is let
//! go within a bounded time, and what waits for room waits in the system's queue.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use exeunt::store::Causes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::Service;

use super::patience::Patient;
use super::{DRAIN_WITHIN, stopped};
use crate::proxy::Peer;

/// How long a client may take to send the head of a request, or to leave a connection idle.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may leave an answer lying that it does not read.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// The most bytes of a request's head, and of what a connection keeps in memory each way.
const HEAD: usize = 64 * 1024;
/// How long to wait where no connection can be accepted, mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the log is told of one trouble.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What connections come in by.
pub(super) trait Door: Send + 'static {
    /// One of them.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The next one, and who is at its other end.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Door for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.accept().await?;
        // Answers are small and whole: waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        Ok((stream, peer))
    }
}

/// Accepts connections, at most `room` at a time, until `stopping`; then waits for what is under way.
pub(super) async fn accept(door: impl Door, app: Router, room: usize, mut stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut resting = None;
    let (mut refused, mut full) = (Seldom::default(), Seldom::default());
    loop {
        let is_full = connections.len() >= room;
        if is_full && full.now() {
            tracing::warn!(
                event = "connections_full",
                connections = room,
                "as many connections are open as may be: others wait until one closes (--max-connections)"
            );
        }
        tokio::select! {
            next = door.next(), if resting.is_none() && !is_full => match next {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, app.clone(), stopping.clone()));
                }
                // It was this client's own trouble.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if refused.now() {
                        tracing::warn!(event = "accept_failed", error = %Causes(&error), "not accepted");
                    }
                    // The one who waits is still there, so that asking at once would only spin.
                    resting = Some(Instant::now() + PAUSE);
                }
            },
            () = rest(resting), if resting.is_some() => resting = None,
            Some(_) = connections.join_next() => {}
            () = stopped(&mut stopping) => break,
        }
    }
    drop(door);
    let open = connections.len();
    let drained = async { while connections.join_next().await.is_some() {} };
    match tokio::time::timeout(DRAIN_WITHIN, drained).await {
        Ok(()) => tracing::info!(event = "drained", connections = open, "all requests answered"),
        Err(_) => {
            tracing::warn!(
                event = "drain_cut",
                connections = connections.len(),
                "requests cut off after 30 s"
            );
        }
    }
}

async fn rest(until: Option<Instant>) {
    if let Some(until) = until {
        tokio::time::sleep_until(until).await;
    }
}

/// Says when to tell the log of a trouble that comes again and again.
#[derive(Debug, Default)]
struct Seldom(Option<Instant>);

impl Seldom {
    fn now(&mut self) -> bool {
        let now = Instant::now();
        let due = self.0.is_none_or(|said| now.duration_since(said) >= SAY_EVERY);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

/// Answers the requests of one connection.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    app: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let mut app = app.clone();
        async move { Ok::<_, Infallible>(app.call(request).await.unwrap_or_else(|never| match never {})) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(HEAD);
    // Who has said all and closed that side still hears the answer.
    builder.half_close(true);
    let stream = TokioIo::new(Patient::new(stream, READ_WITHIN));
    let mut connection = std::pin::pin!(builder.serve_connection(stream, service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stopped(&mut stopping) => {
            // Closes a connection that is idle or was never used, and the others after the answer.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(
            event = "connection_failed",
            error = %Causes(&error),
            "connection failed"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::{Mutex, mpsc};

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// Connections that a test makes; without one, the system has no descriptors left.
    struct Made {
        streams: Mutex<mpsc::UnboundedReceiver<DuplexStream>>,
        asked: Arc<AtomicUsize>,
        descriptors: watch::Receiver<bool>,
    }

    impl Door for Made {
        type Stream = DuplexStream;

        async fn next(&self) -> io::Result<(DuplexStream, SocketAddr)> {
            let asked = self.asked.fetch_add(1, Ordering::Relaxed);
            if !*self.descriptors.borrow() && asked < 1_000 {
                return Err(io::Error::from_raw_os_error(24));
            }
            // One who spins is stopped here, since the clock of a test stands still for those who never rest.
            match self.streams.lock().await.recv().await {
                Some(stream) => Ok((stream, ([127, 0, 0, 1], 1).into())),
                None => std::future::pending().await,
            }
        }
    }

    /// A server over made connections, with room for so many.
    struct House {
        new: mpsc::UnboundedSender<DuplexStream>,
        asked: Arc<AtomicUsize>,
        descriptors: watch::Sender<bool>,
        _stop: watch::Sender<bool>,
    }

    impl House {
        fn with_room_for(room: usize) -> Self {
            let (new, streams) = mpsc::unbounded_channel();
            let (descriptors, have) = watch::channel(true);
            let (stop, stopping) = watch::channel(false);
            let asked = Arc::new(AtomicUsize::new(0));
            let door = Made { streams: Mutex::new(streams), asked: Arc::clone(&asked), descriptors: have };
            let app = Router::new().route("/", get(|| async { "x".repeat(1_000) }));
            tokio::spawn(accept(door, app, room, stopping));
            Self { new, asked, descriptors, _stop: stop }
        }

        fn connect(&self) -> DuplexStream {
            let (ours, theirs) = duplex(4 * 1024);
            self.new.send(theirs).unwrap();
            ours
        }
    }

    async fn rest_of(stream: &mut DuplexStream) -> String {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        String::from_utf8(rest).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_in_is_cut_off_however_many_bytes_came() {
        // R40
        let house = House::with_room_for(8);
        let mut slow = house.connect();
        let began = Instant::now();
        let mut bytes = REQUEST.iter().chain(std::iter::repeat(&b'a'));
        let mut sent = 0;
        while slow.write_all(&[*bytes.next().unwrap()]).await.is_ok() {
            sent += 1;
            assert!(sent < 100, "nobody waits for ever");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(began.elapsed() <= HEAD_WITHIN + Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(!rest_of(&mut slow).await.contains(" 200 "));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_and_asks_and_never_reads_is_let_go_and_fills_no_memory() {
        // R40
        let house = House::with_room_for(8);
        let mut deaf = house.connect();
        let began = Instant::now();
        let mut sent = 0;
        let asking = async {
            while deaf.write_all(REQUEST).await.is_ok() {
                sent += 1;
                assert!(sent < 10_000, "what is not answered is not taken in");
            }
        };
        tokio::time::timeout(3 * READ_WITHIN, asking).await.expect("nobody waits for ever");
        assert!(sent * REQUEST.len() < 4 * HEAD, "{sent} requests taken in");
        assert!(began.elapsed() <= READ_WITHIN + Duration::from_secs(1), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn one_connection_too_many_waits_until_another_closes() {
        // R40
        let house = House::with_room_for(2);
        let (one, two) = (house.connect(), house.connect());
        let mut third = house.connect();
        third.write_all(REQUEST).await.unwrap();
        let mut first = [0];
        let early = tokio::time::timeout(HEAD_WITHIN / 2, third.read(&mut first)).await;
        assert!(early.is_err(), "two are open");
        let waited = Instant::now();
        drop(one);
        third.read_exact(&mut first).await.unwrap();
        assert_eq!((first, waited.elapsed()), (*b"H", Duration::ZERO));
        drop(two);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_say_nothing_give_their_room_back() {
        // R40
        let house = House::with_room_for(2);
        let silent = [house.connect(), house.connect()];
        let began = Instant::now();
        let mut third = house.connect();
        third.write_all(REQUEST).await.unwrap();
        third.shutdown().await.unwrap();
        assert!(rest_of(&mut third).await.starts_with("HTTP/1.1 200 "));
        assert_eq!(began.elapsed().as_secs(), HEAD_WITHIN.as_secs());
        drop(silent);
    }

    #[tokio::test(start_paused = true)]
    async fn without_descriptors_the_server_rests_and_recovers_by_itself() {
        // R40
        let house = House::with_room_for(8);
        house.descriptors.send_replace(false);
        let mut waiting = house.connect();
        waiting.write_all(REQUEST).await.unwrap();
        waiting.shutdown().await.unwrap();
        let before = house.asked.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let asked = house.asked.load(Ordering::Relaxed) - before;
        assert!((50..=101).contains(&asked), "{asked} times in 10 s");
        house.descriptors.send_replace(true);
        assert!(rest_of(&mut waiting).await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_said_all_and_closed_that_side_is_answered() {
        let house = House::with_room_for(8);
        let mut half = house.connect();
        half.write_all(REQUEST).await.unwrap();
        half.shutdown().await.unwrap();
        let began = Instant::now();
        let answer = rest_of(&mut half).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("xxx"), "{answer}");
        assert_eq!(began.elapsed(), Duration::ZERO, "and let go at once");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_http_1_is_refused_and_closed_at_once() {
        // No HTTP/2 is served: its preface and frames are closed, and its resets never come to anything.
        let preface: &[u8] =
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x04\x03\0\0\0\x01\0\0\0\x08";
        for bytes in [preface, b"\x16\x03\x01\x02\0\x01", b"GET / HTTP/2.0\r\n\r\n", b"\0\0\0\0\r\n\r\n"] {
            let house = House::with_room_for(8);
            let mut stream = house.connect();
            stream.write_all(bytes).await.unwrap();
            let began = Instant::now();
            let answer = rest_of(&mut stream).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_hears_of_one_trouble_seldom() {
        let mut seldom = Seldom::default();
        assert_eq!((seldom.now(), seldom.now()), (true, false));
        tokio::time::advance(SAY_EVERY).await;
        assert_eq!((seldom.now(), seldom.now()), (true, false));
    }
}
