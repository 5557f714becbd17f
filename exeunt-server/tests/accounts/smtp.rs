//! A mail server of a few lines, which takes down what it is told.
//!
//! Must never hand a message on to anybody.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use services::Certificate;

/// Listens until the test ends.
pub(crate) struct Smtp {
    pub(crate) address: SocketAddr,
    heard: Mutex<Receiver<Heard>>,
}

/// What one connection said, up to a message or its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) commands: Vec<String>,
    /// The message as it came.
    pub(crate) data: Option<String>,
}

trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

impl Smtp {
    /// Answers the messages by these lines one after another, then takes them all.
    pub(crate) fn start(answers: &[&'static str]) -> Self {
        Self::listen(None, answers)
    }

    /// Behind TLS from the first byte.
    pub(crate) fn with_tls(certificate: &Certificate) -> Self {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        Self::listen(Some(Arc::new(config)), &[])
    }

    /// Takes connections, and never says a word.
    pub(crate) fn silent() -> (SocketAddr, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (listener.local_addr().unwrap(), listener)
    }

    fn listen(tls: Option<Arc<ServerConfig>>, answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, heard) = mpsc::channel();
        let mut answers = Vec::from(answers).into_iter();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let wire: Box<dyn Wire> = match &tls {
                    None => Box::new(stream),
                    Some(config) => {
                        let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                        Box::new(StreamOwned::new(connection, stream))
                    }
                };
                let mut wire = BufReader::new(wire);
                let mut heard = Heard::default();
                // A client that hangs up is no fault of this one.
                let _ = converse(&mut wire, &mut heard, || answers.next());
                if tell.send(heard).is_err() {
                    return;
                }
            }
        });
        Self { address, heard: Mutex::new(heard) }
    }

    /// What the next connection said, once it ended.
    pub(crate) fn heard(&self) -> Heard {
        self.heard.lock().unwrap().recv_timeout(Duration::from_secs(60)).unwrap()
    }
}

fn converse(
    wire: &mut BufReader<Box<dyn Wire>>,
    heard: &mut Heard,
    mut answer: impl FnMut() -> Option<&'static str>,
) -> std::io::Result<()> {
    wire.get_mut().write_all(b"220 a test\r\n")?;
    loop {
        wire.get_mut().flush()?;
        let mut line = String::new();
        if wire.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_owned();
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        heard.commands.push(line);
        let said = match verb.as_str() {
            "EHLO" => "250-a test\r\n250 AUTH PLAIN",
            "AUTH" => "235 come in",
            "DATA" => {
                wire.get_mut().write_all(b"354 go on\r\n")?;
                wire.get_mut().flush()?;
                let mut data = String::new();
                while !data.ends_with("\r\n.\r\n") {
                    wire.read_line(&mut data)?;
                }
                heard.data = Some(data);
                answer().unwrap_or("250 taken")
            }
            "QUIT" => {
                wire.get_mut().write_all(b"221 bye\r\n")?;
                return wire.get_mut().flush();
            }
            _ => "250 fine",
        };
        wire.get_mut().write_all(format!("{said}\r\n").as_bytes())?;
    }
}
