//! Commands that go to services behind TLS and a gateway that asks who is there; and where no token goes. Not what commands do there.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod command;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::Value;
use stack::skip::{self, Need};
use stack::{Home, Options, Stack, broker};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const PROGRAM: &str = env!("CARGO_BIN_EXE_roundtrip");
const TOKEN: &str = "the-token-of-ada";

/// Lets requests through that have the token; a path of its own sends whoever asks elsewhere.
struct Gateway {
    address: SocketAddr,
    /// The first lines of requests that had no token, or another.
    turned_away: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    async fn before(service: &str, tls: TlsAcceptor, elsewhere: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let turned_away = Arc::new(Mutex::new(Vec::new()));
        let (service, away) = (service.replace("http://", ""), Arc::clone(&turned_away));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, service) = (tls.clone(), service.clone());
                let (away, elsewhere) = (Arc::clone(&away), elsewhere.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = tls.accept(stream).await else {
                        return;
                    };
                    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
                    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                        let Ok(read @ 1..) = stream.read(&mut piece).await else {
                            return;
                        };
                        head.extend_from_slice(&piece[..read]);
                    }
                    let text = String::from_utf8_lossy(&head).into_owned();
                    if text.contains(" /elsewhere/") {
                        let moved = format!(
                            "HTTP/1.1 307 Moved\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n"
                        );
                        let _ = stream.write_all(moved.as_bytes()).await;
                    } else if text.contains(&format!("authorization: Bearer {TOKEN}\r\n")) {
                        let mut service = TcpStream::connect(service).await.unwrap();
                        service.write_all(&head).await.unwrap();
                        let _ = copy_bidirectional(&mut stream, &mut service).await;
                    } else {
                        let first = text.lines().next().unwrap_or_default();
                        away.lock().unwrap().push(first.to_owned());
                        let who =
                            b"HTTP/1.1 401 Who?\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                        let _ = stream.write_all(who).await;
                    }
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self {
            address,
            turned_away,
        }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

/// Whoever listens there without TLS hears of no token.
async fn listener() -> (SocketAddr, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(String::new()));
    let all = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap_or(0);
            all.lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    });
    (address, heard)
}

/// Of a certificate for this test, and the file that it is in.
fn tls(folder: &Path) -> (TlsAcceptor, String) {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let file = folder.join("ca.pem");
    std::fs::write(&file, pem(cert.der())).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key);
    let config = Arc::new(config.unwrap());
    (config.into(), file.to_str().unwrap().to_owned())
}

fn pem(der: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in der.chunks(48) {
        for three in line.chunks(3) {
            let bits = three
                .iter()
                .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - three.len()));
            for at in 0..4 {
                let digit = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap();
                text.push(if at <= three.len() {
                    char::from(DIGITS[digit])
                } else {
                    '='
                });
            }
        }
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains(TOKEN), "a token is shown: {text}");
    text
}

#[track_caller]
fn good(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    said(output)
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_go_through_tls_with_the_token_and_it_goes_nowhere_else() {
    let test = "commands_go_through_tls";
    if skip::unless(Need::Nats, test, broker::find(&|_| {})).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        home: Home::Kept(folder.path().join("stack")),
        program: Some(PROGRAM.into()),
        ..Options::temporary()
    };
    let stack = Stack::start(&options, &|_| {}).await.unwrap();
    let (tls, ca) = tls(folder.path());
    let (other, heard) = listener().await;
    let elsewhere = format!("http://{other}/");
    let mut gates = Vec::new();
    for service in ["booking", "flight", "hotel"] {
        let url = stack.url(service).unwrap();
        gates.push(Gateway::before(&url, tls.clone(), elsewhere.clone()).await);
    }
    let named = |service: &str, at: usize| format!("{service}={}", gates[at].url());
    let (booking, flight, hotel) = (gates[0].url(), named("flight", 1), named("hotel", 2));
    let all = ["--url", &booking, "--service", &flight, "--service", &hotel];
    let with = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = command::roundtrip(&folder.path().join("nowhere"), args);
        command.envs(env.iter().copied()).output().unwrap()
    };
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let in_file = format!("@{}", file.display());
    let known = [("ROUNDTRIP_TOKEN", TOKEN), ("ROUNDTRIP_CA_FILE", &ca)];
    let by_file = [("ROUNDTRIP_TOKEN", in_file.as_str()), known[1]];
    let run = |args: &[&str], more: &[&str]| with(&[args, more].concat(), &known);

    let booked = run(&["book", "--flight", "RT100", "--json"], &all[..2]);
    let booked: Value = serde_json::from_str(&good(&booked)).unwrap();
    let trip = booked["trip"].as_str().unwrap();
    assert!(good(&with(&["list", "--url", &booking], &by_file)).contains(trip));
    assert!(good(&run(&["show", trip], &all[..2])).contains("confirmed"));
    assert!(good(&run(&["inventory"], &all)).contains("room_type"));
    assert!(good(&run(&["status"], &all)).contains("legs that can be booked: flight, hotel"));
    assert!(good(&run(&["letters"], &all)).contains("no dead letters"));
    assert!(good(&run(&["cancel", trip], &all[..2])).contains("everything is back"));
    let doctor = said(&run(&["doctor", "--json"], &all));
    assert!(!doctor.contains("401"), "{doctor}");
    for gate in &gates {
        assert_eq!(*gate.turned_away.lock().unwrap(), Vec::<String>::new());
    }

    who_is_not_known_is_told_what_to_do(&booking, &known, &with);
    let proxy = format!("http://{other}");
    nowhere_else(
        &booking,
        &stack.url("booking").unwrap(),
        &proxy,
        &known[..],
        &with,
    );
    assert_eq!(*heard.lock().unwrap(), "", "nobody else heard of it");
    stack.stop().await.unwrap();
}

/// A command with these variables set.
type With<'a> = &'a dyn Fn(&[&str], &[(&str, &str)]) -> Output;

#[track_caller]
fn fails(output: &Output, words: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = said(output);
    assert!(said.contains(words), "{words:?}: {said}");
}

fn who_is_not_known_is_told_what_to_do(booking: &str, known: &[(&str, &str)], with: With<'_>) {
    let list = |env: &[(&str, &str)]| with(&["list", "--url", booking], env);
    let (token, ca) = (known[0], known[1]);
    let wrong = [("ROUNDTRIP_TOKEN", "another"), ca];
    fails(&list(&[ca]), "give ROUNDTRIP_TOKEN a token");
    fails(&list(&wrong), "does not take what ROUNDTRIP_TOKEN has");
    fails(&list(&[token]), "ROUNDTRIP_CA_FILE");
    let nothing = [token, ("ROUNDTRIP_CA_FILE", "/dev/null")];
    fails(&list(&nothing), "no certificates can be read");
    fails(&list(&[("ROUNDTRIP_TOKEN", "a\nb")]), "no token has");
}

/// Not where others can read it, not where an answer sends us, and not by way of anybody.
fn nowhere_else(booking: &str, here: &str, other: &str, known: &[(&str, &str)], with: With<'_>) {
    let list = |url: &str, env: &[(&str, &str)]| with(&["list", "--url", url], env);
    fails(&list("http://192.0.2.1:8080", known), "https://");
    let elsewhere = format!("{booking}/elsewhere/");
    fails(&list(&elsewhere, known), "sends us elsewhere");
    let proxied = [known[0], ("http_proxy", other), ("HTTP_PROXY", other)];
    good(&list(here, &proxied));
}
