//! A way to a server that cuts connections, or holds a request up, just where a test wants it.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot, watch};

/// Listens on a port of its own. Its server gets every request but for those that the plan speaks of.
#[derive(Debug)]
pub(crate) struct Gate {
    port: u16,
    plan: Arc<Mutex<Plan>>,
    silence: watch::Sender<()>,
}

/// What happens to a request, and the connection that it came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server does not hear it.
    Before,
    /// The server hears it; nobody waits for the answer.
    During,
    /// The server has done it, and all before it; the client does not hear that.
    After,
}

#[derive(Debug, Default)]
enum Plan {
    #[default]
    Pass,
    /// The request after so many others is cut.
    Cut { after: u8, cut: Cut },
    /// The next request with this word waits.
    Hold { word: &'static str, reached: oneshot::Sender<()>, go_on: Arc<Notify> },
}

/// A request that waits, or will.
#[derive(Debug)]
pub(crate) struct Held {
    reached: oneshot::Receiver<()>,
    go_on: Arc<Notify>,
}

impl Held {
    /// Until the request has come.
    pub(crate) async fn reached(&mut self) {
        (&mut self.reached).await.expect("the gate runs");
    }

    /// Lets it through.
    pub(crate) fn go_on(self) {
        self.go_on.notify_one();
    }
}

impl Gate {
    /// In front of a server on loopback.
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let plan = Arc::new(Mutex::new(Plan::Pass));
        let shared = Arc::clone(&plan);
        let (silence, silent) = watch::channel(());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut silent = silent.clone();
                silent.mark_unchanged();
                tokio::spawn(carry(client, server, Arc::clone(&shared), silent));
            }
        });
        Self { port, plan, silence }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts the connection over which the request after so many others comes.
    pub(crate) fn cut(&self, after: u8, cut: Cut) {
        *self.plan.lock().expect("no test panics here") = Plan::Cut { after, cut };
    }

    /// The connections that there are fall silent, and no end hears of it, as when a firewall forgets them.
    pub(crate) fn fall_silent(&self) {
        self.silence.send_replace(());
    }

    /// Cuts nothing any more.
    pub(crate) fn pass(&self) {
        *self.plan.lock().expect("no test panics here") = Plan::Pass;
    }

    /// Holds up the next request that has this word in it.
    pub(crate) fn hold(&self, word: &'static str) -> Held {
        let (reached, has_reached) = oneshot::channel();
        let go_on = Arc::new(Notify::new());
        let plan = Plan::Hold { word, reached, go_on: Arc::clone(&go_on) };
        *self.plan.lock().expect("no test panics here") = plan;
        Held { reached: has_reached, go_on }
    }
}

enum Next {
    Pass,
    Cut(Cut),
    Wait(oneshot::Sender<()>, Arc<Notify>),
}

fn next(plan: &Mutex<Plan>, request: &[u8]) -> Next {
    let mut plan = plan.lock().expect("no test panics here");
    match std::mem::take(&mut *plan) {
        Plan::Pass => Next::Pass,
        Plan::Cut { after: 0, cut } => Next::Cut(cut),
        Plan::Cut { after, cut } => {
            *plan = Plan::Cut { after: after - 1, cut };
            Next::Pass
        }
        Plan::Hold { word, reached, go_on } => {
            match request.windows(word.len()).any(|part| part == word.as_bytes()) {
                true => Next::Wait(reached, go_on),
                false => {
                    *plan = Plan::Hold { word, reached, go_on };
                    Next::Pass
                }
            }
        }
    }
}

/// Whoever uses this sends one request at a time, so that what comes at once is one, whole.
async fn carry(client: TcpStream, server: u16, plan: Arc<Mutex<Plan>>, mut silent: watch::Receiver<()>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    client.set_nodelay(true).expect("a socket");
    server.set_nodelay(true).expect("a socket");
    let (mut requests, mut to_client) = client.into_split();
    let (mut answers, mut to_server) = server.into_split();
    let (mut request, mut answer) = (vec![0; 256 * 1024], vec![0; 256 * 1024]);
    loop {
        tokio::select! {
            Ok(()) = silent.changed() => return std::future::pending().await,
            read = requests.read(&mut request) => {
                let Some(request) = read.ok().filter(|read| *read > 0).and_then(|read| request.get(..read)) else { return };
                match next(&plan, request) {
                    Next::Pass => (),
                    Next::Cut(Cut::Before) => return,
                    // The server may be gone already: then it was cut before.
                    Next::Cut(Cut::During) => return drop(to_server.write_all(request).await),
                    Next::Cut(Cut::After) => return unanswered(&mut answers, &mut to_server, request).await,
                    Next::Wait(reached, go_on) => {
                        reached.send(()).expect("the test waits for it");
                        go_on.notified().await;
                    }
                }
                if to_server.write_all(request).await.is_err() { return }
            }
            read = answers.read(&mut answer) => {
                let Some(answer) = read.ok().filter(|read| *read > 0).and_then(|read| answer.get(..read)) else { return };
                if to_client.write_all(answer).await.is_err() { return }
            }
        }
    }
}

/// The server has done it, and all before it, once it has seen the end of the connection.
async fn unanswered(answers: &mut OwnedReadHalf, to_server: &mut OwnedWriteHalf, request: &[u8]) {
    if to_server.write_all(request).await.is_ok() && to_server.shutdown().await.is_ok() {
        while answers.read(&mut [0; 1_024]).await.is_ok_and(|read| read > 0) {}
    }
}
