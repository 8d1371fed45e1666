//! Where addresses lead: the host of each, and its numbers.

use futures::future::join_all;
use reqwest::Url;

use super::in_time;
use crate::doctor::Places;
use crate::doctor::observations::Connection;

pub(super) async fn observe(places: &Places) -> Vec<Connection> {
    let services = places
        .services
        .iter()
        .map(|s| (s.name.clone(), s.url.clone()));
    let broker = places
        .broker
        .iter()
        .flat_map(|nats| nats.url.split(','))
        .map(|url| {
            let url = url.trim();
            let scheme = if url.contains("://") { "" } else { "nats://" };
            (String::from("broker"), format!("{scheme}{url}"))
        });
    let databases = places
        .databases
        .iter()
        .filter(|part| !part.url.starts_with("sqlite:"))
        .map(|part| (format!("{part:?}'s database"), part.url.clone()));
    let all = services.chain(broker).chain(databases);
    let connections = join_all(all.map(|(to, url)| connection(to, url))).await;
    connections.into_iter().flatten().collect()
}

async fn connection(to: String, url: String) -> Option<Connection> {
    let url: Url = url.parse().ok()?;
    // A PostgreSQL URL without a host means a socket on this machine.
    let host = url.host_str().unwrap_or("localhost");
    let host = host.trim_matches(['[', ']']).to_owned();
    let found = in_time(async { Ok(tokio::net::lookup_host((host.as_str(), 0)).await?.collect()) });
    let addresses: Vec<std::net::SocketAddr> = found.await.unwrap_or_default();
    Some(Connection {
        to,
        scheme: url.scheme().to_owned(),
        host,
        ips: addresses.iter().map(|address| address.ip()).collect(),
    })
}
