//! A way to a server that can be cut in the middle of a conversation.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to the next thing that a client says. Everything after it is as ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server does not hear it.
    Before = 1,
    /// The server hears it; nobody waits for the answer.
    During = 2,
    /// The server answers; the client does not hear that.
    After = 3,
}

/// Passes connections on to a server, on the runtime that made it.
pub(crate) struct Proxy {
    next: Arc<AtomicU8>,
    port: u16,
}

impl Proxy {
    /// To a server on this machine. Whenever `silent` changes, the connections that there are fall silent, and no end
    /// hears of it, as when a firewall forgets them.
    pub(crate) async fn to(port: u16, silent: watch::Receiver<()>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let next = Arc::new(AtomicU8::new(0));
        let proxy =
            Self { next: Arc::clone(&next), port: listener.local_addr().expect("it is bound").port() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (next, mut silent) = (Arc::clone(&next), silent.clone());
                silent.mark_unchanged();
                tokio::spawn(async move {
                    // Either end may be gone at any time: that is what this is for.
                    if let Ok(server) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await {
                        let _ = pass(client, server, &next, &mut silent).await;
                    }
                });
            }
        });
        proxy
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts the connection over which the next thing is said; or, with `None`, no one's after all.
    pub(crate) fn cut(&self, cut: impl Into<Option<Cut>>) {
        self.next.store(cut.into().map_or(0, |cut| cut as u8), Ordering::SeqCst);
    }
}

async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    next: &AtomicU8,
    silent: &mut watch::Receiver<()>,
) -> std::io::Result<()> {
    let (mut said, mut answered) = ([0; 16 * 1024], [0; 16 * 1024]);
    loop {
        tokio::select! {
            Ok(()) = silent.changed() => return std::future::pending().await,
            length = client.read(&mut said) => {
                let length = length?;
                let cut = if length == 0 { Cut::Before as u8 } else { next.swap(0, Ordering::SeqCst) };
                if cut == Cut::Before as u8 {
                    return Ok(());
                }
                server.write_all(said.split_at(length).0).await?;
                if cut == Cut::After as u8 {
                    server.readable().await?;
                }
                if cut != 0 {
                    return Ok(());
                }
            }
            length = server.read(&mut answered) => {
                let length = length?;
                if length == 0 {
                    return Ok(());
                }
                client.write_all(answered.split_at(length).0).await?;
            }
        }
    }
}
