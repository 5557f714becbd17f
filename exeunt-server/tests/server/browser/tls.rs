//! TLS in front of a server, as its proxy would do it, with a certificate that was made just now.

use std::net::{SocketAddr, TcpListener as Listener};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use services::Certificate;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// A port that speaks TLS, and passes on what it hears.
pub(super) struct Tls {
    port: u16,
    to: watch::Sender<Option<SocketAddr>>,
}

impl Tls {
    /// Before there is a server: that needs to know its address.
    pub(super) fn new() -> Self {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = acceptor();
        let (to, mut target) = watch::channel(None);
        // A thread of its own: tests block theirs. It ends with the sender.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let Ok(target) = target.wait_for(Option::is_some).await.map(|target| *target) else { return };
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(pass_on(acceptor.clone(), stream, target.unwrap()));
                }
            });
        });
        Self { port, to }
    }

    pub(super) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub(super) fn in_front_of(&self, server: SocketAddr) {
        self.to.send_replace(Some(server));
    }
}

fn acceptor() -> TlsAcceptor {
    let certificate = Certificate::new().unwrap();
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
}

/// A browser that goes away in the middle is no error.
async fn pass_on(acceptor: TlsAcceptor, stream: TcpStream, to: SocketAddr) {
    let Ok(mut browser) = acceptor.accept(stream).await else { return };
    let Ok(mut server) = TcpStream::connect(to).await else { return };
    let _ = tokio::io::copy_bidirectional(&mut browser, &mut server).await;
}
